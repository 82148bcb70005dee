import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Counts, counterNames } from './counters.ts';
import { isDistrusted } from './nodes.ts';
import { countsOfBoth } from './warm-pass.ts';

const counts = (given: Partial<Counts>): Counts => ({ ...(Object.fromEntries(counterNames.map((name) => [name, 0])) as Counts), ...given });

test('both passes count as one backup: what was added is summed, files are new, changed or neither', () => {
  const warm = counts({ filesNew: 5, filesChanged: 3, filesUnmodified: 92, dataAdded: 1000, treeBlobs: 4, changedWhileRead: 2 });
  const last = counts({ filesNew: 1, filesChanged: 2, filesUnmodified: 98, totalFilesProcessed: 101, dataAdded: 10, treeBlobs: 1 });
  const both = countsOfBoth(warm, last);
  assert.deepEqual([both.filesNew, both.filesChanged, both.filesUnmodified], [6, 3, 92]);
  assert.deepEqual([both.dataAdded, both.treeBlobs, both.changedWhileRead], [1010, 5, 0]);
});

test('a first backup has nothing but new files, however often they changed meanwhile', () => {
  const both = countsOfBoth(counts({ filesNew: 10 }), counts({ filesChanged: 4, filesUnmodified: 6, totalFilesProcessed: 10 }));
  assert.deepEqual([both.filesNew, both.filesChanged, both.filesUnmodified], [10, 0, 0]);
});

test('what was touched in the second of the first pass or later is read again', () => {
  const changes = { force: false, ignoreCtime: false, ignoreInode: false };
  assert.equal(isDistrusted(100, changes), false);
  assert.deepEqual(
    [99, 100, 101].map((sec) => isDistrusted(sec, { ...changes, distrustedFromSec: 100 })),
    [false, true, true],
  );
});
