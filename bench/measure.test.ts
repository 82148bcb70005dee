import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { measure, parseFigures } from './measure.ts';

const skip = existsSync('/usr/bin/time') ? false : 'GNU time is missing (Debian package `time`)';
const node = (script: string) => ({ argv: [process.execPath, '-e', script], directory: '.' });

test('CPU time of children counts, waiting does not', { skip }, async () => {
  const spin = 'const end = performance.now() + 300; while (performance.now() < end);';
  const busy = await measure({ argv: ['sh', '-c', `"$0" -e '${spin}'; true`, process.execPath], directory: '.' });
  const idle = await measure(node('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)'));
  assert.ok(busy.cpuSeconds > 0.15, `busy: ${busy.cpuSeconds}`);
  assert.ok(idle.cpuSeconds < 0.25 && idle.wallSeconds >= 0.3, `idle: ${idle.cpuSeconds} of ${idle.wallSeconds}`);
});

test('memory that was touched is seen', { skip }, async () => {
  const measured = await measure(node('Buffer.alloc(200 << 20, 1)'));
  assert.ok(measured.peakMemoryBytes > 200 << 20, `${measured.peakMemoryBytes}`);
});

test('a failure keeps its exit code and what was said about it', { skip }, async () => {
  const { exitCode, complaint } = await measure(node('console.error("no such volume"); process.exit(7)'));
  assert.deepEqual([exitCode, complaint], [7, 'no such volume']);
});

test('figures are in seconds and bytes; anything else is refused', () => {
  assert.deepEqual(parseFigures('Command exited with non-zero status 1\n1.50 0.25 2048\n'), { cpuSeconds: 1.75, peakMemoryBytes: 2 << 20 });
  assert.throws(() => parseFigures('nothing useful'), /GNU time/);
});
