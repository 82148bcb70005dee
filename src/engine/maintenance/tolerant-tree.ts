/** Reads what can be read of trees that are not what trees must be, though they are what was written. */
import { parseFields } from '../../format/json-fields.ts';
import { decodeTree } from '../../format/tree.ts';
import { assertSafeName, nodeFromJson } from '../../format/tree-node.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { TreeNode } from '../../model/node.ts';

/**
 * The entries that make sense: others, those whose names would lead elsewhere, and all but the first of a name are left out and counted.
 * @returns undefined when it is no tree at all.
 */
export function decodeTolerantly(bytes: Buffer): { nodes: TreeNode[]; leftOut: number } | undefined {
  try {
    return { nodes: decodeTree(bytes), leftOut: 0 };
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
  }
  const list = orUndefined(() => parseFields(bytes, 'a tree').nodes);
  if (!Array.isArray(list)) return undefined;
  const nodes = new Map<string, TreeNode>();
  for (const value of list) {
    const node = orUndefined(() => nodeFromJson(value));
    if (node === undefined || nodes.has(node.name) || orUndefined(() => assertSafeName(node.name) ?? true) === undefined) continue;
    nodes.set(node.name, node);
  }
  return { nodes: [...nodes.values()], leftOut: list.length - nodes.size };
}

function orUndefined<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof HoldfastError) return undefined;
    throw error;
  }
}
