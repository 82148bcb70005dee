/** Where the parts of a file's content lie. */
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { zeroChunkBytes, zeroChunkId } from './zero-chunk.ts';

/** Entry of a chunk of zeros, which needs no fetching. */
export const zeroEntry = -1;

export type Content = {
  /** Numbers of the blobs' entries in the index, in order; {@link zeroEntry} for a chunk of zeros. */
  entries: number[];
  /** Where each begins, and at the end the file's size in bytes. */
  offsets: number[];
  sizeBytes: number;
};

/**
 * @param zeros whether chunks of zeros are told apart.
 * @returns the id of a blob that the index doesn't know, when there is one.
 */
export function contentOf(node: TreeNode, index: BlobIndex, zeros: boolean): Content | BlobId {
  const entries: number[] = [];
  const offsets: number[] = [];
  let at = 0;
  for (const id of node.content ?? []) {
    const isZeros = zeros && id === zeroChunkId;
    const entry = isZeros ? zeroEntry : index.find(id, 'data');
    if (entry < 0 && !isZeros) return id;
    entries.push(entry);
    offsets.push(at);
    at += isZeros ? zeroChunkBytes : index.plainLengthOf(entry);
  }
  return { entries, offsets, sizeBytes: at };
}

export const partBytes = ({ offsets, sizeBytes }: Content, part: number): number =>
  (offsets[part + 1] ?? sizeBytes) - (offsets[part] as number);
