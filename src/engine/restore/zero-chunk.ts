/** The chunk that long runs of zeros are cut into: the chunker cuts them at its minimum. It is recognised by its id, and never fetched. */
import { minChunkBytes } from '../../format/kernel/chunker.ts';
import { sha256Hex } from '../../format/kernel/sha256.ts';
import type { BlobId } from '../../model/ids.ts';

export const zeroChunkBytes = minChunkBytes;
export const zeroChunkId = sha256Hex(Buffer.alloc(zeroChunkBytes)) as BlobId;
