/**
 * How much of every pack is used. Of a blob that lies in several packs one copy counts as used, chosen as restic does (restic,
 * internal/repository/prune.go): in a pack that is needed anyway, or in one that holds nothing but copies, as an interrupted prune leaves them.
 */
import { HoldfastError } from '../../model/errors.ts';
import { bitsFor, hasBit, setBit } from './entry-bits.ts';
import { type PruneIndex, packOverheadBytes } from './prune-index.ts';

export type PackKind = 'data' | 'tree' | 'mixed';

/** By the numbers of packs. Blobs count as sealed, `usedBytes` includes the pack's header. */
export type PackUsage = {
  usedBlobs: Uint32Array;
  unusedBlobs: Uint32Array;
  usedBytes: Float64Array;
  unusedBytes: Float64Array;
  kinds: PackKind[];
  /** 1 for a pack in which some blob is not compressed. */
  uncompressed: Uint8Array;
  /** Bit of the entry that counts as used, of every used blob. */
  chosen: Int32Array;
  totals: UsageTotals;
};

export type UsageTotals = {
  usedBlobs: number;
  usedBytes: number;
  unusedBlobs: number;
  unusedBytes: number;
  duplicateBlobs: number;
  duplicateBytes: number;
};

/** How many copies there are of a blob: none that can be relied upon, one, or this. */
const several = 2;

/**
 * @param used bit of some entry of every used blob; all bits of these blobs' first entries are set on return.
 * @param sizes of packs on the storage by their numbers; -1 for a pack that is not there.
 * @throws `damaged` when a used blob is only in packs that are missing, or have another size than the index makes up.
 */
export function measureUsage(index: PruneIndex, used: Int32Array, sizes: Float64Array): PackUsage {
  const { first } = index;
  const { size, packCount } = index.blobs;
  for (let entry = 0; entry < size; entry++) if (hasBit(used, entry)) setBit(used, first[entry] as number);
  const sound = soundPacks(index, sizes);
  const copies = new Uint8Array(size);
  for (let entry = 0; entry < size; entry++) {
    const blob = first[entry] as number;
    if (!hasBit(used, blob) || sound[index.blobs.packNumberOf(entry)] === 0) continue;
    if (copies[blob] !== several) (copies[blob] as number)++;
  }
  requireAll(index, used, copies, sizes);

  const usage: PackUsage = {
    usedBlobs: new Uint32Array(packCount),
    unusedBlobs: new Uint32Array(packCount),
    usedBytes: new Float64Array(packCount).fill(packOverheadBytes),
    unusedBytes: new Float64Array(packCount),
    kinds: [],
    uncompressed: new Uint8Array(packCount),
    chosen: bitsFor(size),
    totals: { usedBlobs: 0, usedBytes: 0, unusedBlobs: 0, unusedBytes: 0, duplicateBlobs: 0, duplicateBytes: 0 },
  };
  const duplicates = countBlobs(index, used, copies, sound, usage);
  if (usage.totals.duplicateBlobs > 0) chooseCopies(index, used, copies, sound, usage, duplicates);
  return usage;
}

/** 1 for every pack that is there and as long as its blobs and its header make up. */
function soundPacks(index: PruneIndex, sizes: Float64Array): Uint8Array {
  const { size, packCount } = index.blobs;
  const expected = new Float64Array(packCount).fill(packOverheadBytes);
  for (let entry = 0; entry < size; entry++) (expected[index.blobs.packNumberOf(entry)] as number) += index.storedBytes(entry);
  return Uint8Array.from(expected, (bytes, pack) => (bytes === sizes[pack] ? 1 : 0));
}

function requireAll(index: PruneIndex, used: Int32Array, copies: Uint8Array, sizes: Float64Array): void {
  const { first, blobs } = index;
  let lost = 0;
  let pack = -1;
  for (let entry = 0; entry < blobs.size; entry++) {
    if (first[entry] !== entry || !hasBit(used, entry) || copies[entry] !== 0) continue;
    lost++;
    if (pack < 0) pack = blobs.packNumberOf(entry);
  }
  if (lost === 0) return;
  const id = blobs.packId(pack);
  const what = (sizes[pack] as number) < 0 ? 'is missing' : `is ${sizes[pack]} bytes long, which is not what the index makes up`;
  throw new HoldfastError('damaged', `pack ${id} ${what}; ${lost} blobs that snapshots need cannot be relied upon: nothing was removed`, {
    file: `data/${id}`,
  });
}

/** @returns of each pack, how many copies of used blobs it holds that are among several. */
function countBlobs(index: PruneIndex, used: Int32Array, copies: Uint8Array, sound: Uint8Array, usage: PackUsage): Uint32Array {
  const { first, lengths, blobs } = index;
  const { totals } = usage;
  const duplicates = new Uint32Array(blobs.packCount);
  for (let entry = 0; entry < blobs.size; entry++) {
    const pack = blobs.packNumberOf(entry);
    const blob = first[entry] as number;
    const bytes = lengths[entry] as number;
    const kind = blobs.kindOf(entry);
    usage.kinds[pack] = (usage.kinds[pack] ?? kind) === kind ? kind : 'mixed';
    if (index.compressed[entry] === 0) usage.uncompressed[pack] = 1;
    (usage.usedBytes[pack] as number) += index.headerBytes(entry);
    const needed = hasBit(used, blob) && sound[pack] === 1;
    if (needed && copies[blob] === 1) {
      (usage.usedBlobs[pack] as number)++;
      (usage.usedBytes[pack] as number) += bytes;
      totals.usedBlobs++;
      totals.usedBytes += bytes;
      setBit(usage.chosen, entry);
      continue;
    }
    (usage.unusedBlobs[pack] as number)++;
    (usage.unusedBytes[pack] as number) += bytes;
    if (needed) {
      (duplicates[pack] as number)++;
      totals.duplicateBlobs++;
      totals.duplicateBytes += bytes;
    } else {
      totals.unusedBlobs++;
      totals.unusedBytes += bytes;
    }
  }
  return duplicates;
}

/** Of every blob with several copies, one becomes used. */
function chooseCopies(
  index: PruneIndex,
  used: Int32Array,
  copies: Uint8Array,
  sound: Uint8Array,
  usage: PackUsage,
  duplicates: Uint32Array,
): void {
  const { first, lengths, blobs } = index;
  const { usedBlobs, unusedBlobs, usedBytes, unusedBytes, chosen, totals } = usage;
  /** By first entries: copies that were not looked at yet; 0 when one is chosen. */
  const left = new Uint32Array(blobs.size);
  for (let entry = 0; entry < blobs.size; entry++) {
    const blob = first[entry] as number;
    if (hasBit(used, blob) && sound[blobs.packNumberOf(entry)] === 1) (left[blob] as number)++;
  }
  for (let entry = 0; entry < blobs.size; entry++) {
    const blob = first[entry] as number;
    const pack = blobs.packNumberOf(entry);
    if (copies[blob] !== several || sound[pack] === 0 || left[blob] === 0) continue;
    const last = left[blob] === 1;
    if (usedBlobs[pack] === 0 && duplicates[pack] !== unusedBlobs[pack] && !last) {
      (left[blob] as number)--;
      continue;
    }
    const bytes = lengths[entry] as number;
    left[blob] = 0;
    setBit(chosen, entry);
    (usedBlobs[pack] as number)++;
    (unusedBlobs[pack] as number)--;
    (usedBytes[pack] as number) += bytes;
    (unusedBytes[pack] as number) -= bytes;
    totals.usedBlobs++;
    totals.usedBytes += bytes;
    totals.duplicateBlobs--;
    totals.duplicateBytes -= bytes;
  }
}
