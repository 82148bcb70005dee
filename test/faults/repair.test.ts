/**
 * Every kind of damage is repaired: what was not destroyed is there afterwards, byte for byte, nothing else is lost, and check and restic find
 * nothing wrong any more. Repairs that are interrupted leave a repository that is no worse, and can be repaired.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { CheckResult } from '../../src/engine/maintenance/check.ts';
import { type IndexRepairStep, repairIndex } from '../../src/engine/maintenance/repair-index.ts';
import { type PackRepairStep, repairPacks } from '../../src/engine/maintenance/repair-packs.ts';
import { repairSnapshots, type SnapshotRepairStep } from '../../src/engine/maintenance/repair-snapshots.ts';
import { sha256Hex } from '../../src/format/kernel/sha256.ts';
import { decodeTree } from '../../src/format/tree.ts';
import { HoldfastError } from '../../src/model/errors.ts';
import type { CheckFinding } from '../../src/model/events.ts';
import { type BlobId, type PackId, parsePackId } from '../../src/model/ids.ts';
import type { RawString } from '../../src/model/raw-bytes.ts';
import { createBlobReader } from '../../src/repository/blob-reader.ts';
import { listTree } from '../../src/repository/list-tree.ts';
import { loadIndex } from '../../src/repository/load-index.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { type Restic, requireRestic, resticVersions } from '../peers.ts';
import { type Damage, damages } from './damages.ts';
import { makeSmallRepository, packPath, type SmallRepository } from './small-repository.ts';
import { type Fault, type FaultWhen, injectFault, type Operation, withFaults } from './with-faults.ts';

type Steps = { index: IndexRepairStep[]; packs: PackRepairStep[]; losses: CheckFinding[]; snapshots: SnapshotRepairStep[] };

const keepFolderOf = (repository: SmallRepository) => join(dirname(repository.folder), 'kept');

/** Packs in which a check found damage, as `repair packs --damaged` finds them. */
function damagedPacks({ findings }: CheckResult): PackId[] {
  const kinds = ['pack-damaged', 'pack-header', 'blob-damaged', 'pack-size'];
  const found = findings.filter(({ kind }) => kinds.includes(kind)).flatMap(({ file }) => parsePackId(file?.slice('data/'.length)) ?? []);
  return [...new Set(found)];
}

type Repair = 'index' | 'packs' | 'snapshots';
const allRepairs: readonly Repair[] = ['index', 'packs', 'snapshots'];
type Plan = { small: SmallRepository; repository: Repository; packs?: PackId[]; dryRun?: boolean };

/** Repairs in the order that the documentation recommends. */
async function repair({ small, repository, packs, dryRun = false }: Plan, which: readonly Repair[] = allRepairs): Promise<Steps> {
  const steps: Steps = { index: [], packs: [], losses: [], snapshots: [] };
  const keepFolder = keepFolderOf(small);
  const common = { repository, dryRun, onProgress: () => undefined, signal: new AbortController().signal };
  if (which.includes('index')) await repairIndex({ ...common, readAllPacks: true, onStep: (step) => steps.index.push(step) });
  if (which.includes('packs')) {
    const wanted = packs ?? damagedPacks(await small.check());
    const there = wanted.filter((pack) => small.names('data').includes(packPath(pack)));
    const onLoss = (finding: CheckFinding) => void steps.losses.push(finding);
    await repairPacks({ ...common, packs: there, keepFolder, onStep: (step) => steps.packs.push(step), onLoss });
  }
  if (which.includes('snapshots')) {
    const onStep = (step: SnapshotRepairStep) => void steps.snapshots.push(step);
    await repairSnapshots({ ...common, snapshots: [], forget: true, keepFolder, onStep });
  }
  return steps;
}

/** What every snapshot holds, by its time: files with their content, and directories. Throws where something cannot be read. */
async function contents(small: SmallRepository): Promise<Map<string, Map<string, string>>> {
  const repository = await small.open();
  const { storage, seal } = repository;
  const blobs = createBlobReader({ storage, seal, index: await loadIndex(repository) });
  const found = new Map<string, Map<string, string>>();
  for (const { time, tree } of await listSnapshots(repository)) {
    const paths = new Map<string, string>();
    for await (const { path, node } of listTree(blobs, tree, '' as RawString, true)) {
      const parts = await Promise.all((node.content ?? []).map((id) => blobs.read('data', id)));
      paths.set(path, node.type === 'dir' ? '/' : Buffer.concat(parts).toString('latin1'));
    }
    found.set(time, paths);
  }
  return found;
}

type Expected = {
  contents: Map<string, Map<string, string>>;
  /** Files that lose content and directories that become empty, by the snapshot's time; `.` for the root. */
  lost: Map<string, string[]>;
};

/** What should be there after the repair: by comparing the bytes of every blob with those that were written. */
async function expected(damaged: SmallRepository, saved: string | undefined): Promise<Expected> {
  const intact = new Map<string, boolean>();
  const there = new Set(damaged.names('data'));
  for (const { id: pack, blobs } of (await pristine.index()).packs) {
    const [was, is] = [pristine.bytes(packPath(pack)), there.has(packPath(pack)) ? damaged.bytes(packPath(pack)) : Buffer.alloc(0)];
    for (const { id, type, offset, length } of blobs) {
      intact.set(`${type}:${id}`, was.subarray(offset, offset + length).equals(is.subarray(offset, offset + length)));
    }
  }
  const repository = await pristine.open();
  const { storage, seal } = repository;
  const blobs = createBlobReader({ storage, seal, index: await loadIndex(repository) });
  const result: Expected = { contents: new Map(), lost: new Map() };
  for (const { time, tree } of await listSnapshots(repository)) {
    const paths = new Map<string, string>();
    const gone: string[] = [];
    const lost: string[] = [];
    result.lost.set(time, lost);
    if (!intact.get(`tree:${tree}`)) {
      lost.push('.');
      continue;
    }
    for await (const { path, node } of listTree(blobs, tree, '' as RawString, true)) {
      if (gone.some((folder) => path.startsWith(`${folder}/`))) continue;
      if (node.subtree !== undefined && !intact.get(`tree:${node.subtree}`)) gone.push(path);
      const content = (node.content ?? []).filter((id) => intact.get(`data:${id}`) || path === saved);
      if (content.length < (node.content ?? []).length) lost.push(path);
      const parts = await Promise.all(content.map((id) => blobs.read('data', id)));
      paths.set(path, node.type === 'dir' ? '/' : Buffer.concat(parts).toString('latin1'));
    }
    lost.push(...gone);
    result.contents.set(time, paths);
  }
  return result;
}

function runRestic({ path }: Restic, small: SmallRepository, ...args: string[]): string {
  const environment = { ...process.env, RESTIC_PASSWORD: 'x' };
  // It keeps copies of packs where it is started.
  const options = { cwd: dirname(small.folder), env: environment, encoding: 'utf8', stdio: 'pipe' } as const;
  return execFileSync(path, ['-q', '--no-cache', '-r', small.folder, ...args], options);
}

const told = (findings: readonly CheckFinding[]) =>
  findings.map(({ severity, kind, message }) => `${severity} ${kind}: ${message}`).join('\n');

/** Everything in the repository's folder, with its hash. */
const stateOf = (small: SmallRepository): string =>
  ['data', 'index', 'snapshots', 'locks']
    .flatMap((kind) => small.names(kind))
    .map((name) => `${name} ${sha256Hex(small.bytes(name))}`)
    .join('\n');

let pristine: SmallRepository;
const cleanUps: (() => void)[] = [];

async function assertRepaired(small: SmallRepository, { saved, unknowable }: Damage, damaged: SmallRepository): Promise<void> {
  const { exitCode, findings } = await small.check();
  assert.equal(exitCode, 0, told(findings));
  const is = await contents(small);
  for (const [time, paths] of (await expected(damaged, saved)).contents) {
    const found = is.get(time);
    if (unknowable !== true) assert.deepEqual(found, paths);
    for (const [path, content] of found ?? []) assert.ok(content === '' || content === paths.get(path), `${path} is not what it was`);
    is.delete(time);
  }
  // Snapshots that the damage brought along.
  for (const time of is.keys()) assert.ok(time.startsWith('2020-01-01'), `the snapshot of ${time} has lost its root`);
}

/** Paths that are told to be affected, by the snapshot's time; those that the damage brought along are left out. */
async function pathsTold(
  small: SmallRepository,
  told: readonly { snapshot: string; paths: readonly string[] }[],
): Promise<Map<string, string[]>> {
  const paths = new Map<string, Set<string>>();
  const times = new Map((await listSnapshots(await small.open(), () => undefined)).map(({ id, time }) => [id as string, time]));
  for (const time of (await expected(pristine, undefined)).lost.keys()) paths.set(time, new Set());
  for (const { snapshot, paths: affected } of told) for (const path of affected) paths.get(times.get(snapshot) ?? '')?.add(path);
  return new Map([...paths].map(([time, list]) => [time, [...list].sort()]));
}

const sorted = (lost: Expected['lost']) => new Map([...lost].map(([time, paths]) => [time, paths.toSorted()]));

describe('repairs', { concurrency: 2 }, () => {
  before(async () => {
    pristine = await makeSmallRepository({ after: (cleanUp) => void cleanUps.push(cleanUp as () => void) });
  });
  after(() => {
    for (const cleanUp of cleanUps.splice(0)) cleanUp();
  });

  for (const [number, damage] of damages.entries()) {
    test(`repaired: ${damage.name}`, async (t) => {
      const small = pristine.copy(t);
      await damage.apply(small);
      const damaged = small.copy(t);
      const found = await small.check();
      const state = stateOf(small);
      await repair({ small, repository: await small.open(), packs: damagedPacks(found), dryRun: true }).catch((error: unknown) => {
        // Planned alone, a repair that needs another one first says so.
        assert.ok(error instanceof HoldfastError && error.code === 'damaged' && /repair index/.test(error.remedy), String(error));
      });
      assert.equal(stateOf(small), state, 'a dry run changed something');

      const { lost } = await expected(damaged, damage.saved);
      const indexGood =
        found.notes === 0 && !found.findings.some(({ kind, file }) => kind.startsWith('index') || file?.startsWith('index'));
      const packs = indexGood && damaged.names('index').length > 0 ? { packs: damagedPacks(found) } : {};
      const steps = await repair({ small, repository: await small.open(), ...packs });
      await assertRepaired(small, damage, damaged);
      // The newest restic looks at each, the other one at every fifth.
      for (const restic of resticVersions().slice(number % 5 === 0 ? 0 : -1)) runRestic(restic, small, 'check', '--read-data');

      if (damage.unknowable !== true) {
        const changes = steps.snapshots.map((step) => ({
          snapshot: step.snapshot,
          paths: step.action === 'rewrite-snapshot' ? step.changes.map(({ path }) => path) : ['.'],
        }));
        assert.deepEqual(await pathsTold(damaged, changes), sorted(lost), 'what the repair says that is lost');
        const affected = await pathsTold(
          damaged,
          found.findings.flatMap(({ affects }) => affects),
        );
        if (indexGood && damaged.names('index').length > 0) assert.deepEqual(affected, sorted(lost), 'what the check says that is lost');
        for (const [time, paths] of lost)
          for (const path of paths) assert.ok(affected.get(time)?.includes(path), `the check did not tell of ${path}`);
      }
      for (const step of steps.packs) {
        if (step.action === 'salvage-pack') assert.ok(readdirSync(keepFolderOf(small)).includes(`pack-${step.pack}`), 'no copy was kept');
      }
      const again = await repair({ small, repository: await small.open() }, ['index', 'snapshots']);
      assert.deepEqual(
        [again.index.filter(({ action }) => action !== 'keep-pack'), again.snapshots],
        [[], []],
        'a second repair found something',
      );
    });
  }
});

/** What can be read of all snapshots, by time and path. */
async function readable(small: SmallRepository): Promise<Map<string, string>> {
  const repository = await small.open();
  const { storage, seal } = repository;
  const index = await loadIndex(repository, () => undefined);
  const blobs = createBlobReader({ storage, seal, index });
  const found = new Map<string, string>();
  const visit = async (time: string, tree: BlobId, prefix: string): Promise<void> => {
    for (const node of await blobs.read('tree', tree).then(decodeTree, () => [])) {
      const path = `${prefix}/${node.name}`;
      if (node.subtree !== undefined) await visit(time, node.subtree, path);
      const content = await Promise.all((node.content ?? []).map((id) => blobs.read('data', id))).catch(() => undefined);
      if (content !== undefined && content.length > 0) found.set(`${time}${path}`, sha256Hex(Buffer.concat(content)));
    }
  };
  for (const { time, tree } of await listSnapshots(repository, () => undefined)) await visit(time, tree, '');
  return found;
}

async function assertNoWorse(small: SmallRepository, before: ReadonlyMap<string, string>, what: string): Promise<void> {
  const now = await readable(small);
  for (const [path, hash] of before) assert.equal(now.get(path), hash, `${what}: ${path} could be read before`);
}

/** A repository with something to do for each repair, and the packs of it that are damaged. */
async function worn(t: TestContext): Promise<{ small: SmallRepository; packs: PackId[] }> {
  const small = pristine.copy(t);
  const { pack, offset } = await small.placeOf('docs/first.txt');
  small.damage(pack, (bytes) => bytes.fill(0, offset + 20, offset + 30));
  const trees = (await small.index()).packs.filter(({ blobs }) => blobs[0]?.type === 'tree').map(({ id }) => id);
  small.damage(packPath(trees[0] as string), (bytes) => bytes.fill(0, bytes.length - 10));
  await small.rewriteIndex(
    (document) =>
      void document.packs.splice(
        document.packs.findIndex(({ id }) => id === trees[1]),
        1,
      ),
  );
  const nonsense = 'ef'.repeat(32);
  writeFileSync(join(small.folder, 'index', nonsense), 'nonsense');
  return { small, packs: [parsePackId(pack.slice(-64)) as PackId, trees[0] as PackId] };
}

/** Ways in which an operation can fail. What only reads has no effect, and nothing to leave halfway. */
function waysToFail(operation: Operation): FaultWhen[] {
  if (operation.startsWith('write')) return ['before', 'after', 'halfway'];
  return operation.startsWith('remove') ? ['before', 'after'] : ['before'];
}

/** Which of so many operations of a kind fail: all that change something; of the others the first, one in the middle and the last. */
function numbersOf(operation: Operation, count: number): number[] {
  const all = Array.from({ length: count }, (_, nth) => nth);
  return /^(write|remove)/.test(operation) ? all : [...new Set([0, count >> 1, count - 1])];
}

/** Opens a repository whose storage fails as said. */
async function openFaulty(
  small: SmallRepository,
  fault: Fault | undefined,
): Promise<{ repository: Repository; counts: () => Map<Operation, number> }> {
  const { seal, config, masterKey } = await small.open();
  const { counts } = injectFault(fault);
  return { repository: { storage: withFaults(createLocalStorage(small.folder), small.folder), seal, config, masterKey }, counts };
}

describe('interrupted repairs', () => {
  before(async () => {
    pristine = await makeSmallRepository({ after: (cleanUp) => void cleanUps.push(cleanUp as () => void) });
  });
  after(() => {
    for (const cleanUp of cleanUps.splice(0)) cleanUp();
  });

  test('every storage operation of each repair fails in turn: no worse than before, and repaired by the next run', async (t) => {
    const { small: start, packs } = await worn(t);
    const whole = start.copy(t);
    await repair({ small: whole, repository: await whole.open(), packs });
    const goal = await readable(whole);
    const restic = resticVersions().at(-1);
    let struck = 0;
    for (const [stage, which] of allRepairs.entries()) {
      const counted = start.copy(t);
      const { repository: counting, counts } = await openFaulty(counted, undefined);
      await repair({ small: counted, repository: counting, packs }, [which]);
      const faults = [...counts()].flatMap(([operation, count]) =>
        waysToFail(operation).flatMap((when) =>
          numbersOf(operation, count).map((nth): Fault => ({ operation, nth, when, code: 'storage' })),
        ),
      );
      for (const fault of faults) {
        const what = `repair ${which}: ${fault.operation}, number ${fault.nth}, failed ${fault.when}`;
        const small = start.copy(t);
        const before = await readable(small);
        const { repository } = await openFaulty(small, fault);
        await repair({ small, repository, packs }, [which]).catch((error: unknown) => {
          assert.ok(error instanceof HoldfastError && /injected/.test(error.message), `${what}: ${String(error)}`);
        });
        struck++;
        await assertNoWorse(small, before, what);
        await repair({ small, repository: await small.open(), packs });
        assert.deepEqual(await readable(small), goal, what);
        if (restic !== undefined && struck % 15 === 0) runRestic(restic, small, 'check', '--read-data');
      }
      // The next repair is for what this one leaves.
      await repair({ small: start, repository: await start.open(), packs }, allRepairs.slice(stage, stage + 1));
    }
    injectFault(undefined);
    t.diagnostic(`storage faults of repairs survived: ${struck}`);
    assert.ok(struck > 40, `${struck}`);
  });

  test('a storage that denies what a repair of packs needs: a sound state, that is told, and the next run carries on', async (t) => {
    const { small: start, packs } = await worn(t);
    await repair({ small: start, repository: await start.open(), packs }, ['index']);
    const whole = start.copy(t);
    await repair({ small: whole, repository: await whole.open(), packs }, ['packs']);
    const goal = await readable(whole);
    const states: [Operation, RegExp][] = [
      ['write data', /no damaged pack is removed and the index is as it was \(copies kept of 2 of 2 packs\)/],
      ['write index', /stored anew, the index is not rewritten in all, and no damaged pack is removed/],
      ['remove index', /stored anew, the index is not rewritten in all, and no damaged pack is removed/],
      ['remove data', /stored and indexed anew, and 0 of 2 damaged packs are removed/],
    ];
    for (const [operation, state] of states) {
      const small = start.copy(t);
      const before = await readable(small);
      const { repository } = await openFaulty(small, { operation, nth: 0, when: 'before', code: 'storage-denied', lasting: true });
      await assert.rejects(repair({ small, repository, packs }, ['packs']), (error: HoldfastError) => {
        assert.deepEqual([error.code, state.test(error.message)], ['storage-denied', true], error.message);
        assert.match(error.remedy, /may read, write and delete/);
        return true;
      });
      await assertNoWorse(small, before, operation);
      await repair({ small, repository: await small.open(), packs }, ['packs']);
      assert.deepEqual(await readable(small), goal, operation);
    }
    const { repository } = await openFaulty(start, {
      operation: 'read data',
      nth: 0,
      when: 'before',
      code: 'storage-denied',
      lasting: true,
    });
    const steps = await repair({ small: start, repository, packs }, ['packs']);
    assert.deepEqual(
      steps.packs.map(({ action }) => action),
      ['keep-pack', 'keep-pack'],
      'what cannot be read now is not taken for damaged',
    );
    injectFault(undefined);
  });

  test('killed after every change in turn: no worse than before, and repaired by the next run', async (t) => {
    const { small: start, packs } = await worn(t);
    const whole = start.copy(t);
    await repair({ small: whole, repository: await whole.open(), packs });
    const goal = await readable(whole);
    const child = join(import.meta.dirname, 'repair-child.ts');
    let kills = 0;
    for (let nth = 1; ; nth++) {
      const small = start.copy(t);
      const before = await readable(small);
      const { signal, status, stderr } = spawnSync(process.execPath, [child, small.folder, keepFolderOf(small), String(nth), ...packs], {
        encoding: 'utf8',
      });
      if (signal !== 'SIGKILL') {
        assert.equal(status, 0, stderr);
        break;
      }
      kills++;
      await assertNoWorse(small, before, `killed after change ${nth}`);
      await repair({ small, repository: await small.open(), packs });
      assert.deepEqual(await readable(small), goal, `killed after change ${nth}`);
    }
    t.diagnostic(`kills of repairs survived: ${kills}`);
    assert.ok(kills >= 10, `${kills}`);
  });

  const compared = [
    'flipped bit in a data blob',
    'flipped bit in a directory that both snapshots have',
    'missing pack of data',
    'missing packs of trees',
    'truncated index',
    'file without content',
    'directory without a tree',
    'missing blob',
    'missing subtree',
    'file whose size is not its content',
  ];
  for (const damage of damages.filter(({ name }) => compared.includes(name))) {
    test(`restic's own repair comes to the same: ${damage.name}`, async (t) => {
      const restic = requireRestic(t, 'newest');
      if (restic === undefined) return;
      const ours = pristine.copy(t);
      await damage.apply(ours);
      const theirs = ours.copy(t);
      const packs = damagedPacks(await ours.check());
      await repair({ small: ours, repository: await ours.open(), packs });
      runRestic(restic, theirs, 'repair', 'index');
      const there = packs.filter((pack) => theirs.names('data').includes(packPath(pack)));
      if (there.length > 0) runRestic(restic, theirs, 'repair', 'packs', ...there);
      runRestic(restic, theirs, 'repair', 'snapshots', '--forget');
      const treesOf = async (small: SmallRepository) =>
        (await listSnapshots(await small.open()))
          .map(({ time, tree, original }) => ({ time, tree, original }))
          .sort((a, b) => (a.time < b.time ? -1 : 1));
      assert.deepEqual(await treesOf(ours), await treesOf(theirs));
    });
  }
});
