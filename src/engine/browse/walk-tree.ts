/** All that is below a tree, depth first in the order of names. */
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { displayRaw, type RawString } from '../../model/raw-bytes.ts';
import { subtreeOf, type Trees } from './trees-ahead.ts';

export type WalkedNode = { path: RawString; node: TreeNode };

export const joinPath = (directory: RawString, name: RawString): RawString =>
  (directory === '' ? name : `${directory}/${name}`) as RawString;

type Level = { path: RawString; nodes: TreeNode[]; at: number };

/**
 * Paths begin with `prefix`. Directories come before what is in them. The levels stand on a stack of its own: no depth is too deep.
 * @throws as `Trees.nodes`.
 */
export async function* walkTree(trees: Trees, tree: BlobId, prefix: RawString): AsyncGenerator<WalkedNode> {
  const levels: Level[] = [{ path: prefix, nodes: await trees.nodes(tree), at: 0 }];
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const node = level.nodes[level.at];
    if (node === undefined) {
      levels.pop();
      continue;
    }
    const path = joinPath(level.path, node.name);
    yield { path, node };
    if (node.type === 'dir') {
      trees.expect(level.nodes, level.at);
      levels.push({ path, nodes: await trees.nodes(subtreeOf(node, displayRaw(path))), at: 0 });
    }
    level.at++;
  }
}
