/**
 * What a prune is going to do, decided on the blob index alone. The choice of packs is restic's (restic, internal/repository/prune.go), so
 * that the two free the same.
 */
import type { BlobIndex } from '../../repository/blob-index.ts';
import { packTargetBytes } from '../../repository/pack-writer.ts';
import { bitsFor, hasBit, setBit } from './entry-bits.ts';
import { measureUsage, type PackKind, type PackUsage } from './pack-usage.ts';
import type { PruneIndex } from './prune-index.ts';

/** How much unused data may stay, so that not every pack with a hole in it is written anew. */
export type MaxUnused = { bytes: number } | { percent: number } | 'unlimited';

export type PruneLimits = {
  /** `percent` is of the whole after pruning. Default: 5 percent. */
  maxUnused: MaxUnused;
  /** Stops before so many bytes of packs are repacked. Default: no limit. */
  maxRepackBytes: number;
  /** Joins packs below 80% of the target size, not only those below 80% of what is usual in the repository. */
  repackSmall: boolean;
  /** Compresses what an old program stored uncompressed. Trees are compressed in any case. Nothing in repositories of version 1. */
  repackUncompressed: boolean;
  /** Leaves packs of data alone that hold anything used. */
  repackCacheableOnly: boolean;
};

export const defaultLimits: PruneLimits = {
  maxUnused: { percent: 5 },
  maxRepackBytes: Number.POSITIVE_INFINITY,
  repackSmall: false,
  repackUncompressed: false,
  repackCacheableOnly: false,
};

/**
 * Packs smaller than this share of what is usual are small. Usual is the size that all but 3% of the packs reach, or 4 MiB, the least that
 * restic fills packs to (observed with restic 0.19.1; up to 0.18, only packs below 4% of the target were small).
 */
const smallShare = 4 / 5;
const smallestPercent = 3;
const minPackBytes = 4 * 1024 * 1024;
/** So many small packs are worth joining; without it a single one would be written anew each time. */
const fewestSmallPacks = 10;

/** `remove` also means: the index is to forget the pack, be it there or not. */
export type PackAction = 'keep' | 'repack' | 'remove';

/** A pack of the plan, for people and programs. Sizes are bytes; blobs count as sealed. */
export type PlannedPack = {
  pack: string;
  action: PackAction | 'remove-unreferenced';
  kind?: PackKind;
  /** Of the file; 0 when it is not there. */
  sizeBytes: number;
  usedBlobs: number;
  unusedBlobs: number;
  unusedBytes: number;
};

/** The plan in numbers. Sizes are bytes. */
export type PrunePlanSummary = {
  packs: { total: number; keep: number; repack: number; remove: number; unreferenced: number; missing: number };
  blobs: { used: number; unused: number; duplicate: number; repack: number };
  bytes: {
    /** All packs on the storage. */
    total: number;
    /** Packs that are read and written anew without what is unused. */
    repack: number;
    /** What goes: whole packs, and what repacking leaves out. Compression may free more. */
    free: number;
    /** Of it, packs that no index names. */
    unreferenced: number;
    /** What stays on the storage though nothing needs it. */
    unusedLeft: number;
  };
  indexFiles: { total: number; obsolete: number };
};

export type PrunePlan = {
  summary: PrunePlanSummary;
  usage: PackUsage;
  /** By the number of the pack in the index. */
  actions: PackAction[];
  /** Packs on the storage that no index file names. */
  unreferenced: string[];
  /** Bit of every entry that is copied into a new pack: no pack that stays holds its blob. */
  copied: Int32Array;
  /**
   * Bit of the entry that stands for a blob of which another copy goes: it is read and found intact before anything is removed.
   */
  relied: Int32Array;
  /** Numbers of index files, in the order of the index, that name what goes, or that are small enough to be joined. */
  obsoleteIndexFiles: number[];
};

/** What the storage holds: sizes by the numbers of packs, -1 for one that is missing, and what no index file names. */
export type StoredPacks = { sizes: Float64Array; unreferenced: { pack: string; sizeBytes: number }[] };

export type PlanPruneOptions = {
  index: PruneIndex;
  /** Bit of some entry of every blob that a snapshot needs. */
  used: Int32Array;
  stored: StoredPacks;
  formatVersion: number;
  limits: PruneLimits;
};

type Decisions = { actions: PackAction[]; usage: PackUsage };

/** @throws `damaged` when the storage lacks what is used, or a pack that is used has another size than the index makes up. */
export function planPrune(options: PlanPruneOptions): PrunePlan {
  const { index, used, stored } = options;
  const usage = measureUsage(index, used, stored.sizes);
  const actions = decide(options, usage);
  const { copied, relied } = chooseEntries(index, used, { actions, usage });
  const obsoleteIndexFiles = obsoleteFiles(index, actions);
  return {
    summary: summarize(options, { actions, usage }, copied, obsoleteIndexFiles.length),
    usage,
    actions,
    unreferenced: stored.unreferenced.map(({ pack }) => pack),
    copied,
    relied,
    obsoleteIndexFiles,
  };
}

/** Every pack of the plan: those of the index in its order, then those that no index names. */
export function* plannedPacks(index: PruneIndex, stored: StoredPacks, { actions, usage }: PrunePlan): Generator<PlannedPack> {
  for (const [pack, action] of actions.entries()) {
    const kind = usage.kinds[pack];
    yield {
      pack: index.blobs.packId(pack),
      action,
      ...(kind === undefined ? {} : { kind }),
      sizeBytes: Math.max(0, stored.sizes[pack] as number),
      usedBlobs: usage.usedBlobs[pack] as number,
      unusedBlobs: usage.unusedBlobs[pack] as number,
      unusedBytes: usage.unusedBytes[pack] as number,
    };
  }
  for (const { pack, sizeBytes } of stored.unreferenced)
    yield { pack, action: 'remove-unreferenced', sizeBytes, usedBlobs: 0, unusedBlobs: 0, unusedBytes: 0 };
}

function decide({ index, stored, formatVersion, limits }: PlanPruneOptions, usage: PackUsage): PackAction[] {
  const { usedBlobs, unusedBlobs, unusedBytes, kinds, uncompressed } = usage;
  const smallBytes = smallShare * Math.max(minPackBytes, usualBytes(stored), limits.repackSmall ? packTargetBytes : 0);
  const sizeOf = (pack: number) => stored.sizes[pack] as number;
  const mustCompress = (pack: number) =>
    formatVersion >= 2 && uncompressed[pack] === 1 && (kinds[pack] === 'tree' || limits.repackUncompressed);
  const actions = Array<PackAction>(index.blobs.packCount).fill('keep');
  const candidates: number[] = [];
  const small: number[] = [];
  let left = usage.totals.unusedBytes + usage.totals.duplicateBytes;
  for (let pack = 0; pack < actions.length; pack++) {
    if (usedBlobs[pack] === 0) {
      actions[pack] = 'remove';
      left -= unusedBytes[pack] as number;
    } else if (limits.repackCacheableOnly && kinds[pack] === 'data') {
    } else if (unusedBlobs[pack] === 0 && kinds[pack] !== 'mixed' && !mustCompress(pack)) {
      if (sizeOf(pack) < smallBytes) small.push(pack);
    } else {
      candidates.push(pack);
    }
  }
  if (small.length >= fewestSmallPacks) candidates.push(...small);
  const isSmall = (pack: number) => sizeOf(pack) < smallBytes;
  candidates.sort(byGain(index.blobs, usage, isSmall));

  const maxLeft = maxUnusedBytes(limits.maxUnused, usage.totals.usedBytes);
  let repackBytes = 0;
  for (const pack of candidates) {
    if (repackBytes + sizeOf(pack) >= limits.maxRepackBytes) continue;
    // Packs that hold trees are always cleaned: they are read, and cached, by everything.
    const always = kinds[pack] !== 'data' || mustCompress(pack) || isSmall(pack);
    if (!always && left < maxLeft) continue;
    actions[pack] = 'repack';
    repackBytes += sizeOf(pack);
    left -= unusedBytes[pack] as number;
  }
  return actions;
}

/** The size that all packs of the storage but the smallest 3% reach. */
function usualBytes({ sizes, unreferenced }: StoredPacks): number {
  const all = Float64Array.from([...sizes.filter((size) => size >= 0), ...unreferenced.map(({ sizeBytes }) => sizeBytes)]).sort();
  return all[Math.floor((all.length * smallestPercent) / 100)] ?? 0;
}

/** Packs with trees first, then small ones, then those with the largest share of unused data. */
function byGain(blobs: BlobIndex, { kinds, unusedBytes, usedBytes }: PackUsage, isSmall: (pack: number) => boolean) {
  const share = (pack: number) => (unusedBytes[pack] as number) / (usedBytes[pack] as number);
  return (a: number, b: number): number =>
    Number(kinds[a] === 'data') - Number(kinds[b] === 'data') ||
    Number(isSmall(b)) - Number(isSmall(a)) ||
    share(b) - share(a) ||
    (blobs.packId(a) < blobs.packId(b) ? -1 : 1);
}

function maxUnusedBytes(maxUnused: MaxUnused, usedBytes: number): number {
  if (maxUnused === 'unlimited') return Number.POSITIVE_INFINITY;
  if ('bytes' in maxUnused) return maxUnused.bytes;
  return maxUnused.percent >= 100 ? Number.POSITIVE_INFINITY : Math.floor((maxUnused.percent / (100 - maxUnused.percent)) * usedBytes);
}

/** Which entries are copied, and which copies that stay are relied upon because another one goes. */
function chooseEntries(index: PruneIndex, used: Int32Array, { actions, usage }: Decisions): { copied: Int32Array; relied: Int32Array } {
  const { first, blobs } = index;
  const { size } = blobs;
  const actionOf = (entry: number) => actions[blobs.packNumberOf(entry)] as PackAction;
  const copied = bitsFor(size);
  const relied = bitsFor(size);
  const stays = bitsFor(size);
  const goes = bitsFor(size);
  for (let entry = 0; entry < size; entry++) {
    const blob = first[entry] as number;
    if (hasBit(used, blob)) setBit(actionOf(entry) === 'keep' ? stays : goes, blob);
  }
  for (let entry = 0; entry < size; entry++) {
    const blob = first[entry] as number;
    if (!hasBit(used, blob)) continue;
    if (!hasBit(stays, blob)) {
      if (hasBit(usage.chosen, entry)) setBit(copied, entry);
    } else if (hasBit(goes, blob) && actionOf(entry) === 'keep') {
      setBit(relied, entry);
    }
  }
  return { copied, relied };
}

/** Index files with so many blobs are left as they are; restic's bound for one is 50,000. */
const fullIndexFileBlobs = 25_000;

/** All that name a pack that goes, or one that an earlier file names too; and when there are such, the small ones, to be joined. */
function obsoleteFiles(index: PruneIndex, actions: readonly PackAction[]): number[] {
  const named = new Uint8Array(actions.length);
  const wrong = index.files.map(({ packs }) => {
    let obsolete = packs.length === 0;
    for (const pack of packs) {
      if (actions[pack] !== 'keep' || named[pack] === 1) obsolete = true;
      named[pack] = 1;
    }
    return obsolete;
  });
  if (!wrong.includes(true)) return [];
  return [...index.files.keys()].filter((file) => wrong[file] || (index.files[file]?.blobs ?? 0) < fullIndexFileBlobs);
}

function summarize(
  { index, stored }: PlanPruneOptions,
  { actions, usage }: Decisions,
  copied: Int32Array,
  obsolete: number,
): PrunePlanSummary {
  const { totals } = usage;
  const { sizes } = stored;
  const packs = { total: stored.unreferenced.length, keep: 0, repack: 0, remove: 0, unreferenced: stored.unreferenced.length, missing: 0 };
  const unreferenced = stored.unreferenced.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const bytes = { total: unreferenced, repack: 0, free: unreferenced, unreferenced, unusedLeft: 0 };
  for (const [pack, action] of actions.entries()) {
    const sizeBytes = Math.max(0, sizes[pack] as number);
    const isThere = (sizes[pack] as number) >= 0;
    packs[isThere ? action : 'missing']++;
    if (isThere) packs.total++;
    bytes.total += sizeBytes;
    if (action === 'keep') bytes.unusedLeft += usage.unusedBytes[pack] as number;
    else bytes.free += sizeBytes;
    if (action === 'repack') bytes.repack += sizeBytes;
  }
  let repack = 0;
  for (let entry = 0; entry < index.blobs.size; entry++) {
    if (!hasBit(copied, entry)) continue;
    repack++;
    bytes.free -= index.storedBytes(entry);
  }
  return {
    packs,
    blobs: { used: totals.usedBlobs, unused: totals.unusedBlobs, duplicate: totals.duplicateBlobs, repack },
    bytes,
    indexFiles: { total: index.files.length, obsolete },
  };
}
