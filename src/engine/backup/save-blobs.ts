/** Identify, claim, compress, seal, pack: what happens to a blob that may be new. */
import { sha256Into } from '../../format/kernel/sha256.ts';
import type { BlobKind } from '../../format/pack-header.ts';
import { sealOverheadBytes } from '../../format/seal.ts';
import type { BlobId } from '../../model/ids.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { PackWriter } from '../../repository/pack-writer.ts';
import type { Counter } from './counters.ts';

export type BlobSink = {
  /** Saves a blob unless the repository has it. Call `settle` before the next one when `full`. */
  save(kind: BlobKind, plain: Uint8Array): BlobId;
  readonly full: boolean;
  settle(): Promise<void>;
};

/** Less does not compress whatever it is. */
const fewBytes = 256;

/** @param storedBytes with what sealing adds. */
const isIncompressible = (plainBytes: number, storedBytes: number): boolean =>
  plainBytes >= fewBytes && storedBytes - sealOverheadBytes >= plainBytes * 0.97;

/** @param writer undefined for a dry run: blobs are counted and go nowhere. */
export function createBlobSink(index: BlobIndex, writer: PackWriter | undefined, count: Counter): BlobSink {
  const digest = Buffer.alloc(32);
  return {
    save(kind, plain) {
      sha256Into(plain, digest);
      if (index.claim(digest, kind)) {
        const storedBytes = writer?.add(kind, digest, plain).storedBytes ?? 0;
        if (kind === 'data' && isIncompressible(plain.length, storedBytes)) count('dataIncompressible', plain.length);
        count(kind === 'data' ? 'dataBlobs' : 'treeBlobs', 1);
        count('dataAdded', plain.length);
        count('dataAddedPacked', storedBytes);
      }
      return digest.toString('hex') as BlobId;
    },
    get full() {
      return writer?.full ?? false;
    },
    async settle() {
      await writer?.settle();
    },
  };
}
