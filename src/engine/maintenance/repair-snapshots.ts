/** Writes snapshots anew without what is lost of them, so that what is left can be restored without errors. */
import { HoldfastError, isOfContent } from '../../model/errors.ts';
import type { BlobId, PackId, SnapshotId } from '../../model/ids.ts';
import { identityFromTags, repairedTag, type StoredSnapshot } from '../../model/snapshot.ts';
import { createIndexWriter } from '../../repository/index-writer.ts';
import { PackWriter, storePack } from '../../repository/pack-writer.ts';
import type { Repository } from '../../repository/repository.ts';
import { findById, listSnapshots, saveSnapshot } from '../../repository/snapshots.ts';
import type { CheckedIndex } from './checked-index.ts';
import { keepAside } from './keep-aside.ts';
import { readHeader } from './repair-index.ts';
import { loadSoundIndex } from './repair-packs.ts';
import { type PathChange, TreeRepair } from './repair-trees.ts';

/** Paths listed a snapshot; the others are counted. */
const maxPaths = 1000;
/** zstd's level for trees. */
const compressionLevel = 3;

export type RepairSnapshotsOptions = {
  repository: Repository;
  /** Ids or their beginnings; empty for all. */
  snapshots: readonly string[];
  /** Removes damaged snapshots when what replaces them is durable. Those that nothing can replace are kept aside first. */
  forget: boolean;
  /** Absolute. Where a copy is kept of every snapshot file that is removed without a replacement, as `snapshot-ID`. */
  keepFolder: string;
  dryRun: boolean;
  /** Called for each step before any is taken. */
  onStep: (step: SnapshotRepairStep) => void;
  /** Called when a snapshot has been examined. */
  onProgress: (done: number, total: number) => void;
  signal: AbortSignal;
};

export type SnapshotRepairStep =
  /** Written anew without what is lost; `changes` are its first 1000 paths, `count` says how many there are. */
  | { action: 'rewrite-snapshot'; snapshot: string; volume?: string; changes: PathChange[]; count: number; forget: boolean }
  /** An earlier repair has written it anew already. */
  | { action: 'repaired-before'; snapshot: string; volume?: string; replacement: string; forget: boolean }
  /** Its root is gone, or its file cannot be read: there is nothing to save. Removed only on request. */
  | { action: 'hopeless-snapshot'; snapshot: string; volume?: string; reason: string; forget: boolean; copy?: string };

export type SnapshotRepairResult = {
  examined: number;
  /** New snapshots, with those that they replace. Empty in a dry run. */
  repaired: { snapshot: string; replacement: string }[];
  /** Snapshots that lack something. */
  damaged: number;
  hopeless: number;
  forgotten: number;
  /** Whether no snapshot was found, or is left, that nothing can be saved of. */
  complete: boolean;
};

type Plan = { snapshot: StoredSnapshot; tree: BlobId; replacement: SnapshotId | undefined };
type Hopeless = { id: SnapshotId; reason: string; volume: string | undefined };

/**
 * Repairs snapshots of a repository that is locked exclusively, as restic's `repair snapshots` does: files lose the parts that are gone,
 * directories whose trees are gone become empty. The index must be right: what it lacks counts as lost. Everything new is durable before
 * anything is removed.
 * @throws `damaged` when the index must be repaired first; `snapshot-missing`, `snapshot-ambiguous`, `storage`, `storage-full`,
 * `target-full`, `target-unwritable`, `interrupted`.
 */
export async function repairSnapshots(options: RepairSnapshotsOptions): Promise<SnapshotRepairResult> {
  const { repository, forget, keepFolder, dryRun, onStep, signal } = options;
  const checkStopped = () => {
    if (signal.aborted) throw new HoldfastError('interrupted', 'the repair was interrupted', { remedy: 'run it again: nothing is lost' });
  };
  const checked = await loadSoundIndex(repository);
  const unindexed = await comparePacks(repository, checked);
  const hopeless: Hopeless[] = [];
  const all = await listSnapshots(repository, (name, { message }) => {
    hopeless.push({ id: name as SnapshotId, reason: message, volume: undefined });
  });
  const chosen = choose(options, all, hopeless);
  const trees = new TreeRepair(repository, checked.index, checkStopped);
  const plans = await examine(options, trees, all, chosen);
  if (plans.length + hopeless.length + chosen.lost.length > 0) await refuseUnindexed(repository, checked, unindexed);
  for (const { snapshot, replacement } of plans) {
    const about = { snapshot: snapshot.id, ...volumeOf(snapshot), forget };
    if (replacement !== undefined) onStep({ action: 'repaired-before', ...about, replacement });
    else onStep({ action: 'rewrite-snapshot', ...about, ...(await trees.changesBelow(snapshot.tree, maxPaths)) });
  }
  const lost = [...hopeless, ...chosen.lost];
  for (const { id, reason, volume } of lost) {
    const copy = forget ? { copy: `${keepFolder}/snapshot-${id}` } : {};
    onStep({ action: 'hopeless-snapshot', snapshot: id, ...(volume === undefined ? {} : { volume }), reason, forget, ...copy });
  }
  const repaired = dryRun ? [] : await carryOut(options, checked, trees, plans, lost, checkStopped);
  return {
    examined: chosen.snapshots.length + hopeless.length,
    repaired,
    damaged: plans.length,
    hopeless: lost.length,
    forgotten: forget && !dryRun ? plans.length + lost.length : 0,
    complete: lost.length === 0,
  };
}

const volumeOf = ({ tags }: StoredSnapshot): { volume?: string } => {
  const volume = identityFromTags(tags)?.volume;
  return volume === undefined ? {} : { volume };
};

type Chosen = { snapshots: StoredSnapshot[]; lost: Hopeless[] };

/** The snapshots that were asked for. Of those that cannot be read, only the ones asked for stay in `hopeless`. */
function choose({ snapshots: wanted }: RepairSnapshotsOptions, all: readonly StoredSnapshot[], hopeless: Hopeless[]): Chosen {
  if (wanted.length === 0) return { snapshots: [...all], lost: [] };
  const named = new Set(wanted.map((prefix) => findById([...all, ...hopeless], prefix).id));
  const isAsked = ({ id }: { id: SnapshotId }) => named.has(id);
  hopeless.splice(0, hopeless.length, ...hopeless.filter(isAsked));
  return { snapshots: all.filter(isAsked), lost: [] };
}

/** Finds the snapshots that lack something; those whose root is gone go to `chosen.lost`. */
async function examine(
  { onProgress }: RepairSnapshotsOptions,
  trees: TreeRepair,
  all: readonly StoredSnapshot[],
  chosen: Chosen,
): Promise<Plan[]> {
  const plans: Plan[] = [];
  for (const [number, snapshot] of chosen.snapshots.entries()) {
    const found = await trees.examine(snapshot.tree);
    onProgress(number + 1, chosen.snapshots.length);
    if (found.verdict === 'lost') {
      const { volume } = volumeOf(snapshot);
      chosen.lost.push({ id: snapshot.id, reason: `its root, tree ${snapshot.tree}, is lost`, volume });
    } else if (found.verdict === 'changed') {
      const before = all.find(({ original, tree, tags }) => original === snapshot.id && tree === found.id && tags.includes(repairedTag));
      plans.push({ snapshot, tree: found.id, replacement: before?.id });
    }
  }
  return plans;
}

/**
 * Holds the packs that there are against the index.
 * @returns packs that no index names.
 * @throws `damaged` when a pack is missing that the index names: what it held would count as there.
 */
async function comparePacks({ storage }: Repository, checked: CheckedIndex): Promise<{ pack: PackId; sizeBytes: number }[]> {
  const there = new Uint8Array(checked.index.packCount);
  const unindexed: { pack: PackId; sizeBytes: number }[] = [];
  for await (const { name, sizeBytes } of storage.list('data')) {
    const number = checked.packNumber(name);
    if (number === undefined) unindexed.push({ pack: name as PackId, sizeBytes });
    else there[number] = 1;
  }
  const missing = there.indexOf(0);
  if (missing < 0) return unindexed;
  const pack = checked.index.packId(missing);
  throw new HoldfastError('damaged', `pack ${pack}, which the index names, is missing`, {
    file: `data/${pack}`,
    remedy: 'run `holdfast repair index` first, then this again',
  });
}

/** @throws `damaged` when a pack that no index names has blobs that none has: they may be the ones that seem to be lost. */
async function refuseUnindexed(
  repository: Repository,
  checked: CheckedIndex,
  unindexed: readonly { pack: PackId; sizeBytes: number }[],
): Promise<void> {
  for (const { pack, sizeBytes } of unindexed) {
    const header = await readHeader(repository, { pack, sizeBytes, number: undefined }, checked);
    if (header instanceof HoldfastError) {
      if (!isOfContent(header)) throw header;
      continue;
    }
    if (header.every(({ id, kind }) => checked.index.has(id, kind))) continue;
    throw new HoldfastError('damaged', `pack ${pack} is in no index, and has blobs that the index lacks`, {
      file: `data/${pack}`,
      remedy: 'run `holdfast repair index` first, then this again: perhaps less is lost than it seems',
    });
  }
}

async function carryOut(
  { repository, forget, keepFolder }: RepairSnapshotsOptions,
  checked: CheckedIndex,
  trees: TreeRepair,
  plans: readonly Plan[],
  lost: readonly Hopeless[],
  checkStopped: () => void,
): Promise<SnapshotRepairResult['repaired']> {
  const { storage } = repository;
  const repaired: SnapshotRepairResult['repaired'] = [];
  if (plans.length > 0) await storeTrees(repository, checked, trees);
  for (const { snapshot, tree, replacement } of plans) {
    checkStopped();
    const { id, ...fields } = snapshot;
    const tags = fields.tags.includes(repairedTag) ? fields.tags : [...fields.tags, repairedTag];
    const saved = replacement ?? (await saveSnapshot(repository, { ...fields, tree, tags, original: id }));
    if (replacement === undefined) repaired.push({ snapshot: id, replacement: saved });
    if (forget) await storage.remove({ kind: 'snapshots', name: id });
  }
  for (const { id } of forget ? lost : []) {
    checkStopped();
    await keepAside(storage, { kind: 'snapshots', name: id }, keepFolder, `snapshot-${id}`);
    await storage.remove({ kind: 'snapshots', name: id });
  }
  return repaired;
}

/** Stores the new trees, and the index that names them. */
async function storeTrees(repository: Repository, checked: CheckedIndex, trees: TreeRepair): Promise<void> {
  const { storage, seal, config } = repository;
  const index = createIndexWriter(repository);
  const writer = new PackWriter({
    storage,
    seal,
    formatVersion: config.version,
    level: compressionLevel,
    onStored: (pack) => index.add(pack),
  });
  try {
    for await (const { id, json } of trees.newTrees()) {
      if (!checked.index.claim(id, 'tree')) continue;
      writer.add('tree', Buffer.from(id, 'hex'), json);
      if (writer.full) await writer.settle();
    }
  } finally {
    for (const partial of await writer.drain()) index.add(await storePack({ storage, seal }, partial));
  }
  await index.flush();
}
