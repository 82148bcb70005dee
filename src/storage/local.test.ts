import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../../test/peers.ts';
import { createLocalStorage } from './local.ts';

test('a pipe in the place of a file keeps nobody waiting, and is no file', async (t) => {
  const folder = scratch(t);
  const name = 'a'.repeat(64);
  mkdirSync(join(folder, 'locks'));
  execFileSync('mkfifo', [join(folder, 'locks', name), join(folder, 'config')]);
  const storage = createLocalStorage(folder);
  assert.equal((await storage.read({ kind: 'config', name: '' })).length, 0);
  await assert.rejects(storage.read({ kind: 'locks', name }, { offset: 0, length: 10 }), { code: /damaged|storage/ });
});

test('a file that is absurdly long for its kind costs no memory', async (t) => {
  const folder = scratch(t);
  writeFileSync(join(folder, 'config'), '');
  truncateSync(join(folder, 'config'), 2 ** 31);
  await assert.rejects(createLocalStorage(folder).read({ kind: 'config', name: '' }), {
    code: 'damaged',
    message: /longer than such files are/,
  });
});
