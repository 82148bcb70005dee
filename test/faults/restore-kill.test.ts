/**
 * Restores killed at random moments, and run again: the end is always the same. HOLDFAST_RESTORE_KILLS sets their number,
 * HOLDFAST_KILL_SEED the moments.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, linkSync, lstatSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { restoreMarkerName } from '../../src/engine/restore/marker.ts';
import type { Overwrite } from '../../src/engine/restore/options.ts';
import { compareTrees, describeTree, randomBytes } from '../awkward-tree.ts';
import { RestoreFixture } from '../engine/restore-support.ts';

const kills = Number(process.env.HOLDFAST_RESTORE_KILLS ?? 12);
const seed = Number(process.env.HOLDFAST_KILL_SEED ?? 1);
const child = join(import.meta.dirname, 'restore-child.ts');
const limitMs = 60_000;

/** Numbers from 0 to 1 that a seed determines (mulberry32 by Tommy Ettinger, public domain). */
function randomNumbers(start: number): () => number {
  let state = start | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function volume(t: TestContext): Promise<RestoreFixture> {
  const fixture = new RestoreFixture(t);
  for (let i = 0; i < 1500; i++) fixture.file(`dir ${i % 40}/file ${i}`, `content ${i}\n`.repeat(1 + (i % 200)));
  for (let i = 0; i < 4; i++) fixture.file(`large ${i}`, randomBytes(6 * 1024 * 1024));
  for (let i = 0; i < 50; i++) linkSync(join(fixture.source, `dir 1/file ${1 + 40 * (i % 30)}`), join(fixture.source, `dir 2/link ${i}`));
  await fixture.create();
  await fixture.backUp();
  return fixture;
}

/** Restores in a process that is killed after a time, when it hasn't ended. @returns whether it was killed, and how long the work took until its end. */
async function restoreFor(
  { folder, target }: RestoreFixture,
  overwrite: Overwrite,
  killAfterMs: number,
): Promise<{ killed: boolean; tookMs: number }> {
  const process_ = spawn(process.execPath, [child, folder, target, overwrite], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
  });
  const ended = once(process_, 'exit');
  await Promise.race([once(process_.stdout, 'data'), ended]);
  const begunMs = performance.now();
  const stop = new AbortController();
  await Promise.race([ended, setTimeout(killAfterMs, undefined, { signal: stop.signal }).catch(() => undefined)]);
  stop.abort();
  process_.kill('SIGKILL');
  const [code, signal] = await ended;
  assert.ok(code === 0 || signal === 'SIGKILL', `the restore ended with ${code ?? signal}`);
  return { killed: signal !== null, tookMs: performance.now() - begunMs };
}

for (const overwrite of ['always', 'never'] as const) {
  test(`restores that are killed and run again (overwrite ${overwrite})`, { timeout: 600_000 }, async (t) => {
    const fixture = await volume(t);
    const original = describeTree(fixture.source);
    const { tookMs } = await restoreFor(fixture, overwrite, limitMs);
    const random = randomNumbers(seed);
    let killed = 0;
    for (let run = 0; run < kills / 2; run++) {
      rmSync(fixture.target, { recursive: true, force: true });
      const marker = join(fixture.target, restoreMarkerName);
      if ((await restoreFor(fixture, overwrite, random() * tookMs)).killed) {
        killed++;
        // Half of them are killed twice before they may end.
        if (random() < 0.5) await restoreFor(fixture, overwrite, random() * tookMs);
        if (existsSync(marker)) assert.equal(lstatSync(marker).mode & 0o777, 0o600);
      }
      const { problems, result } = await fixture.restore({ overwrite, verify: true });
      assert.deepEqual(problems, [], `run ${run}`);
      assert.equal(existsSync(marker), false);
      assert.deepEqual(compareTrees(original, describeTree(fixture.target)), [], `run ${run}`);
      assert.ok(overwrite === 'never' || result.verified);
    }
    t.diagnostic(`${killed} of ${Math.ceil(kills / 2)} were killed, in restores of ${Math.round(tookMs)} ms`);
    assert.ok(killed > 0, 'no restore was killed');
  });
}

test('a killed restore over other content', { timeout: 600_000 }, async (t) => {
  const fixture = await volume(t);
  const original = describeTree(fixture.source);
  const random = randomNumbers(seed + 1);
  for (let run = 0; run < Math.max(1, kills / 8); run++) {
    rmSync(fixture.target, { recursive: true, force: true });
    mkdirSync(join(fixture.target, 'dir 3'), { recursive: true });
    for (let i = 0; i < 4; i++) writeFileSync(join(fixture.target, `large ${i}`), randomBytes(4 * 1024 * 1024));
    for (let i = 0; i < 30; i++) writeFileSync(join(fixture.target, `dir 3/file ${3 + 40 * i}`), 'other content');
    linkSync(join(fixture.target, 'dir 3/file 3'), join(fixture.target, 'dir 3/link'));
    await restoreFor(fixture, 'always', random() * 400);
    const { problems } = await fixture.restore({ delete: true });
    assert.deepEqual(problems, []);
    assert.deepEqual(compareTrees(original, describeTree(fixture.target)), []);
  }
});
