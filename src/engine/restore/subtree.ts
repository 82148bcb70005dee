/** Finding the part of a snapshot that is to be restored. */
import { decodeTree } from '../../format/tree.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { displayRaw, type RawString } from '../../model/raw-bytes.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobReader } from '../../repository/blob-reader.ts';

/** What is restored: a directory (`tree`, and its own node where it is known), or one entry that is put into the target. */
export type RestoreRoot = { tree: BlobId; node: TreeNode | undefined } | { entry: TreeNode };

/**
 * Follows `subtree` (components separated by slashes, '' for everything) from the snapshot's root.
 * @throws `path-missing`; `damaged` or `unsafe-name` for a tree on the way; `storage`.
 */
export async function findRestoreRoot(blobs: BlobReader, snapshot: StoredSnapshot, subtree: RawString): Promise<RestoreRoot> {
  const components = subtree.split('/').filter((component) => component !== '' && component !== '.') as RawString[];
  let node: TreeNode | undefined = snapshot.root;
  let tree: BlobId | undefined = snapshot.tree;
  for (const name of components) {
    const entries: TreeNode[] = tree === undefined ? [] : decodeTree(await blobs.read('tree', tree));
    node = entries.find((entry) => entry.name === name);
    if (node === undefined) throw new HoldfastError('path-missing', `snapshot ${snapshot.id.slice(0, 8)} has no ${displayRaw(subtree)}`);
    tree = node.type === 'dir' ? node.subtree : undefined;
  }
  if (tree !== undefined) return { tree, node };
  if (node !== undefined && node.type !== 'dir') return { entry: node };
  throw new HoldfastError('damaged', `the directory ${displayRaw(subtree)} of the snapshot has no tree`);
}
