/** The order in which blobs are copied: pack by pack, as they lie in the source, so that neighbours come with one read. */
import type { BlobIndex } from '../../repository/blob-index.ts';

/** Sealed bytes, and blobs, of one call to a lane. */
const batchBytes = 8 * 1024 * 1024;
const batchBlobs = 2048;

/** The entries whose bits are set, by pack, and in the order of the index within it. Four bytes an entry, and four a pack. */
export function entriesByPack(index: BlobIndex, bits: Int32Array): Uint32Array {
  const ends = new Uint32Array(index.packCount + 1);
  let count = 0;
  for (const entry of setBits(bits)) {
    count++;
    (ends[index.packNumberOf(entry) + 1] as number)++;
  }
  for (let pack = 1; pack < ends.length; pack++) (ends[pack] as number) += ends[pack - 1] as number;
  const entries = new Uint32Array(count);
  for (const entry of setBits(bits)) {
    const pack = index.packNumberOf(entry);
    entries[ends[pack] as number] = entry;
    (ends[pack] as number)++;
  }
  return entries;
}

function* setBits(bits: Int32Array): Generator<number> {
  for (let word = 0; word < bits.length; word++) {
    for (let left = bits[word] as number; left !== 0; left &= left - 1) yield word * 32 + 31 - Math.clz32(left & -left);
  }
}

/** Cuts entries into what a lane gets at once. */
export function* batchesOf(index: BlobIndex, entries: Uint32Array): Generator<Uint32Array> {
  let from = 0;
  let bytes = 0;
  for (let at = 0; at < entries.length; at++) {
    bytes += index.location(entries[at] as number)?.length ?? 0;
    if (bytes < batchBytes && at + 1 - from < batchBlobs) continue;
    yield entries.slice(from, at + 1);
    from = at + 1;
    bytes = 0;
  }
  if (from < entries.length) yield entries.slice(from);
}
