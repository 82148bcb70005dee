/** The entry of a path in a snapshot. */
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { displayRaw, type RawString, rawFromText } from '../../model/raw-bytes.ts';
import { subtreeOf, type Trees } from './trees-ahead.ts';

/** A directory with its tree; of the root, whose node is not in a tree, `node` is undefined. */
export type FoundEntry =
  | { path: RawString; tree: BlobId; node: TreeNode | undefined }
  | { path: RawString; node: TreeNode; tree?: undefined };

/**
 * Follows a path (without slashes at its ends, '' for the root). A name may be given as it is displayed, with escapes for bytes that cannot be
 * typed, unless another entry is really called that.
 * @throws `path-missing`; as `Trees.nodes`.
 */
export async function findEntry(trees: Trees, root: BlobId, path: RawString): Promise<FoundEntry> {
  let found: FoundEntry = { path: '' as RawString, tree: root, node: undefined };
  for (const name of path.split('/').filter((part) => part !== '') as RawString[]) {
    const nodes: TreeNode[] = found.tree === undefined ? [] : await trees.nodes(found.tree);
    const node =
      nodes.find((candidate) => candidate.name === name) ?? nodes.find((candidate) => rawFromText(displayRaw(candidate.name)) === name);
    if (node === undefined)
      throw new HoldfastError('path-missing', `there is no ${displayRaw(path)} in the snapshot`, { file: displayRaw(path) });
    const at = (found.path === '' ? node.name : `${found.path}/${node.name}`) as RawString;
    found = node.type === 'dir' ? { path: at, tree: subtreeOf(node, displayRaw(at)), node } : { path: at, node };
  }
  return found;
}
