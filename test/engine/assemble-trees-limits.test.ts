/** What the trees of a long stream cost. That they are right is tested beside `src/engine/backup/assemble-trees.ts`. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

/** In a process of its own, whose heap may not grow. @returns seconds of processor time, and MiB of memory at most. */
function measure(shape: string, entries: number): { seconds: number; peakMiB: number } {
  const child = join(import.meta.dirname, '../assemble-child.ts');
  const args = ['--max-old-space-size=64', '--max-semi-space-size=8', child, shape, String(entries)];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
}

const scale = Number(process.env.HOLDFAST_TEST_SCALE ?? 1);
const shapes = {
  shuffled: 'entries that jump between thousands of directories',
  chain: 'names of names',
  links: 'further names of one file',
  flat: 'entries of one directory',
};

for (const [shape, what] of Object.entries(shapes).slice(0, scale > 1 ? 4 : 2)) {
  test(`${what}: twice as many take about twice the time, and hardly more memory`, () => {
    const [few, many] = [15_000 * scale, 30_000 * scale];
    const [before, after] = [measure(shape, few), measure(shape, many)];
    assert.ok(after.seconds < 3.5 * before.seconds, `${before.seconds} s, then ${after.seconds} s`);
    // The tree of one directory is held as a whole, some 500 bytes an entry, and encoding it takes as much again.
    assert.ok(after.peakMiB < 220 + (shape === 'flat' ? 0.0015 * many : 0), `${after.peakMiB} MiB`);
  });
}
