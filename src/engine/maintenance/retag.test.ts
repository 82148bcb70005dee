import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scratchRepository } from '../../../test/scratch-repository.ts';
import { aSnapshot } from '../../../test/snapshot-histories.ts';
import { HoldfastError } from '../../model/errors.ts';
import { tagsFromIdentity } from '../../model/snapshot.ts';
import { listSnapshots, readSnapshot, saveSnapshot } from '../../repository/snapshots.ts';
import { changeTags, retagSnapshot } from './retag.ts';

const identity = tagsFromIdentity({ project: 'p', volume: 'v', run: 'r', class: 'guard', consistency: 'torn' });
const own = aSnapshot({ tags: [...identity, 'a', 'b'] });
const other = aSnapshot({ tags: ['a', 'b'] });

test('tags are added behind, once, and removed', () => {
  assert.deepEqual(changeTags(other, { add: ['c', 'a', 'c'] }, false), ['a', 'b', 'c']);
  assert.deepEqual(changeTags(other, { add: ['c'], remove: ['a', 'x'] }, false), ['b', 'c']);
  assert.deepEqual(changeTags(other, { set: ['x', 'x', 'a'] }, false), ['x', 'a']);
  assert.deepEqual(changeTags(other, { set: [''] }, false), []);
  assert.deepEqual(changeTags(own, { add: ['c'], remove: ['b'] }, false), [...identity, 'a', 'c']);
});

test('what says what a snapshot is of stays, unless it is forced', () => {
  assert.deepEqual(changeTags(own, { set: ['x'] }, false), [...identity, 'x']);
  assert.deepEqual(changeTags(own, { set: ['x'] }, true), ['x']);
  for (const tag of identity) {
    assert.throws(() => changeTags(own, { remove: [tag] }, false), { code: 'usage' }, tag);
    assert.deepEqual(
      changeTags(own, { remove: [tag] }, true),
      own.tags.filter((kept) => kept !== tag),
    );
  }
  for (const tag of ['volume=w', 'class=scheduled', 'consistency=crash']) {
    assert.throws(() => changeTags(own, { add: [tag] }, false), { code: 'usage' }, tag);
    assert.throws(() => changeTags(own, { set: [tag] }, false), { code: 'usage' }, tag);
  }
  assert.deepEqual(changeTags(own, { add: ['volume=v'] }, false), own.tags);
  assert.throws(() => changeTags(other, { add: ['project=p', 'volume=v', 'run=r'] }, false), { code: 'usage' });
  assert.deepEqual(changeTags(other, { add: ['class=of its own'] }, false), ['a', 'b', 'class=of its own']);
});

test('a snapshot is written anew with all that it held, and names the first id for good', async (t) => {
  const repository = await scratchRepository(t);
  const before = { ...own, problems: 2, unknown: { label: 'of rustic' }, programVersion: 'someone 1.0' };
  const first = await saveSnapshot(repository, before);
  const [stored] = await listSnapshots(repository);
  assert.ok(stored);
  const second = await retagSnapshot(repository, stored, ['x'], [stored]);
  const again = await readSnapshot(repository, second);
  assert.deepEqual(again, { ...before, id: second, tags: ['x'], original: first });
  const third = await retagSnapshot(repository, again, ['y'], [again]);
  assert.equal((await readSnapshot(repository, third)).original, first);
  assert.deepEqual(
    (await listSnapshots(repository)).map(({ id }) => id),
    [third],
  );
});

test('when the old one cannot be removed both are there, and the same change again makes no third', async (t) => {
  const repository = await scratchRepository(t);
  const first = await saveSnapshot(repository, own);
  const snapshot = await readSnapshot(repository, first);
  const failing = {
    ...repository,
    storage: Object.assign(Object.create(repository.storage), {
      remove: async () => {
        throw new HoldfastError('storage', 'lost the connection');
      },
    }),
  };
  await assert.rejects(retagSnapshot(failing, snapshot, ['x'], [snapshot]), { code: 'storage' });
  const both = await listSnapshots(repository);
  assert.equal(both.length, 2);
  const id = await retagSnapshot(repository, snapshot, ['x'], both);
  assert.deepEqual(
    (await listSnapshots(repository)).map(({ id: left }) => left),
    [id],
  );
});
