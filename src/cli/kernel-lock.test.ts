import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { holdLock, isLocked } from './kernel-lock.ts';

function lockFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-lock-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'lock');
}

/** Another process that does something with the file and says so, until it is killed. */
async function other(t: TestContext, path: string, work: string): Promise<ChildProcess> {
  const script = `const database = new (require('node:sqlite').DatabaseSync)(process.argv[1]); ${work}; console.log('done'); process.stdin.resume()`;
  const child = spawn(process.execPath, ['-e', script, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
  return child;
}

test('it is held by one, and free when that one gives it back or is killed', async (t) => {
  const path = lockFile(t);
  assert.equal(isLocked(path), false);
  const release = holdLock(path);
  assert.ok(release);
  assert.equal(isLocked(path), true);
  assert.equal(holdLock(path), undefined);
  release();
  assert.equal(isLocked(path), false);
  const holder = await other(t, path, "database.exec('BEGIN EXCLUSIVE')");
  assert.equal(isLocked(path), true);
  assert.equal(holdLock(path), undefined);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  assert.equal(isLocked(path), false);
  holdLock(path)?.();
});

test('who only looks is waited for', async (t) => {
  const path = lockFile(t);
  holdLock(path)?.();
  const looking = await other(t, path, "database.exec('BEGIN'); database.prepare('SELECT count(*) FROM sqlite_schema').get()");
  assert.equal(isLocked(path), false);
  assert.equal(holdLock(path), undefined);
  // Taken in hand by the kernel at once, though this thread waits.
  looking.kill('SIGKILL');
  const release = holdLock(path, 60_000);
  assert.ok(release);
  release();
});
