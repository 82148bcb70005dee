/**
 * Prunes killed at random moments: spread over the time that a run takes, and when it has just written or removed a file. Some are killed
 * again before one may finish. HOLDFAST_PRUNE_KILLS sets their number, HOLDFAST_KILL_SEED the moments.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync, watch } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { resticVersions } from '../peers.ts';
import { findingsOf } from './engine.ts';
import {
  assertClean,
  assertSameManifest,
  createProject,
  ended,
  filesOf,
  holdfast,
  killGroup,
  manifest,
  randomNumbers,
  runRestic,
  start,
} from './project.ts';
import { fillRepository, packsOf, pruneInProcess } from './prune-support.ts';

const kills = Number(process.env.HOLDFAST_PRUNE_KILLS ?? 20);
const seed = Number(process.env.HOLDFAST_KILL_SEED ?? 1);
const resticEvery = 8;

test(`${kills} prunes killed with SIGKILL leave a sound repository, and the next one carries on`, async (t) => {
  const random = randomNumbers(seed);
  const project = createProject(t);
  const states = await fillRepository(project);
  const kept = join(project.folder, 'kept');
  for (let n = 0; n < 256; n++) mkdirSync(join(project.repository, 'data', n.toString(16).padStart(2, '0')), { recursive: true });
  cpSync(project.repository, kept, { recursive: true });
  const reset = () => {
    for (const kind of ['data', 'index', 'locks']) {
      for (const name of readdirSync(join(project.repository, kind), { recursive: true, encoding: 'utf8' })) {
        if (/[0-9a-f]{64}/.test(name)) rmSync(join(project.repository, kind, name));
      }
      cpSync(join(kept, kind), join(project.repository, kind), { recursive: true });
    }
  };
  const args = ['prune', '--json', '--max-unused', '0', '--lanes', '1'];
  const begun = performance.now();
  const whole = await ended(start(project.folder, args));
  assert.equal(whole.code, 0, whole.stderr);
  const runMs = performance.now() - begun;
  const packs = packsOf(project).length;

  /** Kills at an event in a folder of the repository, or after a time. */
  function strike(child: ChildProcess, step: number): void {
    if (step % 3 === 0) {
      const timer = setTimeout(() => killGroup(child, 'SIGKILL'), runMs * (0.3 + 0.8 * random()));
      child.once('exit', () => clearTimeout(timer));
      return;
    }
    const kind = random() < 0.6 ? 'data' : 'index';
    let left = 1 + Math.floor(random() * (kind === 'data' ? 14 : 8));
    const watcher = watch(join(project.repository, kind), { recursive: true }, () => {
      if (--left === 0) killGroup(child, 'SIGKILL');
    });
    child.once('exit', () => watcher.close());
  }

  const ends = { killed: 0, completed: 0, carriedOn: 0 };
  const killedWith = new Map<string, number>();
  reset();
  for (let step = 0; ends.killed < kills; step++) {
    assert.ok(step < kills * 8, 'runs end before they are killed: the moments are too late');
    const before = { index: filesOf(project, 'index').length, packs: packsOf(project).length };
    const child = start(project.folder, args);
    strike(child, step);
    const run = await ended(child);
    if (run.signal !== 'SIGKILL') {
      assert.equal(run.code, 0, run.stderr);
      ends.completed++;
      reset();
      continue;
    }
    ends.killed++;
    const state = `packs ${Math.sign(packsOf(project).length - before.packs)}, index ${Math.sign(filesOf(project, 'index').length - before.index)}`;
    killedWith.set(state, (killedWith.get(state) ?? 0) + 1);
    for (const lock of filesOf(project, 'locks')) rmSync(join(project.repository, 'locks', lock));
    assert.deepEqual(await findingsOf(project), []);
    const restics = resticVersions();
    const restic = restics[ends.killed % Math.max(1, restics.length)];
    if (restic && ends.killed % resticEvery === 0) runRestic(restic, project, ['check', '--no-lock', '--read-data']);
    if (random() < 0.4) continue;
    await pruneInProcess(project);
    ends.carriedOn++;
    assert.deepEqual(await findingsOf(project), []);
    const { plan } = await pruneInProcess(project, { dryRun: true });
    assert.deepEqual([plan.bytes.free, plan.bytes.unusedLeft], [0, 0]);
    assert.ok(plan.packs.total <= packs + 2, `${plan.packs.total} packs instead of ${packs}`);
    if (ends.killed < kills) reset();
  }
  await pruneInProcess(project);
  assertClean(project, { readData: true });
  for (const [id, state] of states) {
    const target = join(project.folder, `restored-${id}`);
    holdfast(project.folder, ['restore', '--at', id, '--to', target, '--quiet']);
    assertSameManifest(manifest(join(target, 'data')), state, `snapshot ${id} is not what was backed up`);
  }
  assert.ok(kills < 20 || killedWith.size >= 3, 'the kills were all at the same point');
  t.diagnostic(
    `prunes killed: ${ends.killed} (files then against before: ${JSON.stringify(Object.fromEntries(killedWith))}), ${ends.completed} ended before; ${ends.carriedOn} carried on; seed ${seed}`,
  );
});
