/** Trees read before they are asked for: over a network each would cost a round trip of its own. */
import { decodeTree } from '../../format/tree.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { createBlobReader } from '../../repository/blob-reader.ts';
import type { Repository } from '../../repository/repository.ts';

/** Trees that are read and not yet asked for, at most: beyond it those that were expected first, and are needed last, are dropped. */
const maxTrees = 32;
const maxBytes = 8 * 1024 * 1024;
/** Of one directory's subdirectories. */
const siblingsAhead = 8;
/** Windows of 512 KiB of packs: as many as trees under way can need. */
const windows = 16;

export type Trees = {
  readonly index: BlobIndex;
  /**
   * The entries of a tree, ascending by name.
   * @throws `damaged`, `unsafe-name`, `file-missing`, `storage`; the signal's reason.
   */
  nodes(tree: BlobId): Promise<TreeNode[]>;
  /** Starts reading the trees of the first few directories among these nodes, from a place on: they will be asked for soon. */
  expect(nodes: readonly TreeNode[], from: number, wanted?: (node: TreeNode) => boolean): void;
};

export type TreesOptions = { repository: Pick<Repository, 'storage' | 'seal'>; index: BlobIndex; signal?: AbortSignal };

type Expected = { bytes: Promise<Buffer>; sizeBytes: number };

export function createTrees({ repository: { storage, seal }, index, signal }: TreesOptions): Trees {
  const blobs = createBlobReader({ storage, seal, index, windows });
  /** Expected last, needed first. */
  const expected = new Map<BlobId, Expected>();
  let expectedBytes = 0;
  let underWay = 0;

  function take(tree: BlobId): Promise<Buffer> | undefined {
    const found = expected.get(tree);
    if (found === undefined) return undefined;
    expected.delete(tree);
    expectedBytes -= found.sizeBytes;
    return found.bytes;
  }

  function start(tree: BlobId): void {
    const entry = index.find(tree, 'tree');
    if (entry < 0) return;
    const sizeBytes = index.plainLengthOf(entry);
    if (sizeBytes > maxBytes / 4) return;
    underWay++;
    const bytes = blobs.read('tree', tree).finally(() => underWay--);
    // Whoever asks for it is told.
    bytes.catch(() => undefined);
    expected.set(tree, { bytes, sizeBytes });
    expectedBytes += sizeBytes;
    for (const [oldest] of expected) {
      if (expected.size <= maxTrees && expectedBytes <= maxBytes) break;
      void take(oldest);
    }
  }

  return {
    index,
    async nodes(tree) {
      signal?.throwIfAborted();
      return sorted(decodeTree(await (take(tree) ?? blobs.read('tree', tree))));
    },
    expect(nodes, from, wanted) {
      const ahead: BlobId[] = [];
      for (let at = from; at < nodes.length && ahead.length < siblingsAhead; at++) {
        const node = nodes[at] as TreeNode;
        if (node.type === 'dir' && node.subtree !== undefined && (wanted?.(node) ?? true)) ahead.push(node.subtree);
      }
      // The first is needed first: it is started last, and dropped last.
      for (const tree of ahead.reverse()) {
        if (!expected.has(tree) && underWay < maxTrees) start(tree);
      }
    },
  };
}

/** Trees of old writers may be unsorted. */
function sorted(nodes: TreeNode[]): TreeNode[] {
  const ascending = nodes.every((node, i) => i === 0 || (nodes[i - 1] as TreeNode).name < node.name);
  return ascending ? nodes : nodes.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The tree of a directory. @throws `damaged` when it has none. */
export function subtreeOf(node: TreeNode, path: string): BlobId {
  if (node.subtree === undefined) throw new HoldfastError('damaged', `the directory ${path} has no tree`, { file: path });
  return node.subtree;
}
