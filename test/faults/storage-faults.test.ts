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
import { createProject, filesOf, fillVolume, openProject, type Project, randomBytesOf, runRestic } from './project.ts';
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
  return operation.startsWith('remove') ? ['before', 'after'] : ['before'];
}

/** `newBytes`: what the run without a fault adds. */
type Setting = { lanes: number; newBytes: number };

async function failAndRecover(project: Project, fault: Fault, operation: Operation, { lanes, newBytes }: Setting): Promise<void> {
  const what = `${operation}, operation ${fault.operation}, failed ${fault.when}`;
  const before = { index: filesOf(project, 'index').length, snapshots: filesOf(project, 'snapshots').length };
  injectFault(fault);
  const error = await runWithFaults(project, lanes).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (operation === 'read data' && error === undefined) {
    // Trees of the parent snapshot, which only saves time: they are read again, or done without.
    assert.deepEqual(await findingsOf(project), [], what);
    return;
  }
  assert.ok(error instanceof HoldfastError, `${what}: the run ended with ${String(error)}`);
  assert.equal(error.code, fault.code, what);
  assert.match(error.message, /injected/, what);
  assert.deepEqual(await findingsOf(project), [], what);
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
}

/** An exclusive lock can be had in the end, whatever a failed removal left. */
async function lockLater(project: Project): Promise<void> {
  const later = { ...systemClock, now: () => new Date(Date.now() + 31 * 60 * 1000) };
  const held = await lockRepository(await openProject(project), { exclusive: true, clock: later });
  await held.release();
  assert.deepEqual(filesOf(project, 'locks'), []);
}

/** The operations of a run without a fault, and what it adds. */
async function dryRun(project: Project, lanes: number): Promise<{ operations: Operation[]; newBytes: number }> {
  const log = injectFault(undefined);
  const result = await runWithFaults(project, lanes);
  assert.equal(result.exitCode, 0);
  return { operations: log.operations(), newBytes: result.snapshots[0]?.counts.dataAdded ?? 0 };
}

async function failEach(
  t: TestContext,
  project: Project,
  lanes: number,
  wanted: (operation: Operation) => boolean,
): Promise<Record<string, number>> {
  const { reset } = withReset(project);
  const { operations, newBytes } = await dryRun(project, lanes);
  const restics = resticVersions();
  const injected: Record<string, number> = {};
  let count = 0;
  for (const [number, operation] of operations.entries()) {
    if (!wanted(operation)) continue;
    for (const when of waysToFail(operation)) {
      reset();
      const code = operation.startsWith('write') && count % 2 === 0 ? 'storage-full' : 'storage';
      await failAndRecover(project, { operation: number, when, code }, operation, { lanes, newBytes });
      if (operation === 'remove locks') await lockLater(project);
      const restic = restics[count % Math.max(restics.length, 1)];
      if (restic && count % resticEvery === 0) runRestic(restic, project, ['check', '--no-lock', '--read-data']);
      injected[operation] = (injected[operation] ?? 0) + 1;
      count++;
    }
  }
  t.diagnostic(`storage faults survived: ${count} ${JSON.stringify(injected)}`);
  return injected;
}

test('every storage operation of a backup fails in turn', async (t) => {
  const project = createProject(t);
  fillVolume(project.volume, 200_000, 'base');
  injectFault(undefined);
  await backUpInProcess(project);
  fillVolume(project.volume, 300_000, 'changed');
  const injected = await failEach(t, project, 1, () => true);
  for (const operation of [
    'read config',
    'list keys',
    'read keys',
    'write locks',
    'list locks',
    'read locks',
    'list index',
    'read index',
  ]) {
    assert.ok(injected[operation], `${operation} was not among the operations`);
  }
  for (const operation of [
    'list snapshots',
    'read snapshots',
    'read data',
    'write data',
    'write index',
    'write snapshots',
    'remove locks',
  ]) {
    assert.ok(injected[operation], `${operation} was not among the operations`);
  }
});

test('packs that lanes store in the middle of a run fail in turn', async (t) => {
  const project = createProject(t);
  for (let n = 0; n < 6; n++) writeFileSync(join(project.volume, `random-${n}`), randomBytesOf(`large ${n}`, 8 * 1024 * 1024));
  const injected = await failEach(t, project, 2, (operation) => operation === 'write data');
  assert.ok((injected['write data'] ?? 0) >= 9);
});
