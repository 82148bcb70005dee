/** Walks the trees of a snapshot, for listings. */
import { decodeTree } from '../format/tree.ts';
import { HoldfastError } from '../model/errors.ts';
import type { BlobId } from '../model/ids.ts';
import type { TreeNode } from '../model/node.ts';
import { displayRaw, type RawString } from '../model/raw-bytes.ts';
import type { BlobReader } from './blob-reader.ts';

export type ListedNode = { path: RawString; node: TreeNode };

/** A tree's nodes. @throws `damaged`, `unsafe-name`. */
async function readTree(blobs: BlobReader, tree: BlobId): Promise<TreeNode[]> {
  return decodeTree(await blobs.read('tree', tree));
}

/**
 * The node at a path (without leading slash); undefined for '', the root, which has none.
 * @throws `path-missing`
 */
export async function findNode(blobs: BlobReader, tree: BlobId, path: RawString): Promise<TreeNode | undefined> {
  let node: TreeNode | undefined;
  let at: BlobId | undefined = tree;
  for (const name of path.split('/').filter((part) => part !== '')) {
    node = at === undefined ? undefined : (await readTree(blobs, at)).find((candidate) => candidate.name === name);
    if (node === undefined) throw new HoldfastError('path-missing', `there is no ${displayRaw(path)} in the snapshot`);
    at = node.type === 'dir' ? node.subtree : undefined;
  }
  return node;
}

/** The entries of a tree, depth first in the order of their names. @throws `damaged`, also for a tree that contains itself. */
export async function* listTree(
  blobs: BlobReader,
  tree: BlobId,
  prefix: RawString,
  recursive: boolean,
  ancestors: ReadonlySet<BlobId> = new Set(),
): AsyncGenerator<ListedNode> {
  if (ancestors.has(tree)) throw new HoldfastError('damaged', `the tree at ${displayRaw(prefix)} contains itself`);
  const inside = recursive ? new Set([...ancestors, tree]) : ancestors;
  for (const node of await readTree(blobs, tree)) {
    const path = (prefix === '' ? node.name : `${prefix}/${node.name}`) as RawString;
    yield { path, node };
    if (recursive && node.type === 'dir' && node.subtree !== undefined) yield* listTree(blobs, node.subtree, path, true, inside);
  }
}
