/** The memory in which a lane reads packs: as little as will do, used again and again. */
import type { Storage } from '../../storage/storage.ts';
import type { Piece } from './pack-pieces.ts';

/**
 * How much of a pack is read at once: small enough to stay in a processor's cache from reading through hashing to opening, and larger where
 * every read costs a round trip.
 */
const pieceBytesOf = ({ remote = false }: Pick<Storage, 'remote'>): number => (remote ? 2 * 1024 * 1024 : 512 * 1024);
/** Over a network the next piece must be asked for before this one is here. */
const piecesAhead = ({ remote = false }: Pick<Storage, 'remote'>): number => (remote ? 2 : 1);
/** Blobs are this large at most, unless another tool made them. */
const workBytes = 8 * 1024 * 1024 + 512 * 1024;

/**
 * How much longer than the inflated blob a buffer must be, that has the deflated one at its end, for the one to be inflated over the
 * other (zstd.h, ZSTD_DECOMPRESSION_MARGIN, for blocks of 128 KiB), and room for the authentication code.
 */
const inPlaceMarginBytes = (plainLength: number): number => 128 * 1024 + 1024 + (plainLength >>> 12);

/** What blobs are inflated into, one after the other. Memory that isn't written to isn't used: its size is address space. */
export const createWork = (): Buffer => Buffer.allocUnsafeSlow(workBytes);

export type PackBuffers = {
  /** What the blob of a large piece is inflated into; it may lie there already. */
  own: Buffer;
  /** Of small pieces; larger ones hold one blob each. */
  pieceBytes: number;
  /** How many pieces there is room for beside the one that is worked on. */
  ahead: number;
  /** Where to read the `i`th piece of a pack to. Small pieces have some places in turn, so that the next can be read while one is worked on. */
  bufferFor(piece: Piece, i: number): Buffer;
};

export function createPackBuffers(storage: Pick<Storage, 'remote'>): PackBuffers {
  const pieceBytes = pieceBytesOf(storage);
  const ahead = piecesAhead(storage);
  const small = Array.from({ length: ahead + 1 }, () => Buffer.allocUnsafeSlow(pieceBytes));
  const own = createWork();
  return {
    own,
    pieceBytes,
    ahead,
    /** A larger piece is one blob: it goes to the end of what it will be inflated into. */
    bufferFor({ length, blobs }, i) {
      if (length <= pieceBytes) return small[i % small.length] as Buffer;
      const plainLength = blobs[0]?.plainLength ?? 0;
      const end = plainLength === 0 ? length : Math.max(length, plainLength + inPlaceMarginBytes(plainLength));
      return end <= own.length ? own.subarray(end - length, end) : Buffer.allocUnsafeSlow(length);
    },
  };
}
