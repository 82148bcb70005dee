/** Saves what is intact in damaged packs into new packs, and takes the damaged ones out of the repository. */
import { HeaderBuilder, type PackEntry, parseHeaderEntries } from '../../format/pack-header.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { CheckFinding } from '../../model/events.ts';
import type { PackId } from '../../model/ids.ts';
import { createBlobReader } from '../../repository/blob-reader.ts';
import { packTargetBytes, type StoredPack, storePack } from '../../repository/pack-writer.ts';
import type { Repository } from '../../repository/repository.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import { findAffected } from './affected.ts';
import { CheckedIndex } from './checked-index.ts';
import { Findings } from './findings.ts';
import { carryOutIndexRewrite, type PackTruth, planIndexRewrite } from './index-rewrite.ts';
import { keepAside } from './keep-aside.ts';
import { refuseUnreadable } from './repair-index.ts';
import { type Diagnosis, diagnosePack, type LostBlob, readSaved } from './salvage.ts';

export type RepairPacksOptions = {
  repository: Repository;
  packs: readonly PackId[];
  /** Absolute. Where a copy of every pack is kept that is removed, as `pack-ID`. */
  keepFolder: string;
  dryRun: boolean;
  /** Called for each step before any is taken. */
  onStep: (step: PackRepairStep) => void;
  /** Called for blobs that no copy is left of, with the snapshots and paths that they were in. */
  onLoss: (loss: CheckFinding) => void;
  /** Called when a pack has been examined. */
  onProgress: (done: number, total: number) => void;
  signal: AbortSignal;
};

export type PackRepairStep =
  /** Its intact blobs are stored anew, and the pack is removed. `lost` counts blobs of it that are not intact, `elsewhere` those of them that other packs have. */
  | {
      action: 'salvage-pack';
      pack: string;
      saved: number;
      savedBytes: number;
      lost: number;
      elsewhere: number;
      copy: string;
      header?: string;
    }
  /** Nothing is wrong with it. */
  | { action: 'intact-pack'; pack: string }
  /** Nothing is known of what it holds, or it cannot be read now: it stays. */
  | { action: 'keep-pack'; pack: string; reason: string };

export type PackRepairResult = {
  packsRepaired: number;
  packsIntact: number;
  packsKept: number;
  blobsSaved: number;
  /** Blobs that no copy is left of. */
  blobsLost: number;
  /** Copies of the packs that were removed. */
  copies: string[];
  /** Whether every blob was saved and every pack could be examined. */
  complete: boolean;
};

/**
 * Repairs packs of a repository that is locked exclusively. Copies of damaged packs are kept aside, then what is intact in them is stored
 * and indexed, and only then they are removed: it may be interrupted at any instant, and run again.
 * @throws `damaged` when index files are: they must be repaired first; `file-missing`, `storage`, `storage-denied`, `storage-full`, `target-full`,
 * `target-unwritable`, `interrupted`: the message says what was done.
 */
export async function repairPacks(options: RepairPacksOptions): Promise<PackRepairResult> {
  const { repository, keepFolder, dryRun, onStep, onLoss, signal } = options;
  const checkStopped = () => {
    if (signal.aborted) throw new HoldfastError('interrupted', 'the repair was interrupted', { remedy: 'run it again: nothing is lost' });
  };
  const checked = await loadSoundIndex(repository);
  const { doomed, steps } = await examine(options, checked, checkStopped);
  const lost = lostForGood(checked, doomed);
  for (const { pack, saved, headerReason, lost: ofPack } of doomed) {
    const gone = ofPack.filter(({ kind, id }) => lost.has(`${kind}:${id}`)).length;
    steps.push({
      action: 'salvage-pack',
      pack,
      saved: saved.length,
      savedBytes: saved.reduce((sum, { length }) => sum + length, 0),
      lost: ofPack.length,
      elsewhere: ofPack.length - gone,
      copy: `${keepFolder}/pack-${pack}`,
      ...(headerReason === undefined ? {} : { header: headerReason }),
    });
  }
  for (const step of steps) onStep(step);
  await tellLosses(repository, checked, doomed, lost, onLoss, checkStopped);
  const copies = dryRun ? [] : await carryOut(repository, checked, doomed, keepFolder, checkStopped);
  const count = (action: PackRepairStep['action']) => steps.filter((step) => step.action === action).length;
  return {
    packsRepaired: doomed.length,
    packsIntact: count('intact-pack'),
    packsKept: count('keep-pack'),
    blobsSaved: doomed.reduce((sum, { saved }) => sum + saved.length, 0),
    blobsLost: lost.size,
    copies,
    complete: lost.size === 0 && count('keep-pack') === 0,
  };
}

/**
 * The index, for repairs that ask it where else a blob is.
 * @throws `damaged` when an index file is, `storage`.
 */
export async function loadSoundIndex(repository: Repository): Promise<CheckedIndex> {
  const checked = await CheckedIndex.load(repository, new Findings());
  refuseUnreadable(checked);
  const damaged = checked.states.find(({ state }) => state === 'damaged');
  if (damaged === undefined) return checked;
  const file = `index/${damaged.name}`;
  throw new HoldfastError('damaged', `an index file is damaged, and what it said is not known: ${damaged.reason}`, {
    file,
    remedy: 'run `holdfast repair index` first, then this again',
  });
}

async function examine(
  { repository, packs, onProgress }: RepairPacksOptions,
  checked: CheckedIndex,
  checkStopped: () => void,
): Promise<{ doomed: Diagnosis[]; steps: PackRepairStep[] }> {
  const doomed: Diagnosis[] = [];
  const steps: PackRepairStep[] = [];
  const wanted = new Set(packs);
  for (const pack of wanted) {
    checkStopped();
    try {
      const diagnosis = await diagnosePack(repository, checked, pack);
      if (diagnosis.intact) steps.push({ action: 'intact-pack', pack });
      else if (diagnosis.headerReason !== undefined && !checked.hasPack(pack)) {
        const reason = `no index names its blobs, and its header cannot be read: ${diagnosis.headerReason}`;
        steps.push({ action: 'keep-pack', pack, reason });
      } else doomed.push(diagnosis);
    } catch (error) {
      if (!(error instanceof HoldfastError) || (error.code !== 'storage' && error.code !== 'storage-denied')) throw error;
      // What cannot be read may be readable elsewhere, or later.
      steps.push({ action: 'keep-pack', pack, reason: error.message });
    }
    onProgress(doomed.length + steps.length, wanted.size);
  }
  return { doomed, steps };
}

const keyOf = ({ kind, id }: Pick<PackEntry, 'kind' | 'id'>): string => `${kind}:${id}`;

/** Lost blobs that neither another of the doomed packs nor a pack that stays has, by `kind:id`. */
function lostForGood(checked: CheckedIndex, doomed: readonly Diagnosis[]): Map<string, LostBlob & { pack: PackId }> {
  const going = new Set<string>(doomed.map(({ pack }) => pack));
  const lost = new Map<string, LostBlob & { pack: PackId }>();
  for (const { pack, lost: blobs } of doomed) {
    for (const blob of blobs) {
      const elsewhere = checked.index.locations(blob.id, blob.kind).some((place) => !going.has(place.pack));
      if (!elsewhere) lost.set(keyOf(blob), { ...blob, pack });
    }
  }
  if (lost.size > 0) for (const { saved } of doomed) for (const blob of saved) lost.delete(keyOf(blob));
  return lost;
}

/** Finds the snapshots and paths that lack the lost blobs. */
async function tellLosses(
  repository: Repository,
  checked: CheckedIndex,
  doomed: readonly Diagnosis[],
  lost: ReadonlyMap<string, LostBlob & { pack: PackId }>,
  onLoss: (loss: CheckFinding) => void,
  checkStopped: () => void,
): Promise<void> {
  if (lost.size === 0) return;
  const { index } = checked;
  const entries = new Map<string, number[]>();
  for (const { pack } of doomed) {
    const number = checked.packNumber(pack);
    for (const entry of number === undefined ? [] : checked.pack(number).entries) {
      const key = `${index.kindOf(entry)}:${index.idOf(entry)}`;
      if (lost.has(key)) entries.set(key, [...(entries.get(key) ?? []), entry]);
    }
  }
  const findings = new Findings();
  for (const [key, { kind, id, pack, reason }] of lost) {
    const known = entries.get(key);
    const message = `${kind} blob ${id} of pack ${pack} is lost: ${reason}`;
    findings.add({
      kind: 'blob-damaged',
      message,
      file: `data/${pack}`,
      ...(known === undefined ? { missing: { kind, id } } : { entries: known }),
    });
  }
  const { storage, seal } = repository;
  const snapshots = await listSnapshots(repository, () => undefined);
  await findAffected({ findings, snapshots, index, blobs: createBlobReader({ storage, seal, index }), checkStopped });
  for (const finding of findings.errors) onLoss(finding);
}

/** How far a repair has come. Whatever stops it there, nothing is lost. */
type Done = { copies: string[]; stored: boolean; indexed: boolean; removed: number };

/** @returns the copies that were kept. @throws what stops it, with what was done until then. */
async function carryOut(
  repository: Repository,
  checked: CheckedIndex,
  doomed: readonly Diagnosis[],
  keepFolder: string,
  checkStopped: () => void,
): Promise<string[]> {
  const { storage } = repository;
  const done: Done = { copies: [], stored: false, indexed: false, removed: 0 };
  try {
    for (const { pack } of doomed) {
      checkStopped();
      done.copies.push(await keepAside(storage, { kind: 'data', name: pack }, keepFolder, `pack-${pack}`));
    }
    const truths = new Map<string, PackTruth>(doomed.map(({ pack }) => [pack, undefined]));
    for (const { id, entries } of await storeSaved(repository, doomed, checkStopped)) truths.set(id, () => parseHeaderEntries(entries));
    done.stored = true;
    await carryOutIndexRewrite(repository, planIndexRewrite(checked, truths, 'changed'), checkStopped);
    done.indexed = true;
    for (const { pack } of doomed) {
      checkStopped();
      await storage.remove({ kind: 'data', name: pack });
      done.removed++;
    }
  } catch (error) {
    throw error instanceof HoldfastError ? stoppedAfter(error, done, doomed.length) : error;
  }
  return done.copies;
}

/** Each state is sound: what is intact is stored before an index names it, and indexed before a damaged pack goes. */
function stoppedAfter(error: HoldfastError, { copies, stored, indexed, removed }: Done, total: number): HoldfastError {
  const state = indexed
    ? `what is intact is stored and indexed anew, and ${removed} of ${total} damaged packs are removed`
    : stored
      ? 'what is intact is stored anew, the index is not rewritten in all, and no damaged pack is removed'
      : `no damaged pack is removed and the index is as it was (copies kept of ${copies.length} of ${total} packs)`;
  const { code, message, file } = error;
  const remedy = {
    'storage-denied': 'run it again with credentials that may read, write and delete: an append-only client cannot repair packs',
    interrupted: error.remedy,
  }[code as string];
  return new HoldfastError(code, `${message}; ${state}; nothing is lost`, {
    ...(file === undefined ? {} : { file }),
    remedy: remedy ?? `${error.remedy}; then run it again: it carries on`,
    cause: error.cause,
  });
}

/** Stores the intact blobs, sealed as they are, in new packs. */
async function storeSaved(repository: Repository, doomed: readonly Diagnosis[], checkStopped: () => void): Promise<StoredPack[]> {
  const stored: StoredPack[] = [];
  const done = new Set<string>();
  const open = {
    data: { header: new HeaderBuilder(), parts: [] as Buffer[] },
    tree: { header: new HeaderBuilder(), parts: [] as Buffer[] },
  };
  const sizes = { data: 0, tree: 0 };

  async function close(kind: 'data' | 'tree'): Promise<void> {
    const { header, parts } = open[kind];
    if (parts.length === 0) return;
    stored.push(await storePack(repository, { kind, entries: Buffer.from(header.bytes()), body: Buffer.concat(parts) }));
    open[kind] = { header: new HeaderBuilder(), parts: [] };
    sizes[kind] = 0;
  }

  for (const diagnosis of doomed) {
    await readSaved(repository, diagnosis, async (place, sealed) => {
      checkStopped();
      const { kind, id, plainLength } = place;
      if (done.has(keyOf(place))) return;
      done.add(keyOf(place));
      open[kind].header.add(kind, Buffer.from(id, 'hex'), sealed.length, plainLength);
      open[kind].parts.push(Buffer.from(sealed));
      sizes[kind] += sealed.length;
      if (sizes[kind] >= packTargetBytes) await close(kind);
    });
  }
  await close('data');
  await close('tree');
  return stored;
}
