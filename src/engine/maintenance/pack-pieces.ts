/** Cuts a pack into pieces that are read one after the other, such that every blob lies in one piece as a whole. */

/** A blob where the index puts it. */
export type PlacedBlob = { entry: number; offset: number; length: number; plainLength: number };

export type Piece = { offset: number; length: number; blobs: PlacedBlob[] };

export type PiecePlan = {
  /** They cover the pack from its first byte to its last; what follows the last blob is in the last piece, alone. */
  pieces: Piece[];
  /** Blobs that overlap one before or reach beyond the end: the index is wrong about them. */
  strays: PlacedBlob[];
};

/**
 * @param blobs in the order of their offsets.
 * @param maxBytes of a piece; a larger blob has a piece of its own.
 */
export function planPieces(blobs: readonly PlacedBlob[], packBytes: number, maxBytes: number): PiecePlan {
  const pieces: Piece[] = [];
  const strays: PlacedBlob[] = [];
  let end = 0;

  function fillTo(offset: number): void {
    while (end < offset) {
      const length = Math.min(maxBytes, offset - end);
      pieces.push({ offset: end, length, blobs: [] });
      end += length;
    }
  }

  for (const blob of blobs) {
    if (blob.offset < end || blob.offset + blob.length > packBytes) {
      strays.push(blob);
      continue;
    }
    fillTo(blob.offset);
    const piece = pieces.at(-1);
    if (piece !== undefined && piece.blobs.length > 0 && piece.length + blob.length <= maxBytes) {
      piece.blobs.push(blob);
      piece.length += blob.length;
    } else {
      pieces.push({ offset: end, length: blob.length, blobs: [blob] });
    }
    end = blob.offset + blob.length;
  }
  fillTo(packBytes);
  return { pieces, strays };
}
