import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { RestoreFixture, storeByHand } from '../../../test/engine/restore-support.ts';
import { node } from '../../../test/tree-node.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import { loadIndex } from '../../repository/load-index.ts';
import { createBlobFetcher, createScratch } from './lane-fetch.ts';

/** Fetches two blobs that lie behind each other, from a storage that cannot read the first. @returns what came of each. */
async function fetchBoth(t: TestContext, failure: HoldfastError): Promise<string[]> {
  const fixture = new RestoreFixture(t);
  const ids: BlobId[] = [];
  await storeByHand(fixture, ({ data, tree }) => {
    ids.push(data('first'), data('second'));
    return tree([node('file', { content: ids })]);
  });
  const repository = await fixture.open();
  const index = await loadIndex(repository);
  const { storage } = repository;
  const firstAt = index.location(index.find(ids[0] as BlobId, 'data'))?.offset;
  const failing: typeof storage = {
    ...storage,
    async read(file, range) {
      if (file.kind === 'data' && range?.offset === firstAt) throw failure;
      return storage.read(file, range);
    },
  };
  const found = ['', ''];
  const context = { repository: { ...repository, storage: failing }, index } as Parameters<typeof createBlobFetcher>[0];
  const fetch = createBlobFetcher(context, createScratch());
  await fetch(
    ids.map((id) => index.find(id, 'data')),
    (slot, plain) => void found.splice(slot, 1, plain.toString()),
    (slot, message) => void found.splice(slot, 1, message),
  );
  return found;
}

test('a storage that fails is no damage: its error ends it', async (t) => {
  for (const code of ['storage', 'storage-denied', 'interrupted'] as const)
    await assert.rejects(fetchBoth(t, new HoldfastError(code, 'no')), { code });
});

test('what a disk cannot read, is damaged or missing costs the one blob', async (t) => {
  const cause = Object.assign(new Error('i/o error'), { code: 'EIO' });
  for (const failure of [
    new HoldfastError('storage', 'cannot read: i/o error', { cause }),
    new HoldfastError('damaged', 'too short'),
    new HoldfastError('file-missing', 'missing'),
  ]) {
    const [first, second] = await fetchBoth(t, failure);
    assert.ok(first?.endsWith(failure.message), first);
    assert.equal(second, 'second');
  }
});

test('over a network two ranges are read ahead, in a directory one; all is given, in its order', async (t) => {
  const fixture = new RestoreFixture(t);
  const ids: BlobId[] = [];
  await storeByHand(fixture, ({ data, tree }) => {
    ids.push(data('wanted in many places'));
    return tree([node('file', { content: ids })]);
  });
  const repository = await fixture.open();
  const index = await loadIndex(repository);
  for (const [remote, most] of [
    [true, 3],
    [false, 2],
  ] as const) {
    let underWay = 0;
    let seen = 0;
    const storage: typeof repository.storage = {
      ...repository.storage,
      remote,
      async read(file, range) {
        seen = Math.max(seen, ++underWay);
        for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
        return repository.storage.read(file, range).finally(() => underWay--);
      },
    };
    const context = { repository: { ...repository, storage }, index } as Parameters<typeof createBlobFetcher>[0];
    const found: number[] = [];
    await createBlobFetcher(context, createScratch())(
      // Places that overlap are ranges of their own.
      new Array<number>(6).fill(index.find(ids[0] as BlobId, 'data')),
      (slot, plain) => {
        assert.equal(plain.toString(), 'wanted in many places');
        found.push(slot);
      },
      (_, message) => assert.fail(message),
    );
    assert.deepEqual(found, [0, 1, 2, 3, 4, 5]);
    assert.equal(seen, most);
    assert.equal(underWay, 0);
  }
});
