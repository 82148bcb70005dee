import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { listByProcess } from './list-by-process.ts';

/** Lists by a script of a shell; its last argument is the file of ids. */
function lister(t: TestContext, script: string, mostMs?: number) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-list-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const program = { command: ['sh', '-c', script, 'holdfast'], directory: '/', environment: { PATH: process.env.PATH } };
  const list = listByProcess(program, folder, mostMs);
  const all = (signal?: AbortSignal, onLine: () => void = () => {}) =>
    Array.fromAsync(list('local', ['a', 'b'], signal), (line) => {
      onLine();
      return line;
    });
  return { all, left: () => readdirSync(folder) };
}

const complaint = '{"event":"error","error":{"code":"no-repository","message":"there is none","remedy":"make one"}}';

test('lines are given, the command knows what is known, and nothing stays behind; what went wrong is said as the command said it', async (t) => {
  const { all, left } = lister(t, 'for file; do :; done; echo "$4"; paste -sd, "$file"');
  assert.deepEqual(await all(), ['--repository', 'a,b']);
  assert.deepEqual(left(), []);
  const broken = lister(t, `echo noise >&2; echo '${complaint}' >&2; exit 10`);
  await assert.rejects(broken.all(), { code: 'no-repository', message: 'there is none' });
  assert.deepEqual(broken.left(), []);
});

test('one that hangs, and heeds nothing, is given up in time, and at the abort at once', { timeout: 8_000 }, async (t) => {
  // For ten seconds.
  const deaf = `trap '' TERM; echo begun; for i in $(seq 100); do sleep 0.1; done`;
  const late = lister(t, deaf, 300);
  await assert.rejects(late.all(), { code: 'storage', message: 'its snapshots could not be listed within 300ms' });
  const stopped = lister(t, deaf);
  const stop = new AbortController();
  await assert.rejects(
    stopped.all(stop.signal, () => stop.abort()),
    { name: 'AbortError' },
  );
  assert.deepEqual([...late.left(), ...stopped.left()], []);
});
