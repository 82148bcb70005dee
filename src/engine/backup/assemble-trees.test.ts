import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc, runs } from '../../../test/properties.ts';
import { node } from '../../../test/tree-node.ts';
import { sha256Hex } from '../../format/kernel/sha256.ts';
import { decodeTree, encodeTree } from '../../format/tree.ts';
import { createTreeEncoder } from '../../format/tree-encoder.ts';
import { jsonFromNode } from '../../format/tree-node.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { createTreeAssembly, type DirectoryVisit, type Oddities } from './assemble-trees.ts';

type Entry = { path: string; node?: TreeNode; link?: string };

const nameOf = (path: string) => path.slice(path.lastIndexOf('/') + 1);
const nodeAt = (path: string, fields: Partial<TreeNode>): Entry => ({
  path,
  node: { ...node('', fields), name: nameOf(path) as RawString },
});
const file = (path: string, content = 'ab') => nodeAt(path, { content: [content.repeat(32) as BlobId], links: 1 });
const dir = (path: string, mode = 0o700) => nodeAt(path, { type: 'dir', mode: 2 ** 31 + mode, content: undefined });
const link = (path: string, target: string): Entry => ({ path, link: target });

/** The trees of entries: the root's id, all nodes by path, and what was odd. */
async function assemble(entries: readonly Entry[], keeps: (path: string) => boolean = () => true) {
  const odd: string[] = [];
  const oddities: Oddities = {
    lost: (path, target) => odd.push(`lost ${path} ${target}`),
    misplaced: (path) => odd.push(`misplaced ${path}`),
    contrary: (path) => odd.push(`contrary ${path}`),
    repeated: (path) => odd.push(`repeated ${path}`),
  };
  const nodes = new Map<string, TreeNode>();
  const visit = (path: string): DirectoryVisit => {
    const at = (name: string) => (path === '' ? name : `${path}/${name}`);
    const here: TreeNode[] = [];
    return {
      keeps: (name) => keeps(at(name)),
      child: async (name) => visit(at(name)),
      implied: (name) => dir(name).node as TreeNode,
      entry: (entry) => {
        here.push(entry);
        nodes.set(at(entry.name), entry);
      },
      async save(tree) {
        assert.deepEqual(decodeTree(tree), here, 'who is told of the entries is told of the tree');
        return sha256Hex(tree) as BlobId;
      },
    };
  };
  const assembly = createTreeAssembly(oddities);
  try {
    for (const entry of entries) {
      if (entry.node) assembly.add(entry.path as RawString, entry.node);
      else assembly.link(entry.path as RawString, entry.link as RawString);
    }
    return { id: await assembly.finish(visit('')), nodes, odd: odd.sort() };
  } finally {
    assembly.close();
  }
}

const names = fc.constantFrom('a', 'b', 'ab', 'a.', 'a-', 'b b', '\x01', 'ÿ');
const path = fc.array(names, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const entryOf = (at: string) =>
  fc.oneof(
    fc.constant(dir(at)),
    fc.constantFrom('00', 'ff').map((content) => file(at, content)),
    path.map((target) => link(at, target)),
  );
/** Each path once: what stands there more than once depends on the order. */
const archive = fc
  .uniqueArray(path, { maxLength: 25 })
  .chain((paths) => fc.tuple(...paths.map(entryOf)))
  .chain((entries) => fc.tuple(fc.constant(entries), fc.shuffledSubarray(entries, { minLength: entries.length })));

test('whatever the order of the entries, the trees are the same, and so is what is odd of them', async () => {
  await fc.assert(
    fc.asyncProperty(archive, async ([entries, shuffled]) => {
      const [first, second] = [await assemble(entries), await assemble(shuffled)];
      assert.deepEqual([second.id, second.odd], [first.id, first.odd]);
      // All that went in is there, or told of.
      for (const { path } of entries) assert.ok(first.nodes.has(path) || first.odd.some((what) => what.includes(` ${path}`)), path);
    }),
    { numRuns: runs(300) },
  );
});

test('names of names lead to the file, whose count has all of them; those that go in circles are lost', async () => {
  const chain = Array.from({ length: 50 }, (_, i) => link(`n${i}`, i === 0 ? 'dir/file' : `n${i - 1}`));
  const { nodes, odd } = await assemble([...chain.toReversed(), file('dir/file'), link('x', 'y'), link('y', 'x'), link('self', 'self')]);
  assert.deepEqual(odd, ['lost self self', 'lost x y', 'lost y x']);
  for (const { path } of [...chain, file('dir/file')]) {
    assert.deepEqual({ ...nodes.get(path) }, { ...file(path).node, links: 51 });
  }
});

test('of one path the last holds, but a directory before all; what is below a file is left out', async () => {
  const { nodes, odd } = await assemble([
    ...[file('twice', '00'), file('twice', 'ff'), file('both'), dir('both'), file('both/inside'), file('both', 'ff')],
    ...[file('file/below/deep'), file('file'), dir('dir', 0o700), dir('dir', 0o755), file('link/below'), link('link', 'twice')],
  ]);
  assert.deepEqual(odd, ['contrary both', 'misplaced file/below/deep', 'misplaced link/below', 'repeated twice']);
  assert.deepEqual(nodes.get('twice')?.content, ['ff'.repeat(32)]);
  assert.equal(nodes.get('dir')?.mode, 2 ** 31 + 0o755);
  assert.ok(nodes.has('both/inside') && !nodes.has('file/below'));
});

test('what is not kept is not there, nor is what lies below it; its names elsewhere are', async () => {
  const entries = [dir('a'), file('a/file'), file('a/b/c'), file('implied/x/y'), link('other', 'a/file')];
  const { nodes, odd } = await assemble(entries, (path) => path !== 'a' && path !== 'implied/x');
  assert.deepEqual([...nodes.keys()].sort(), ['implied', 'other']);
  assert.equal(nodes.get('other')?.links, 2);
  assert.deepEqual(odd, []);
});

test('a tree that is made node by node is what it is when made at once', () => {
  const nodes = Array.from({ length: 3000 }, (_, i) => file(`file ${String(i).padStart(5, '0')}`).node as TreeNode);
  for (const count of [0, 1, 2, 3000]) {
    const encoder = createTreeEncoder();
    for (const one of nodes.slice(0, count)) encoder.add(one.name, jsonFromNode(one));
    const { sizeBytes } = encoder;
    const bytes = encoder.finish();
    assert.ok(bytes.equals(encodeTree(nodes.slice(0, count))));
    assert.equal(sizeBytes, bytes.length);
  }
  const encoder = createTreeEncoder();
  encoder.add('b' as RawString, '{}');
  assert.throws(() => encoder.add('b' as RawString, '{}'), { code: 'internal' });
});

test('a path of 10,000 directories', async () => {
  const deep = Array.from({ length: 10_000 }, () => 'd').join('/');
  const { nodes } = await assembleDeep(deep);
  assert.equal(nodes, 10_002);
});

/** Paths are not built up: they would take more than the assembly. */
async function assembleDeep(deep: string): Promise<{ nodes: number }> {
  let nodes = 0;
  const visit = (): DirectoryVisit => ({
    keeps: () => true,
    child: async () => visit(),
    implied: (name) => node(name, { type: 'dir', content: undefined }),
    entry: () => void nodes++,
    save: async (tree) => sha256Hex(tree) as BlobId,
  });
  const assembly = createTreeAssembly({ lost: assert.fail, misplaced: assert.fail, contrary: assert.fail, repeated: assert.fail });
  assembly.add(`${deep}/file` as RawString, file('file').node as TreeNode);
  assembly.add(`${deep}/zfile` as RawString, file('zfile').node as TreeNode);
  await assembly.finish(visit());
  assembly.close();
  return { nodes };
}
