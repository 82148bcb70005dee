import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { scratchRepository } from '../../../test/scratch-repository.ts';
import { type Sketch, storeTrees } from '../../../test/scratch-trees.ts';
import type { BlobId } from '../../model/ids.ts';
import { BlobIndex } from '../../repository/blob-index.ts';
import { Finder, type Wanted } from './find.ts';
import { findObjects } from './find-objects.ts';
import { compileFindPatterns } from './find-patterns.ts';
import { createTrees, type Trees } from './trees-ahead.ts';

async function fixture(t: TestContext, sketches: readonly Sketch[]): Promise<{ trees: Trees; roots: BlobId[]; read: BlobId[] }> {
  const repository = await scratchRepository(t);
  const index = new BlobIndex();
  const roots = await storeTrees(repository, index, sketches);
  const trees = createTrees({ repository, index });
  const read: BlobId[] = [];
  const counted: Trees = {
    ...trees,
    nodes(tree) {
      read.push(tree);
      return trees.nodes(tree);
    },
  };
  return { trees: counted, roots, read };
}

function wantedPaths(...patterns: string[]): Wanted {
  const { matches, ...rest } = compileFindPatterns(patterns, false);
  return { ...rest, matches: (path, { name }) => matches(path, name), wholeDirectories: true };
}

async function search(trees: Trees, roots: readonly BlobId[], wanted: Wanted): Promise<string[][]> {
  let found: string[] = [];
  const finder = new Finder({ trees, wanted, onMatch: (path) => found.push(path), onDamage: (_path, error) => assert.fail(error) });
  const all: string[][] = [];
  for (const root of roots) {
    found = [];
    assert.equal(await finder.search(root), found.length > 0);
    all.push(found);
  }
  return all;
}

/** The same large directory in every version, and a small one that changes. */
const versions = (count: number): Sketch[] =>
  Array.from({ length: count }, (_, version) => ({
    large: Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`dir${i}`, { deep: { [`file${i}`]: `${i}` } }])),
    logs: { 'a.log': 'same', current: `version ${version}` },
    small: { [`v${version}`]: `${version}` },
  }));

test('a tree is read once, however many snapshots share it, whether it holds matches or not', async (t) => {
  for (const pattern of ['file7', '*.log', '/large/*/deep/file7', 'v59', 'nothing-is-called-so']) {
    const { trees, roots, read } = await fixture(t, versions(60));
    const all = await search(trees, roots, wantedPaths(pattern));
    assert.equal(new Set(read).size, read.length, pattern);
    const expected: Record<string, string[]> = { file7: ['large/dir7/deep/file7'], '*.log': ['logs/a.log'] };
    assert.deepEqual(all[40], expected[pattern] ?? (pattern.startsWith('/') ? ['large/dir7/deep/file7'] : []), pattern);
    assert.deepEqual(all[59], expected[pattern] ?? (pattern === 'v59' ? ['small/v59'] : all[40]), pattern);
  }
});

test('equal trees at several places match where their paths do', async (t) => {
  const same = { sub: { x: 'x' } };
  const { trees, roots } = await fixture(t, [
    { a: same, b: same, c: { b: same } },
    { b: same, z: same },
  ]);
  assert.deepEqual(await search(trees, roots, wantedPaths('b/sub/x')), [['b/sub/x', 'c/b/sub/x'], ['b/sub/x']]);
  assert.deepEqual(await search(trees, roots, wantedPaths('/b/**/x')), [['b/sub/x'], ['b/sub/x']]);
  assert.deepEqual(await search(trees, roots, wantedPaths('/a')), [['a', 'a/sub', 'a/sub/x'], []]);
});

test('a pattern from the root keeps other directories from being read', async (t) => {
  const { trees, roots, read } = await fixture(t, versions(1));
  await search(trees, roots, wantedPaths('/large/dir3/d*/f*'));
  assert.equal(read.length, 4);
});

test('what uses a blob, a tree or a pack', async (t) => {
  const repository = await scratchRepository(t);
  const index = new BlobIndex();
  const roots = await storeTrees(repository, index, [
    { one: { f: [Buffer.from('shared'), Buffer.from('own')] }, two: { g: 'shared' } },
    { two: { g: 'shared' } },
  ]);
  const trees = createTrees({ repository, index });
  const shared = index.idOf(
    [...Array(index.size).keys()].find((entry) => index.kindOf(entry) === 'data' && index.plainLengthOf(entry) === 6) as number,
  );
  const objects = findObjects(index, 'blob', [shared.slice(0, 12)]);
  const wanted: Wanted = {
    matches: (_path, node) => objects.refersTo(node),
    canMatchBelow: () => true,
    pathMatters: false,
    wholeDirectories: false,
  };
  assert.deepEqual(await search(trees, roots, wanted), [['one/f', 'two/g'], ['two/g']]);
  assert.deepEqual(
    [...objects.unused()].map(({ id }) => id),
    [shared],
  );
  assert.deepEqual(
    objects.objectsOf({ content: [shared, shared], subtree: undefined }).map(({ id }) => id),
    [shared],
  );
  assert.deepEqual([...objects.unused()], []);
  assert.equal(
    findObjects(index, 'pack', [index.packId(0).slice(0, 8)]).count + findObjects(index, 'pack', [index.packId(1).slice(0, 8)]).count,
    index.size,
  );
  for (const bad of ['xyz!', '123', 'ffffffffffffffff']) assert.throws(() => findObjects(index, 'tree', [bad]), { code: 'usage' });
});

test('a tree that is damaged is told of, and others are searched', async (t) => {
  const { trees, roots } = await fixture(t, [{ a: { x: '1' }, b: { x: '2' } }]);
  const [bad] = (await trees.nodes(roots[0] as BlobId)).map(({ subtree }) => subtree);
  const repository = { ...trees, nodes: (tree: BlobId) => (tree === bad ? trees.nodes('00'.repeat(32) as BlobId) : trees.nodes(tree)) };
  const [found, damaged]: [string[], string[]] = [[], []];
  const finder = new Finder({
    trees: repository,
    wanted: wantedPaths('x'),
    onMatch: (path) => found.push(path),
    onDamage: (path, { code }) => damaged.push(`${path} ${code}`),
  });
  await finder.search(roots[0] as BlobId);
  assert.deepEqual([found, damaged], [['b/x'], ['a damaged']]);
});
