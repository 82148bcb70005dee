import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { scratchRepository } from '../../../test/scratch-repository.ts';
import { aSnapshot, timeOf } from '../../../test/snapshot-histories.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { SnapshotId } from '../../model/ids.ts';
import type { Repository } from '../../repository/repository.ts';
import { listSnapshots, saveSnapshot } from '../../repository/snapshots.ts';
import { forgetSnapshots } from './forget.ts';

async function withSnapshots(t: TestContext, count: number): Promise<{ repository: Repository; ids: () => Promise<SnapshotId[]> }> {
  const repository = await scratchRepository(t);
  for (let place = 0; place < count; place++) await saveSnapshot(repository, aSnapshot({ time: timeOf(place * 1000) }));
  return { repository, ids: async () => (await listSnapshots(repository)).map(({ id }) => id) };
}

/** The repository on a storage whose removals a test decides on. */
function withRemove(repository: Repository, before: (name: string) => void | Promise<void>): Repository {
  const { storage } = repository;
  const remove: typeof storage.remove = async (file) => {
    await before(file.name);
    return storage.remove(file);
  };
  return { ...repository, storage: Object.assign(Object.create(storage), { remove }) };
}

const notAborted = new AbortController().signal;

test('one that cannot be removed does not keep the others; one that is gone is no failure', async (t) => {
  const { repository, ids } = await withSnapshots(t, 12);
  const snapshots = await listSnapshots(repository);
  const [stubborn, gone] = (await ids()) as [SnapshotId, SnapshotId];
  await repository.storage.remove({ kind: 'snapshots', name: gone });
  const failing = withRemove(repository, (name) => {
    if (name === stubborn) throw new HoldfastError('storage', 'the disk is tired');
  });
  const told: string[] = [];
  const failed = await forgetSnapshots({
    repository: failing,
    snapshots,
    onFailed: ({ id }, { message }) => told.push(`${id} ${message}`),
    signal: notAborted,
  });
  assert.equal(failed, 1);
  assert.deepEqual(told, [`${stubborn} the disk is tired`]);
  assert.deepEqual(await ids(), [stubborn]);
});

test('an append-only storage is told of with what to do, and not asked for ever', async (t) => {
  const { repository, ids } = await withSnapshots(t, 60);
  let asked = 0;
  const denying = withRemove(repository, () => {
    asked++;
    throw new HoldfastError('storage-denied', 'no');
  });
  const forgetting = forgetSnapshots({
    repository: denying,
    snapshots: await listSnapshots(repository),
    onFailed: () => undefined,
    signal: notAborted,
  });
  await assert.rejects(forgetting, (error: HoldfastError) => {
    assert.equal(error.code, 'storage-denied');
    assert.match(error.message, /does not let the snapshot \w{8} be removed/);
    assert.match(error.remedy, /append-only client cannot forget/);
    return true;
  });
  assert.ok(asked < 30, `${asked} of 60`);
  assert.equal((await ids()).length, 60);
});

test('an interruption ends it, with what was removed until then', async (t) => {
  const { repository, ids } = await withSnapshots(t, 40);
  const interrupted = new AbortController();
  let removed = 0;
  const counting = withRemove(repository, () => {
    if (++removed === 10) interrupted.abort(new HoldfastError('interrupted', 'interrupted'));
  });
  const forgetting = forgetSnapshots({
    repository: counting,
    snapshots: await listSnapshots(repository),
    onFailed: () => assert.fail('none fails'),
    signal: interrupted.signal,
  });
  await assert.rejects(forgetting, { code: 'interrupted' });
  const left = (await ids()).length;
  assert.ok(left >= 20 && left <= 30, `${left} are left: what was under way was ended, and nothing more begun`);
});
