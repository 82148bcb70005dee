import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TreeNode } from '../model/node.ts';
import { decodeTree, encodeTree } from './tree.ts';
import { TreeScan } from './tree-scan.ts';

/** What restic 0.19.1 wrote of a directory full of awkward entries; see tree.test.ts. */
const tree = readFileSync(new URL('../../test/vectors/fixtures/tree-restic-0.19.1.json', import.meta.url));
const nodes = decodeTree(tree);
/** What `stat` tells of an entry. */
const looked = (node: TreeNode): TreeNode => ({
  ...node,
  linkTarget: undefined,
  extendedAttributes: [],
  content: undefined,
  subtree: undefined,
  unknown: undefined,
});

function decodedOrUndefined(bytes: Buffer): TreeNode[] | undefined {
  try {
    return decodeTree(bytes);
  } catch {
    return undefined;
  }
}

test('every kind of entry is recognised by what stat tells, and brings its content and subtree', () => {
  const scan = new TreeScan(tree);
  for (const node of nodes) {
    assert.equal(scan.atEnd, false);
    assert.ok(scan.take(looked(node)), node.name);
    if (node.type === 'file') assert.deepEqual(scan.content, node.content);
    if (node.type === 'dir') assert.equal(scan.subtree, node.subtree);
  }
  assert.ok(scan.atEnd);
});

test('an entry that differs in anything that stat tells is not recognised', () => {
  const changes: [string, (node: TreeNode) => Partial<TreeNode>][] = [
    ['name', ({ name }) => ({ name: `${name}x` as TreeNode['name'] })],
    ['type', ({ type }) => ({ type: type === 'file' ? 'fifo' : 'file' })],
    ['mode', ({ mode }) => ({ mode: mode ^ 1 })],
    ['mtime', () => ({ mtime: '2026-01-01T00:00:00Z' })],
    ['ctime', () => ({ ctime: '2026-01-01T00:00:00Z' })],
    ['uid', ({ uid }) => ({ uid: uid + 1 })],
    ['user', () => ({ user: 'somebody' })],
    ['group', () => ({ group: 'others' })],
    ['inode', ({ inode }) => ({ inode: Number(inode) + 1 })],
    ['deviceId', ({ deviceId }) => ({ deviceId: Number(deviceId) + 1 })],
    ['size', ({ size }) => ({ size: Number(size) + 1 })],
    ['links', ({ links }) => ({ links: Number(links) + 1 })],
    ['device', ({ type, device }) => (type === 'dev' || type === 'chardev' ? { device: Number(device) + 1 } : { mode: 1 })],
  ];
  for (let at = 0; at < nodes.length; at++) {
    for (const [what, change] of changes) {
      const scan = new TreeScan(tree);
      for (const node of nodes.slice(0, at)) scan.take(looked(node));
      const node = looked(nodes[at] as TreeNode);
      assert.equal(scan.take({ ...node, ...change(node) }), false, `${node.name}: ${what}`);
    }
  }
});

test('a tree that was damaged anywhere is never taken for the directory', () => {
  for (let at = 0; at < tree.length; at += 7) {
    const damaged = Buffer.from(tree);
    damaged[at] = (damaged[at] as number) ^ 0x01;
    const scan = new TreeScan(damaged);
    const whole = nodes.every((node) => scan.take(looked(node))) && scan.atEnd;
    // Damage in what is not compared (contents, link targets, attributes) leaves what stat tells as it was.
    if (whole) assert.deepEqual(decodedOrUndefined(damaged)?.map(looked) ?? nodes.map(looked), nodes.map(looked));
  }
  for (const cut of [0, 5, 10, tree.length - 1, tree.length - 3]) {
    const scan = new TreeScan(tree.subarray(0, cut));
    assert.equal(nodes.every((node) => scan.take(looked(node))) && scan.atEnd, false);
  }
});

test('more or fewer entries than the tree holds are noticed', () => {
  const scan = new TreeScan(tree);
  for (const node of nodes.slice(0, -1)) assert.ok(scan.take(looked(node)));
  assert.equal(scan.atEnd, false);
  const empty = new TreeScan(Buffer.from('{"nodes":[]}\n'));
  assert.ok(empty.atEnd);
  assert.equal(empty.take(looked(nodes[0] as TreeNode)), false);
  assert.equal(new TreeScan(Buffer.from('{"nodes":null}\n')).atEnd, false);
});

test('an entry with more than stat tells, its attributes and its content is not recognised, and does not swallow those that follow', () => {
  const symlink = nodes.find(({ type }) => type === 'symlink') as TreeNode;
  const link = { ...symlink, name: 'a' as TreeNode['name'], error: 'attributes could not be read' };
  const file = nodes.find(({ type, extendedAttributes }) => type === 'file' && extendedAttributes.length > 0) as TreeNode;
  const strange = { ...file, name: 'a' as TreeNode['name'], unknown: { generic_attributes: { x: 1 } } };
  const fifo = { ...(nodes.find(({ type }) => type === 'fifo') as TreeNode), name: 'b' as TreeNode['name'] };
  for (const first of [link, strange, { ...file, error: 'x' }]) {
    const scan = new TreeScan(encodeTree([first, fifo]));
    assert.equal(scan.take(looked(first)) && scan.atEnd, false);
  }
});
