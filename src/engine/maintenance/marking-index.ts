/** The shared blob index, with a mark for every blob of data that is looked up: what a walk over trees finds is what is used. */
import type { BlobKind } from '../../format/pack-header.ts';
import { BlobIndex, type BlobIndexMemory } from '../../repository/blob-index.ts';
import { setBitAtomically } from './entry-bits.ts';

export class MarkingIndex extends BlobIndex {
  private readonly used: Int32Array;

  /** @param used a bit an entry. */
  constructor(memory: BlobIndexMemory, used: Int32Array) {
    super(memory);
    this.used = used;
  }

  /** Trees are marked by who takes them on, so that each is read once. */
  override find(id: Buffer | string, kind: BlobKind): number {
    const entry = super.find(id, kind);
    if (entry >= 0 && kind === 'data') setBitAtomically(this.used, entry);
    return entry;
  }
}
