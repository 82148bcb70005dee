import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { getPriority, setPriority } from 'node:os';
import { test } from 'node:test';
import { comeFirst, workAsUsual } from './priority.ts';

test('who comes first does not take along what it starts', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  const before = getPriority();
  t.after(() => setPriority(before));
  comeFirst();
  if (getPriority() === before) return t.skip('the capability CAP_SYS_NICE is missing');
  assert.ok(getPriority() < before);
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  workAsUsual(child);
  assert.equal(getPriority(child.pid), before);
  child.stdin.end();
  await once(child, 'exit');
  workAsUsual(child);
});
