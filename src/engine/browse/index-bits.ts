/** A set of blobs as one bit for each entry of the index: 125 KB for a million. */
import type { BlobId } from '../../model/ids.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';

export class IndexBits {
  private readonly bits: Uint8Array;

  /** @param size entries of the index, which must not grow meanwhile. */
  constructor(size: number) {
    this.bits = new Uint8Array(Math.ceil(size / 8));
  }

  has(entry: number): boolean {
    return ((this.bits[entry >>> 3] as number) & (1 << (entry & 7))) !== 0;
  }

  /** @returns whether it was not there before. */
  add(entry: number): boolean {
    if (this.has(entry)) return false;
    this.bits[entry >>> 3] = (this.bits[entry >>> 3] as number) | (1 << (entry & 7));
    return true;
  }

  addAll(other: IndexBits): void {
    for (let at = 0; at < this.bits.length; at++) this.bits[at] = (this.bits[at] as number) | (other.bits[at] as number);
  }

  *entries(): Generator<number> {
    for (let at = 0; at < this.bits.length; at++) {
      for (let byte = this.bits[at] as number; byte !== 0; byte &= byte - 1) yield at * 8 + Math.log2(byte & -byte);
    }
  }
}

/** Blobs that a walk has come upon, and how many references the index knows no blob for. */
export class BlobSet {
  readonly entries: IndexBits;
  missing = 0;
  private readonly index: BlobIndex;

  constructor(index: BlobIndex) {
    this.index = index;
    this.entries = new IndexBits(index.size);
  }

  add(kind: 'data' | 'tree', id: BlobId): void {
    const entry = this.index.find(id, kind);
    if (entry < 0) this.missing++;
    else this.entries.add(entry);
  }
}
