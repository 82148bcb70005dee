/** What the main thread and the lanes of a copy say to each other. */
import type { StoredPack } from '../../repository/pack-writer.ts';
import type { Damage } from './damage.ts';

/** Counted by all lanes: trees read; blobs and sealed bytes of the source that the destination lacks, and that were copied. */
export const copyWords = { trees: 0, blobsMissing: 1, bytesMissing: 2, blobsCopied: 3, bytesCopied: 4, bytesStored: 5 } as const;

export type CopyLaneSettings = {
  /** zstd level for what is not compressed in the source and is to be in the destination. */
  compressionLevel: number;
  /** One bit an entry of the source's index: trees that some lane has taken on. */
  visited: SharedArrayBuffer;
  /** One bit an entry of the source's index: blobs that the destination lacks and that are not copied yet. */
  missing: SharedArrayBuffer;
  /** 64-bit words that all lanes count in, see {@link copyWords}. */
  counts: SharedArrayBuffer;
  /** A word that becomes 1 when the lanes must stop. */
  stop: SharedArrayBuffer;
};

export type CopyCall =
  /** Reads trees, and marks what the destination lacks; answered with `TreesChecked` (check-messages.ts). */
  | { call: 'trees'; entries: Uint32Array }
  /** Copies blobs, in the order in which they lie in their packs; answered with {@link BlobsCopied}. */
  | { call: 'blobs'; entries: Uint32Array }
  /** Waits for packs on their way; answered with PartialPack[]. */
  | { call: 'drain' };

export type BlobsCopied = {
  damages: Damage[];
  /** Packs that the storage failed to read, though it may hold them. */
  unreadablePacks: number;
};

export type CopyNotice = { notice: 'stored'; pack: StoredPack };
