/**
 * Every storage operation of a prune is made to fail in turn: before any effect, after it, and halfway. Whatever fails, the error is one of the
 * catalogue, the repository stays sound, and the next prune carries on and frees as much.
 */
import assert from 'node:assert/strict';
import { cpSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { defaultLimits } from '../../src/engine/maintenance/prune-plan.ts';
import { repairIndex } from '../../src/engine/maintenance/repair-index.ts';
import { HoldfastError } from '../../src/model/errors.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { resticVersions } from '../peers.ts';
import { findingsOf } from './engine.ts';
import { createProject, filesOf, openProject, type Project, runRestic } from './project.ts';
import { fillRepository, makeRoomInProcess, packsOf, pruneInProcess } from './prune-support.ts';
import { type Fault, type FaultWhen, injectFault, type Operation, withFaults } from './with-faults.ts';

const faultyLane = new URL('./faulty-lane.ts', import.meta.url);
const resticEvery = 10;

const pruneWithFaults = (project: Project, lanes: number) =>
  pruneInProcess(project, {
    storage: withFaults(createLocalStorage(project.repository), project.repository),
    laneEntry: faultyLane,
    lanes,
  });

function waysToFail(operation: Operation): FaultWhen[] {
  if (operation.startsWith('write')) return ['before', 'after', 'halfway'];
  return operation.startsWith('remove') ? ['before', 'after'] : ['before'];
}

/** Up to three of the numbers below `count`, the first and the last among them. */
const spread = (count: number): number[] => [...new Set([0, count >> 1, count - 1])];

/** After a failure: sound, and pruned as well in the end as without it. */
async function assertCarriesOn(project: Project, what: string, packs: number): Promise<void> {
  assert.deepEqual(await findingsOf(project), [], what);
  injectFault(undefined);
  await pruneInProcess(project);
  assert.deepEqual(await findingsOf(project), [], `${what}, next prune`);
  const { plan } = await pruneInProcess(project, { dryRun: true });
  const { free, unusedLeft } = plan.bytes;
  assert.deepEqual({ free, unusedLeft, repack: plan.packs.repack }, { free: 0, unusedLeft: 0, repack: 0 }, `${what}: something was left`);
  assert.ok(plan.packs.total <= packs + 2, `${what}: ${plan.packs.total} packs instead of ${packs}`);
}

async function failEach(t: TestContext, lanes: number, operations: RegExp, most = 3): Promise<Record<string, number>> {
  const project = createProject(t);
  await fillRepository(project);
  const kept = join(project.folder, 'kept');
  cpSync(project.repository, kept, { recursive: true });
  const reset = () => {
    rmSync(project.repository, { recursive: true });
    cpSync(kept, project.repository, { recursive: true });
  };
  const log = injectFault(undefined);
  const result = await pruneWithFaults(project, lanes);
  assert.ok(result.plan.packs.repack > 1 && result.plan.packs.remove > 0 && result.packsWritten > 1, JSON.stringify(result));
  const packs = packsOf(project).length;
  const faults = [...log.counts()]
    .filter(([operation]) => operations.test(operation))
    .flatMap(([operation, count]) =>
      waysToFail(operation).flatMap((when) =>
        spread(count)
          .slice(0, most)
          .map((nth) => ({ operation, nth, when })),
      ),
    );
  const struck: Record<string, number> = {};
  for (const [number, { operation, nth, when }] of faults.entries()) {
    reset();
    const before = packsOf(project);
    const code = operation.startsWith('write') && number % 2 === 0 ? 'storage-full' : 'storage';
    const fault: Fault = { operation, nth, when, code };
    const what = `${operation}, number ${nth}, failed ${when}`;
    const faulty = injectFault(fault);
    const error = await pruneWithFaults(project, lanes).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!faulty.struck()) continue;
    struck[operation] = (struck[operation] ?? 0) + 1;
    // A tree is read again when the range that it lies in could not be.
    if (operation === 'read data' && error === undefined) continue;
    assert.ok(error instanceof HoldfastError, `${what}: the prune ended with ${String(error)}`);
    assert.equal(error.code, code, what);
    assert.match(error.message, /injected/, what);
    if (/^(read|list|write)/.test(operation)) {
      const left = new Set(packsOf(project));
      assert.ok(
        before.every((name) => left.has(name)),
        `${what}: a pack was removed`,
      );
    }
    const restic = resticVersions()[number % Math.max(1, resticVersions().length)];
    if (restic && number % resticEvery === 0) runRestic(restic, project, ['check', '--no-lock', '--read-data']);
    for (const lock of filesOf(project, 'locks')) rmSync(join(project.repository, 'locks', lock));
    await assertCarriesOn(project, what, packs);
  }
  const total = Object.values(struck).reduce((sum, count) => sum + count, 0);
  t.diagnostic(`storage faults survived by prune, ${lanes} lanes: ${total} ${JSON.stringify(struck)}`);
  if (lanes === 1) assert.equal(total, faults.length);
  return struck;
}

test('every storage operation of a prune fails in turn', async (t) => {
  const struck = await failEach(t, 1, /(snapshots|index|data)$/);
  const all = [
    'list snapshots',
    'read snapshots',
    'list index',
    'read index',
    'read data',
    'list data',
    'write data',
    'write index',
    'remove index',
    'remove data',
  ];
  for (const operation of all) assert.ok(struck[operation], `${operation} was not among the operations`);
});

test('packs that two lanes write fail in turn', async (t) => {
  await failEach(t, 2, /^(write|remove) data$/, 1);
});

test('on a full disk, where the old index goes first: what fails between is told, loses nothing, and the index is made anew', async (t) => {
  const project = createProject(t);
  await fillRepository(project);
  const kept = join(project.folder, 'kept');
  cpSync(project.repository, kept, { recursive: true });
  const indexAside = join(project.folder, 'aside');
  const limits = { ...defaultLimits, maxRepackBytes: 0 };
  const faults: [Fault['operation'], FaultWhen][] = [
    ['read index', 'before'],
    ['remove index', 'before'],
    ['write index', 'halfway'],
    ['write index', 'after'],
    ['remove data', 'before'],
  ];
  for (const [operation, when] of faults) {
    rmSync(project.repository, { recursive: true });
    cpSync(kept, project.repository, { recursive: true });
    rmSync(indexAside, { recursive: true, force: true });
    // What the prune reads of the index comes before what it keeps aside of it.
    injectFault({
      operation,
      nth: operation === 'read index' ? filesOf(project, 'index').length : 0,
      when,
      code: 'storage-full',
      lasting: true,
    });
    const storage = withFaults(createLocalStorage(project.repository), project.repository);
    await assert.rejects(pruneInProcess(project, { storage, laneEntry: faultyLane, limits, indexAside }), (error: HoldfastError) => {
      const isBetween = operation === 'remove index' || operation === 'write index';
      assert.equal(/no pack that it named was removed; its old files are in/.test(error.message), isBetween, error.message);
      assert.equal(/repair index/.test(error.remedy), isBetween);
      return true;
    });
    injectFault(undefined);
    const what = `${operation} failed ${when}`;
    // The next one finds no room for its lock, makes some if it may, and removes nothing that is needed to mend this.
    const packs = packsOf(project).length;
    await makeRoomInProcess(project).catch((error: HoldfastError) => assert.ok(['damaged', 'storage-full'].includes(error.code), what));
    const madeRoom = packsOf(project).length < packs;
    if (operation === 'write index' && when !== 'after')
      await assert.rejects(pruneInProcess(project), { code: 'damaged' }, `${what}: another prune must not go on`);
    const repository = await openProject(project);
    await repairIndex({
      repository,
      readAllPacks: false,
      dryRun: false,
      onStep: () => undefined,
      onProgress: () => undefined,
      signal: new AbortController().signal,
    });
    assert.deepEqual(await findingsOf(project), [], what);
    const { plan } = await pruneInProcess(project, { limits, indexAside });
    assert.ok(plan.packs.remove + plan.packs.unreferenced > 0 || madeRoom, what);
    assert.deepEqual(await findingsOf(project), [], `${what}, next prune`);
  }
  const names = readdirSync(indexAside);
  assert.ok(
    names.every((name) => /^index-[0-9a-f]{64}$/.test(name)),
    names.join(),
  );
});
