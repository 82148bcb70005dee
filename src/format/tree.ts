import { HoldfastError } from '../model/errors.ts';
import type { TreeNode } from '../model/node.ts';
import type { RawString } from '../model/raw-bytes.ts';
import { displayRaw } from '../model/raw-bytes.ts';
import { parseFields } from './json-fields.ts';
import { assertSafeName, jsonFromNode, nodeFromJson } from './tree-node.ts';

/**
 * The bytes that restic 0.19 writes for a directory with these entries, so that an unchanged directory gives the
 * same blob whichever tool backs it up.
 * @throws `internal` when the nodes are not in strictly ascending order of their raw names.
 */
export function encodeTree(nodes: readonly TreeNode[]): Buffer {
  let json = '{"nodes":[';
  let previous: RawString | undefined;
  for (const node of nodes) {
    if (previous !== undefined) {
      if (node.name <= previous) throw new HoldfastError('internal', `tree entries are out of order at "${displayRaw(node.name)}"`);
      json += ',';
    }
    previous = node.name;
    json += jsonFromNode(node);
  }
  return Buffer.from(`${json}]}\n`, 'latin1');
}

/** Names are compared one by one while they ascend; a set is made only for trees of old versions, which may not be sorted. */
function assertDistinct(nodes: readonly TreeNode[]): void {
  let ascending = true;
  for (let index = 1; index < nodes.length; index++) {
    if ((nodes[index - 1] as TreeNode).name >= (nodes[index] as TreeNode).name) ascending = false;
  }
  if (ascending) return;
  const seen = new Set<RawString>();
  for (const { name } of nodes) {
    if (seen.has(name)) throw new HoldfastError('damaged', `a tree has two entries with the name "${displayRaw(name)}"`);
    seen.add(name);
  }
}

/**
 * The entries of a tree that any version of restic or rustic wrote, in the order in which it holds them (old versions
 * did not sort). Numbers beyond 2^53 are bigints.
 * @throws `damaged` when it is not a tree or a name occurs twice; `unsafe-name` for a name that would lead out of its directory.
 */
export function decodeTree(bytes: Buffer): TreeNode[] {
  const list = parseFields(bytes, 'a tree').nodes;
  if (list === null) return [];
  if (!Array.isArray(list)) throw new HoldfastError('damaged', 'a tree has no list of nodes');
  const nodes = list.map(nodeFromJson);
  for (const { name } of nodes) assertSafeName(name);
  assertDistinct(nodes);
  return nodes;
}
