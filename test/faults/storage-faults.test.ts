/**
 * Every storage operation of a backup is made to fail in turn: before any effect, after it, and halfway. Whatever fails, the error is one of
 * the catalogue, the repository stays sound, the lock goes, and the next run carries on.
 */
import assert from 'node:assert/strict';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { HoldfastError } from '../../src/model/errors.ts';
import { lockRepository } from '../../src/repository/locks.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { resticVersions } from '../peers.ts';
import { backUpInProcess, findingsOf, systemClock } from './engine.ts';
import { createProject, filesOf, fillVolume, openProject, type Project, randomBytesOf, runRestic, temporaryFiles } from './project.ts';
import { type Fault, type FaultWhen, injectFault, type Operation, withFaults } from './with-faults.ts';

const faultyLane = new URL('./faulty-lane.ts', import.meta.url);
const resticEvery = 6;

const runWithFaults = (project: Project, lanes: number) =>
  backUpInProcess(project, {
    storage: withFaults(createLocalStorage(project.repository), project.repository),
    laneEntry: faultyLane,
    lanes,
  });

/** A project whose repository can be set back to what it was. */
function withReset(project: Project): { reset: () => void } {
  const kept = join(project.folder, 'kept');
  cpSync(project.repository, kept, { recursive: true });
  return {
    reset() {
      rmSync(project.repository, { recursive: true });
      cpSync(kept, project.repository, { recursive: true });
    },
  };
}

/** Ways in which an operation can fail. What only reads has no effect, and nothing to leave halfway. */
function waysToFail(operation: Operation): FaultWhen[] {
  if (operation.startsWith('write')) return ['before', 'after', 'halfway'];
  return /^(begin|append|commit|remove)/.test(operation) ? ['before', 'after'] : ['before'];
}

/** `newBytes`: what the run without a fault adds. */
type Setting = { lanes: number; newBytes: number };

/** @returns whether the fault struck: with several lanes, operations of a kind are not always as many. */
async function failAndRecover(project: Project, fault: Fault, { lanes, newBytes }: Setting): Promise<boolean> {
  const { operation } = fault;
  const what = `${operation}, number ${fault.nth}, failed ${fault.when}`;
  const before = { index: filesOf(project, 'index').length, snapshots: filesOf(project, 'snapshots').length };
  const log = injectFault(fault);
  const error = await runWithFaults(project, lanes).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!log.struck()) {
    assert.equal(error, undefined, what);
    return false;
  }
  if (operation === 'read data' && error === undefined) {
    // Trees of the parent snapshot, which only saves time: they are read again, or done without.
    assert.deepEqual(await findingsOf(project), [], what);
    return true;
  }
  assert.ok(error instanceof HoldfastError, `${what}: the run ended with ${String(error)}`);
  assert.equal(error.code, fault.code, what);
  assert.match(error.message, /injected/, what);
  assert.deepEqual(await findingsOf(project), [], what);
  // A file that was begun without its writer being told cannot be discarded by it.
  if (fault.when !== 'halfway' && operation !== 'begin data') assert.deepEqual(temporaryFiles(project.repository), [], what);
  const locks = filesOf(project, 'locks').length;
  assert.equal(locks, operation === 'remove locks' && fault.when === 'before' ? 1 : 0, `${what}: locks left`);

  injectFault(undefined);
  const stored = filesOf(project, 'snapshots').length > before.snapshots;
  const indexed = filesOf(project, 'index').length > before.index;
  const next = await backUpInProcess(project, { lanes });
  assert.equal(next.exitCode, 0, what);
  assert.equal(filesOf(project, 'snapshots').length, before.snapshots + (stored ? 2 : 1), what);
  const added = next.snapshots[0]?.counts.dataAdded ?? -1;
  if (indexed) assert.ok(added < newBytes, `${what}: ${added} bytes were stored again, of ${newBytes}`);
  if (stored) assert.equal(added, 0, what);
  assert.deepEqual(await findingsOf(project), [], `${what}, next run`);
  return true;
}

/** An exclusive lock can be had in the end, whatever a failed removal left. */
async function lockLater(project: Project): Promise<void> {
  const later = { ...systemClock, now: () => new Date(Date.now() + 31 * 60 * 1000) };
  const held = await lockRepository(await openProject(project), { exclusive: true, clock: later });
  await held.release();
  assert.deepEqual(filesOf(project, 'locks'), []);
}

/** How often a run without a fault asks for what, and how much it adds. */
async function countOperations(project: Project, lanes: number): Promise<{ counts: Map<Operation, number>; newBytes: number }> {
  const log = injectFault(undefined);
  const result = await runWithFaults(project, lanes);
  assert.equal(result.exitCode, 0);
  return { counts: log.counts(), newBytes: result.snapshots[0]?.counts.dataAdded ?? 0 };
}

/** Up to `most` of the numbers below `count`, the first and the last among them. */
const spread = (count: number, most: number): number[] =>
  count <= most ? [...Array(count).keys()] : Array.from({ length: most }, (_, i) => Math.round((i * (count - 1)) / (most - 1)));

type Wanted = { lanes: number; operations?: RegExp; most: number };

/** @returns how many faults struck, by operation. */
async function failEach(t: TestContext, project: Project, { lanes, operations = /./, most }: Wanted): Promise<Record<string, number>> {
  const { reset } = withReset(project);
  const { counts, newBytes } = await countOperations(project, lanes);
  const faults = [...counts]
    .filter(([operation]) => operations.test(operation))
    .flatMap(([operation, count]) => waysToFail(operation).flatMap((when) => spread(count, most).map((nth) => ({ operation, nth, when }))));
  const restics = resticVersions();
  const struck: Record<string, number> = {};
  for (const [number, { operation, nth, when }] of faults.entries()) {
    reset();
    const code = /^(write|begin|append|commit)/.test(operation) && number % 2 === 0 ? 'storage-full' : 'storage';
    if (await failAndRecover(project, { operation, nth, when, code }, { lanes, newBytes }))
      struck[operation] = (struck[operation] ?? 0) + 1;
    if (operation === 'remove locks') await lockLater(project);
    const restic = restics[number % Math.max(restics.length, 1)];
    if (restic && number % resticEvery === 0) runRestic(restic, project, ['check', '--no-lock', '--read-data']);
  }
  const total = Object.values(struck).reduce((sum, count) => sum + count, 0);
  t.diagnostic(`storage faults survived: ${total} ${JSON.stringify(struck)}`);
  if (lanes === 1) assert.equal(total, faults.length);
  return struck;
}

test('every storage operation of a backup fails in turn', async (t) => {
  const project = createProject(t);
  fillVolume(project.volume, 200_000, 'base');
  injectFault(undefined);
  await backUpInProcess(project);
  fillVolume(project.volume, 300_000, 'changed');
  const struck = await failEach(t, project, { lanes: 1, most: 100 });
  const reading = ['read config', 'list keys', 'read keys', 'list locks', 'list index', 'read index', 'list snapshots', 'read snapshots'];
  for (const operation of [...reading, 'read data', 'write locks', 'write data', 'write index', 'write snapshots', 'remove locks']) {
    assert.ok(struck[operation], `${operation} was not among the operations`);
  }
});

for (const lanes of [1, 2]) {
  test(`packs that are stored in the middle of a run fail in turn, ${lanes === 1 ? 'one lane' : `${lanes} lanes`}`, async (t) => {
    const project = createProject(t);
    for (let n = 0; n < 5; n++) writeFileSync(join(project.volume, `random-${n}`), randomBytesOf(`large ${n}`, 8 * 1024 * 1024));
    const struck = await failEach(t, project, { lanes, operations: /^(write|begin|append|commit) data/, most: 2 });
    assert.ok((struck['write data'] ?? 0) + (struck['commit data'] ?? 0) >= 4);
  });
}
