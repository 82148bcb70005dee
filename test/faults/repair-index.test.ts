import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type IndexRepairResult, type IndexRepairStep, repairIndex } from '../../src/engine/maintenance/repair-index.ts';
import { repairSnapshots } from '../../src/engine/maintenance/repair-snapshots.ts';
import { HoldfastError } from '../../src/model/errors.ts';
import { loadIndex } from '../../src/repository/load-index.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { makeSmallRepository, packPath, type SmallRepository } from './small-repository.ts';

async function repair(
  small: SmallRepository,
  { readAllPacks = false, wrap = (storage: Storage) => storage } = {},
): Promise<{ steps: IndexRepairStep[]; result: IndexRepairResult }> {
  const opened = await small.open();
  const steps: IndexRepairStep[] = [];
  const result = await repairIndex({
    repository: { ...opened, storage: wrap(opened.storage) },
    readAllPacks,
    dryRun: false,
    onStep: (step) => steps.push(step),
    onProgress: () => undefined,
    signal: new AbortController().signal,
  });
  return { steps, result };
}

const small = (t: TestContext) => makeSmallRepository(t);

test('a good index stays as it is, and no header is read unless all are asked for', async (t) => {
  const repository = await small(t);
  const before = repository.names('index');
  const { steps, result } = await repair(repository);
  assert.deepEqual([steps, result.headersRead, result.complete], [[], 0, true]);
  assert.equal((await repair(repository, { readAllPacks: true })).result.headersRead, repository.names('data').length);
  assert.deepEqual(repository.names('index'), before);
});

test('what lies beyond the end of a pack leaves the index, so that a backup stores it again', async (t) => {
  const repository = await small(t);
  const { pack, id, offset, length } = await repository.placeOf('docs/first.txt');
  const blobs = (await repository.index()).packs.find((candidate) => packPath(candidate.id) === pack)?.blobs ?? [];
  repository.damage(pack, (bytes) => bytes.subarray(0, offset + length));
  const { steps, result } = await repair(repository);
  assert.deepEqual(
    steps.map(({ action }) => action),
    ['keep-pack', 'remove-index'],
  );
  assert.equal(result.complete, false);
  const index = await loadIndex(await repository.open());
  assert.ok(index.has(id, 'data'), 'what can be there is not given up');
  for (const blob of blobs) assert.equal(index.has(blob.id, 'data'), blob.offset + blob.length <= offset + length, blob.id);
  assert.ok(repository.names('data').includes(pack), 'packs are never removed');
});

test('a pack that a listing lacks is looked for by its name before it is given up', async (t) => {
  const repository = await small(t);
  const [hidden] = repository.names('data').map((name) => name.slice(-64));
  const before = repository.names('index');
  const wrap = (storage: Storage): Storage => ({
    ...storage,
    async *list(kind) {
      for await (const file of storage.list(kind)) if (file.name !== hidden) yield file;
    },
  });
  assert.deepEqual((await repair(repository, { wrap })).steps, []);
  assert.deepEqual(repository.names('index'), before);
  repository.remove(packPath(hidden as string));
  const { steps, result } = await repair(repository);
  assert.deepEqual(
    steps.filter(({ action }) => action === 'drop-pack').map((step) => 'pack' in step && step.pack),
    [hidden],
  );
  assert.equal(result.complete, false);
});

test('index files that need no change stay beside those that do', async (t) => {
  const repository = await small(t);
  const [kept] = repository.names('index');
  const { packs } = await repository.index();
  await repository.addIndex({ packs: packs.slice(-1) });
  await repository.addIndex({ packs: [{ id: 'ab'.repeat(32), blobs: [] }] });
  const { steps, result } = await repair(repository);
  assert.deepEqual([result.packsDropped, result.packsWritten, result.indexFilesRemoved], [1, 0, 2], JSON.stringify(steps));
  assert.ok(repository.names('index').includes(kept as string));
  assert.equal((await repository.check()).notes, 0);
});

test('what cannot be read now is not taken for damaged: nothing is removed', async (t) => {
  const repository = await small(t);
  for (const code of ['storage', 'storage-denied', 'interrupted'] as const) {
    const failing = (kind: string) => ({
      wrap: (storage: Storage): Storage => ({
        ...storage,
        read: async (file, range) => {
          if (file.kind === kind) throw new HoldfastError(code, 'not now');
          return storage.read(file, range);
        },
      }),
    });
    const before = ['index', 'data', 'snapshots'].map((kind) => repository.names(kind));
    await assert.rejects(repair(repository, failing('index')), { name: 'HoldfastError' });
    const opened = await repository.open();
    const snapshots = repairSnapshots({
      repository: { ...opened, storage: failing('data').wrap(opened.storage) },
      snapshots: [],
      forget: true,
      keepFolder: repository.folder,
      dryRun: false,
      onStep: () => undefined,
      onProgress: () => undefined,
      signal: new AbortController().signal,
    });
    await assert.rejects(snapshots, { name: 'HoldfastError', code });
    assert.deepEqual(
      ['index', 'data', 'snapshots'].map((kind) => repository.names(kind)),
      before,
    );
  }
});
