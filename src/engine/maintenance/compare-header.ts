import type { PackEntry } from '../../format/pack-header.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { PlacedBlob } from './pack-pieces.ts';

/** What a pack's header says first that the index does not, or the other way round; undefined when they agree. `blobs` are in the order of their offsets. */
export function firstDifference(header: readonly PackEntry[], blobs: readonly PlacedBlob[], index: BlobIndex): string | undefined {
  for (let i = 0; i < Math.max(header.length, blobs.length); i++) {
    const [there, here] = [header[i], blobs[i]];
    if (there === undefined) return `only the index names blob ${index.idOf((here as PlacedBlob).entry)}`;
    if (here === undefined) return `only the header names ${there.kind} blob ${there.id}`;
    if (index.idOf(here.entry) !== there.id)
      return `at ${there.offset} is blob ${there.id} in the header and ${index.idOf(here.entry)} in the index`;
    if (index.kindOf(here.entry) !== there.kind)
      return `blob ${there.id} is ${there.kind} in the header and ${index.kindOf(here.entry)} in the index`;
    const same = here.offset === there.offset && here.length === there.length && here.plainLength === there.plainLength;
    if (!same) {
      return `blob ${there.id} is ${there.length} bytes at ${there.offset} (${there.plainLength} inflated) in the header, ${here.length} at ${here.offset} (${here.plainLength}) in the index`;
    }
  }
  return undefined;
}
