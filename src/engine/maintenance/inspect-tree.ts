/** Whether the entries of a tree make sense, and what they refer to. */
import type { TreeNode } from '../../model/node.ts';
import { displayRaw } from '../../model/raw-bytes.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { Damage } from './damage.ts';

const plainTypes = new Set(['symlink', 'dev', 'chardev', 'fifo', 'socket', 'irregular']);

/**
 * Inspects the entries of a tree.
 * @param tree its entry in the index.
 * @param onSubtree receives the entry of every subtree that the index names.
 */
export function inspectTree(
  tree: number,
  nodes: readonly TreeNode[],
  index: BlobIndex,
  onSubtree: (entry: number) => void,
  onDamage: (damage: Damage) => void,
): void {
  const invalid = (node: TreeNode, what: string) => {
    onDamage({
      kind: 'node-invalid',
      message: `"${displayRaw(node.name)}" in tree ${index.idOf(tree)} ${what}`,
      node: { tree, name: node.name },
    });
  };
  for (const node of nodes) {
    if (node.type === 'file') {
      if (node.content === undefined) invalid(node, 'is a file without content');
      else inspectContent(node, node.content, index, onDamage);
    } else if (node.type === 'dir') {
      if (node.subtree === undefined) {
        invalid(node, 'is a directory without a tree');
        continue;
      }
      const entry = index.find(node.subtree, 'tree');
      if (entry >= 0) onSubtree(entry);
      else {
        const message = `directory "${displayRaw(node.name)}" needs tree ${node.subtree}, which is in no pack that the index knows`;
        onDamage({ kind: 'tree-missing', message, missing: { kind: 'tree', id: node.subtree } });
      }
    } else if (!plainTypes.has(node.type)) {
      invalid(node, `is of an unknown type "${node.type}"`);
    }
  }
}

function inspectContent(node: TreeNode, content: readonly string[], index: BlobIndex, onDamage: (damage: Damage) => void): void {
  let bytes = 0;
  let complete = true;
  for (const id of content) {
    const entry = index.find(id, 'data');
    if (entry >= 0) {
      bytes += index.plainLengthOf(entry);
      continue;
    }
    complete = false;
    onDamage({
      kind: 'blob-missing',
      message: `file "${displayRaw(node.name)}" needs blob ${id}, which is in no pack that the index knows`,
      missing: { kind: 'data', id },
    });
  }
  // Old versions of restic wrote such nodes for files that changed while they were read (restic issue 1887).
  if (complete && BigInt(bytes) !== BigInt(node.size)) {
    onDamage({ kind: 'file-size', message: `file "${displayRaw(node.name)}" has ${bytes} bytes of content, and a size of ${node.size}` });
  }
}
