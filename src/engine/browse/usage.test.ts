import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scratchRepository } from '../../../test/scratch-repository.ts';
import { storeTrees } from '../../../test/scratch-trees.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { BlobIndex } from '../../repository/blob-index.ts';
import { createTrees, type Trees } from './trees-ahead.ts';
import { createUsageMeter } from './usage.ts';

test('shared trees and content count where they are, and are read once', async (t) => {
  const repository = await scratchRepository(t);
  const index = new BlobIndex();
  const same = { x: 'twelve bytes', y: { empty: '', z: 'twelve bytes' } };
  const roots = await storeTrees(repository, index, [
    { a: same, b: same },
    { a: same, c: 'other' },
    { a: same, b: same },
  ]);
  const trees = createTrees({ repository, index });
  const read: BlobId[] = [];
  const counted: Trees = {
    ...trees,
    nodes(tree) {
      read.push(tree);
      return trees.nodes(tree);
    },
  };
  const meter = createUsageMeter(counted);
  for (const root of roots) await meter.add('volume', root);
  await meter.add('another', roots[0] as BlobId);
  const { groups, total } = meter.finish();
  assert.deepEqual(groups.get('volume')?.restore, { entries: 10 + 6 + 10, files: 6 + 4 + 6, bytes: 48 + 29 + 48 });
  assert.deepEqual(groups.get('volume')?.distinctFiles, { files: 3, bytes: 17 });
  assert.deepEqual(groups.get('another')?.distinctFiles, { files: 2, bytes: 12 });
  assert.deepEqual([total.snapshots, total.restore.files, total.distinctFiles.files], [4, 22, 3]);
  assert.deepEqual([total.blobs.data, total.blobs.trees, total.blobs.missing], [2, 4, 0]);
  // Four trees for the one volume, three for the other.
  assert.equal(read.length, 7);
});

test('a file with several names counts once a snapshot, wherever they are', async (t) => {
  const repository = await scratchRepository(t);
  const index = new BlobIndex();
  const [root] = (await storeTrees(repository, index, [
    { a: { one: 'linked!' }, b: { c: { two: 'linked!' } }, three: 'linked!', alone: 'x' },
  ])) as [BlobId];
  const trees = createTrees({ repository, index });
  const linked = (node: TreeNode): TreeNode => (node.size === 7 ? { ...node, links: 3, inode: 5, deviceId: 1 } : node);
  const withLinks: Trees = { ...trees, nodes: async (tree) => (await trees.nodes(tree)).map(linked) };
  const meter = createUsageMeter(withLinks);
  await meter.add('volume', root);
  await meter.add('volume', root);
  assert.deepEqual(meter.finish().total.restore, { entries: 14, files: 8, bytes: 16 });
});
