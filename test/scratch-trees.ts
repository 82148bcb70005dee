/** Trees of small files, made up for a test and stored in a scratch repository. */
import { createHash } from 'node:crypto';
import { parseHeaderEntries } from '../src/format/pack-header.ts';
import { encodeTree } from '../src/format/tree.ts';
import type { BlobId } from '../src/model/ids.ts';
import type { TreeNode } from '../src/model/node.ts';
import type { BlobIndex } from '../src/repository/blob-index.ts';
import { PackWriter, type StoredPack, storePack } from '../src/repository/pack-writer.ts';
import type { Repository } from '../src/repository/repository.ts';
import { node } from './tree-node.ts';

/** A directory: files by their blobs, or directories. */
export type Sketch = { [name: string]: string | readonly Buffer[] | Sketch };

/** Files as text of one blob, or as several blobs. Every tree is a blob of one pack, every blob of a file of another. @returns the roots. */
export async function storeTrees({ storage, seal }: Repository, index: BlobIndex, sketches: readonly Sketch[]): Promise<BlobId[]> {
  const addToIndex = ({ id, entries }: Pick<StoredPack, 'id' | 'entries'>): void => {
    const pack = index.addPack(id);
    for (const entry of parseHeaderEntries(entries)) index.add(entry.id, entry.kind, pack, entry.offset, entry.length, entry.plainLength);
  };
  const writer = new PackWriter({ storage, seal, formatVersion: 2, level: 1, onStored: addToIndex });
  const known = new Set<string>();
  const save = (kind: 'data' | 'tree', plain: Buffer): BlobId => {
    const digest = createHash('sha256').update(plain).digest();
    const id = digest.toString('hex') as BlobId;
    if (!known.has(`${kind} ${id}`)) writer.add(kind, digest, plain);
    known.add(`${kind} ${id}`);
    return id;
  };
  const treeOf = (sketch: Sketch): BlobId => {
    const nodes = Object.entries(sketch).map(([name, value]): TreeNode => {
      if (typeof value !== 'string' && !Array.isArray(value)) return node(name, { type: 'dir', subtree: treeOf(value as Sketch) });
      const blobs = typeof value === 'string' ? (value === '' ? [] : [Buffer.from(value)]) : (value as readonly Buffer[]);
      const size = blobs.reduce((sum, { length }) => sum + length, 0);
      return node(name, { size, links: 1, content: blobs.map((blob) => save('data', blob)) });
    });
    return save('tree', encodeTree(nodes.sort((a, b) => (a.name < b.name ? -1 : 1))));
  };
  const roots = sketches.map(treeOf);
  for (const partial of await writer.drain()) addToIndex(await storePack({ storage, seal }, partial));
  return roots;
}
