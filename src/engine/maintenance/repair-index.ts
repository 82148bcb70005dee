/** Makes the index say what the packs hold: from what the index files say, and from the packs' own headers where that is not to be trusted. */
import { HeaderBuilder, headerBoundBytes, headerLength, openHeader, type PackEntry, parseHeaderEntries } from '../../format/pack-header.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { PackId } from '../../model/ids.ts';
import type { BlobLocation } from '../../repository/blob-index.ts';
import type { Repository } from '../../repository/repository.ts';
import { CheckedIndex } from './checked-index.ts';
import { firstDifference } from './compare-header.ts';
import { Findings } from './findings.ts';
import { carryOutIndexRewrite, type IndexRewrite, type PackTruth, placesOf, planIndexRewrite } from './index-rewrite.ts';
import type { PlacedBlob } from './pack-pieces.ts';

/** Headers read at once: enough to hide a storage's latency. */
const parallelReads = 16;
/** Read from the end of a pack whose number of blobs nobody knows: the headers of most packs fit. */
const firstReadBytes = 16 * 1024;

export type RepairIndexOptions = {
  repository: Repository;
  /** Reads the headers of all packs, not only of those that the index lacks or contradicts. */
  readAllPacks: boolean;
  dryRun: boolean;
  /** Called for each step before any is taken. */
  onStep: (step: IndexRepairStep) => void;
  /** Called when a header has been read, with how many there are to read. */
  onProgress: (done: number, total: number) => void;
  signal: AbortSignal;
};

export type IndexRepairStep =
  /** The pack was in no index, and will be. */
  | { action: 'add-pack'; pack: string; blobs: number }
  /** The index said something else than the pack's header, which will be believed. */
  | { action: 'correct-pack'; pack: string; blobs: number; difference: string }
  /** The pack is not there any more: its blobs go from the index. */
  | { action: 'drop-pack'; pack: string; blobs: number }
  /** The pack's header cannot be read: the pack stays, and the index says of it what it said, without blobs beyond its end. */
  | { action: 'keep-pack'; pack: string; blobs: number; reason: string }
  /** Others say by then what is right in it. */
  | { action: 'remove-index'; file: string; damaged: boolean };

export type IndexRepairResult = {
  headersRead: number;
  packsAdded: number;
  packsCorrected: number;
  packsDropped: number;
  packsUnreadable: number;
  /** Packs that new index files name. */
  packsWritten: number;
  indexFilesKept: number;
  indexFilesRemoved: number;
  indexFilesDamaged: number;
  /** Whether nothing is left that it could not mend: packs that are gone, headers that cannot be read. */
  complete: boolean;
};

/**
 * Repairs the index of a repository that is locked exclusively. Nothing is removed before what replaces it is durable, and packs never: it
 * may be interrupted at any instant, and run again.
 * @throws `interrupted`, `storage` (also when an index file cannot be read now, which says nothing of its content), `storage-full`.
 */
export async function repairIndex(options: RepairIndexOptions): Promise<IndexRepairResult> {
  const { repository, dryRun, onStep, signal } = options;
  const checkStopped = () => {
    if (signal.aborted) throw new HoldfastError('interrupted', 'the repair was interrupted', { remedy: 'run it again: nothing is lost' });
  };
  const checked = await CheckedIndex.load(repository, new Findings());
  refuseUnreadable(checked);
  const { truths, steps, headersRead } = await learnTruths(options, checked, checkStopped);
  const rewrite = planIndexRewrite(checked, truths, 'all');
  for (const { name, state } of rewrite.removed)
    steps.push({ action: 'remove-index', file: `index/${name}`, damaged: state === 'damaged' });
  for (const step of steps) onStep(step);
  if (!dryRun) await carryOutIndexRewrite(repository, rewrite, checkStopped);
  return resultOf(steps, rewrite, headersRead);
}

/** @throws `storage` for an index file that could not be read: whether it is good is not known, so that it may not be replaced. */
export function refuseUnreadable(checked: CheckedIndex): void {
  const unreadable = checked.states.find(({ state }) => state === 'unreadable');
  if (unreadable === undefined) return;
  const file = `index/${unreadable.name}`;
  throw new HoldfastError('storage', `the storage failed to read ${file}: ${unreadable.reason}`, {
    file,
    remedy: 'nothing was changed; run again when the storage works',
  });
}

type Learned = { truths: Map<string, PackTruth>; steps: IndexRepairStep[]; headersRead: number };
type PackToRead = { pack: PackId; sizeBytes: number; number: number | undefined };

/** Finds out where the index is wrong, and what is true instead. */
async function learnTruths(options: RepairIndexOptions, checked: CheckedIndex, checkStopped: () => void): Promise<Learned> {
  const { repository, readAllPacks, onProgress } = options;
  const learned: Learned = { truths: new Map(), steps: [], headersRead: 0 };
  const { toRead, missing } = await comparePacks(repository, checked, readAllPacks);
  for (const number of missing) {
    const pack = checked.index.packId(number);
    learned.truths.set(pack, undefined);
    learned.steps.push({ action: 'drop-pack', pack, blobs: checked.blobCount(number) });
  }
  const waiting = toRead.toReversed();
  const readNext = async (): Promise<void> => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      checkStopped();
      learnOne(checked, next, await readHeader(repository, next, checked), learned);
      onProgress(++learned.headersRead, toRead.length);
    }
  };
  await Promise.all(Array.from({ length: parallelReads }, readNext));
  return learned;
}

/** Holds the packs that there are against the index. */
async function comparePacks(
  { storage }: Repository,
  checked: CheckedIndex,
  readAllPacks: boolean,
): Promise<{ toRead: PackToRead[]; missing: number[] }> {
  const toRead: PackToRead[] = [];
  const there = new Uint8Array(checked.index.packCount);
  const compare = (pack: PackId, sizeBytes: number) => {
    const number = checked.packNumber(pack);
    if (number !== undefined) there[number] = 1;
    const said = number === undefined ? undefined : checked.pack(number);
    const agrees = said !== undefined && said.conflict === undefined && said.sizeBytes === sizeBytes && said.entries.length > 0;
    if (!agrees || readAllPacks) toRead.push({ pack, sizeBytes, number });
  };
  for await (const { name, sizeBytes } of storage.list('data')) compare(name as PackId, sizeBytes);
  const missing: number[] = [];
  const unseen = [...there.keys()].filter((number) => there[number] === 0).reverse();
  // A listing may be incomplete; what it lacks is looked for by name.
  const lookNext = async (): Promise<void> => {
    for (let number = unseen.pop(); number !== undefined; number = unseen.pop()) {
      const pack = checked.index.packId(number);
      try {
        compare(pack, await storage.sizeOf({ kind: 'data', name: pack }));
      } catch (error) {
        if (!(error instanceof HoldfastError) || error.code !== 'file-missing') throw error;
        missing.push(number);
      }
    }
  };
  await Promise.all(Array.from({ length: parallelReads }, lookNext));
  return { toRead, missing };
}

/** A pack's header, or why it cannot be had. @throws anything but `damaged` and `storage`. */
export async function readHeader(
  { storage, seal }: Repository,
  { pack, sizeBytes, number }: PackToRead,
  checked: CheckedIndex,
): Promise<PackEntry[] | HoldfastError> {
  const file = { kind: 'data', name: pack } as const;
  const readEnd = (length: number) => storage.read(file, { offset: sizeBytes - length, length });
  try {
    const guess = number === undefined ? firstReadBytes : headerBoundBytes(checked.blobCount(number));
    const tail = await readEnd(Math.min(sizeBytes, guess));
    const length = headerLength(tail, sizeBytes);
    return openHeader(seal, length <= tail.length ? tail.subarray(tail.length - length) : await readEnd(length), sizeBytes);
  } catch (error) {
    if (error instanceof HoldfastError && ['damaged', 'storage', 'storage-denied'].includes(error.code)) return error;
    throw error;
  }
}

function learnOne(
  checked: CheckedIndex,
  { pack, sizeBytes, number }: PackToRead,
  header: PackEntry[] | HoldfastError,
  learned: Learned,
): void {
  const { truths, steps } = learned;
  if (header instanceof HoldfastError) {
    const places = number === undefined ? [] : placesOf(checked, number);
    // What lies beyond the end is lost for certain: as long as an index names it, no backup stores it again.
    const possible = places.filter(({ offset, length }) => offset + length <= sizeBytes);
    if (possible.length < places.length) truths.set(pack, possible.length === 0 ? undefined : () => possible);
    steps.push({ action: 'keep-pack', pack, blobs: possible.length, reason: header.message });
    return;
  }
  if (number === undefined) {
    truths.set(pack, kept(header));
    steps.push({ action: 'add-pack', pack, blobs: header.length });
    return;
  }
  const said = Array.from(
    checked.pack(number).entries,
    (entry): PlacedBlob => ({ entry, ...(checked.index.location(entry) as BlobLocation) }),
  );
  const difference = firstDifference(header, said, checked.index);
  if (difference === undefined) return;
  truths.set(pack, kept(header));
  steps.push({ action: 'correct-pack', pack, blobs: header.length, difference });
}

/** Headers wait in as few bytes as they can: all packs' are here when there is no index at all. */
function kept(header: readonly PackEntry[]): () => PackEntry[] {
  const builder = new HeaderBuilder();
  for (const { kind, id, length, plainLength } of header) builder.add(kind, Buffer.from(id, 'hex'), length, plainLength);
  const bytes = Buffer.from(builder.bytes());
  return () => parseHeaderEntries(bytes);
}

function resultOf(steps: readonly IndexRepairStep[], rewrite: IndexRewrite, headersRead: number): IndexRepairResult {
  const count = (action: IndexRepairStep['action']) => steps.filter((step) => step.action === action).length;
  return {
    headersRead,
    packsAdded: count('add-pack'),
    packsCorrected: count('correct-pack'),
    packsDropped: count('drop-pack'),
    packsUnreadable: count('keep-pack'),
    packsWritten: rewrite.written.length,
    indexFilesKept: rewrite.kept.length,
    indexFilesRemoved: rewrite.removed.length,
    indexFilesDamaged: rewrite.removed.filter(({ state }) => state === 'damaged').length,
    complete: count('drop-pack') === 0 && count('keep-pack') === 0,
  };
}
