/**
 * Removes what no snapshot needs. The order makes it safe at any instant: what stays of packs that go is copied into new packs; index
 * files are written that name everything that stays; then the old index files go, and only then the old packs.
 */
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Report } from '../../model/events.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import type { Repository } from '../../repository/repository.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import type { Storage, StorageAddress } from '../../storage/storage.ts';
import { type WarmLanes, warmLanes } from '../lanes/pool.ts';
import { findUsedBlobs } from './find-used.ts';
import { refuseNewcomers, refuseVanished } from './listing-guards.ts';
import { PruneIndex } from './prune-index.ts';
import { type PruneLanes, startPruneLanes } from './prune-lanes.ts';
import {
  type PlannedPack,
  type PruneLimits,
  type PrunePlan,
  type PrunePlanSummary,
  plannedPacks,
  planPrune,
  type StoredPacks,
} from './prune-plan.ts';
import { replaceIndexInFullStorage } from './recover-space.ts';
import { removeFiles } from './remove-files.ts';
import { Repack, type Repacked } from './repack.ts';
import { writeRemainingIndex } from './rewrite-index.ts';

export type PruneOptions = {
  /** Locked exclusively by the caller. */
  repository: Repository;
  /** The composition root's: URL of the storage, module of the lanes. */
  address: StorageAddress;
  laneEntry: URL;
  /** Started for job `prune`; without them, the prune starts its own. Closed by the prune. */
  warmLanes?: WarmLanes;
  lanes: number;
  limits: PruneLimits;
  /** Plans only: nothing is written or removed. */
  dryRun: boolean;
  /**
   * For a storage that is full: old index files go before new ones are written, and copies of them are kept meanwhile in this folder
   * (absolute, on another disk).
   */
  indexAside?: string;
  /** Told of the plan before anything is done. The packs are listed as they are asked for. */
  onPlan?: (summary: PrunePlanSummary, packs: Iterable<PlannedPack>) => void;
  report: Report;
  clock: Clock;
  /** Aborts when the run is to end, or the lock was lost; its reason is thrown. */
  signal: AbortSignal;
};

/** What was done. Sizes are bytes. */
export type PruneResult = {
  plan: PrunePlanSummary;
  packsWritten: number;
  bytesWritten: number;
  packsRemoved: number;
  bytesRemoved: number;
  /** Removed less written. */
  bytesFreed: number;
  indexFilesWritten: number;
  indexFilesRemoved: number;
  durationMs: number;
};

/** No file takes so long to write: what is older and unfinished was left behind. */
const leftoverMs = 24 * 60 * 60 * 1000;

/**
 * Plans a prune, and carries it out. Interrupted at any point, it leaves a sound repository, and the next run carries on.
 * @throws `damaged` when something that snapshots need is missing or cannot be read (then nothing was removed but packs that no index
 * names); the reason of the signal, else `interrupted`; `unsupported` for limits that the repository's version doesn't allow; `storage`,
 * `storage-full`; with `indexAside`, `target-full` and `target-unwritable` before anything is removed that an index names.
 */
export async function prune(options: PruneOptions): Promise<PruneResult> {
  const { repository, limits, signal } = options;
  const startedMs = performance.now();
  if (limits.repackUncompressed && repository.config.version < 2) {
    throw new HoldfastError('unsupported', 'repositories of format version 1 cannot be compressed', {
      remedy: 'prune without --repack-uncompressed, or upgrade the repository with `restic migrate upgrade_repo_v2`',
    });
  }
  const checkStopped = () => {
    if (signal.aborted) throw reasonOf(signal);
  };
  checkStopped();
  const warm = options.warmLanes ?? warmLanes({ entry: options.laneEntry, count: options.lanes, job: 'prune' });
  try {
    const snapshots = await listSnapshots(repository, undefined, refuseVanished);
    const index = await PruneIndex.load(repository);
    checkStopped();
    const work = startPruneLanes({ ...options, compressData: limits.repackUncompressed }, warm, index);
    try {
      await findUsedBlobs({ repository, index, snapshots, lanes: work.pool.lanes, used: work.used, checkStopped });
      checkStopped();
      const stored = await listPacks(repository.storage, index);
      const plan = planPrune({ index, used: work.used, stored, formatVersion: repository.config.version, limits });
      options.onPlan?.(plan.summary, plannedPacks(index, stored, plan));
      const done = options.dryRun ? nothingDone : await carryOut({ ...options, snapshots, index, plan, stored, work, checkStopped });
      return { plan: plan.summary, ...done, durationMs: Math.round(performance.now() - startedMs) };
    } catch (error) {
      if (signal.aborted) throw reasonOf(signal, error);
      throw error;
    } finally {
      work.end();
    }
  } finally {
    await warm.close();
  }
}

const reasonOf = ({ reason }: AbortSignal, cause?: unknown): HoldfastError =>
  reason instanceof HoldfastError ? reason : new HoldfastError('interrupted', 'the prune was interrupted', { cause });

/** Sizes of the packs that the index names, and the packs that it doesn't. */
async function listPacks(storage: Storage, index: PruneIndex): Promise<StoredPacks> {
  const sizes = new Float64Array(index.blobs.packCount).fill(-1);
  const unreferenced: StoredPacks['unreferenced'] = [];
  for await (const { name, sizeBytes } of storage.list('data')) {
    const number = index.packNumber(name);
    if (number === undefined) unreferenced.push({ pack: name, sizeBytes });
    else sizes[number] = sizeBytes;
  }
  return { sizes, unreferenced };
}

type Execution = PruneOptions & {
  snapshots: readonly StoredSnapshot[];
  index: PruneIndex;
  plan: PrunePlan;
  stored: StoredPacks;
  work: PruneLanes;
  checkStopped: () => void;
};
type Done = Omit<PruneResult, 'plan' | 'durationMs'>;

const nothingDone: Done = {
  packsWritten: 0,
  bytesWritten: 0,
  packsRemoved: 0,
  bytesRemoved: 0,
  bytesFreed: 0,
  indexFilesWritten: 0,
  indexFilesRemoved: 0,
};

async function carryOut(execution: Execution): Promise<Done> {
  const { repository, snapshots, index, plan, stored, indexAside, checkStopped } = execution;
  const { storage } = repository;
  const known: ReadonlySet<string> = new Set(snapshots.map(({ id }) => id));
  const done = { ...nothingDone };
  const sizes = new Map(stored.unreferenced.map(({ pack, sizeBytes }) => [pack, sizeBytes]));
  const onRemoved = (pack: string) => {
    done.packsRemoved++;
    done.bytesRemoved += sizes.get(pack) ?? stored.sizes[index.packNumber(pack) as number] ?? 0;
  };
  await refuseNewcomers(storage, 'index', new Set(index.files.map(({ name }) => name)));
  await refuseNewcomers(storage, 'snapshots', known);
  // First what nothing refers to: it makes room for the copies.
  await removeFiles(storage, 'data', plan.unreferenced, checkStopped, onRemoved);
  const { packs, bytes, indexFiles } = await repack(execution);
  done.packsWritten = packs;
  done.bytesWritten = bytes;

  const oldIndexFiles = plan.obsoleteIndexFiles.map((file) => index.files[file]?.name as string);
  done.indexFilesWritten = indexFiles;
  const writeIndex = async (check: () => void) => {
    done.indexFilesWritten += await writeRemainingIndex(repository, index, plan, check);
    await refuseNewcomers(storage, 'snapshots', known);
  };
  const removeOld = (check: () => void) => removeFiles(storage, 'index', oldIndexFiles, check, () => done.indexFilesRemoved++);
  if (indexAside === undefined) {
    await writeIndex(checkStopped);
    await removeOld(checkStopped);
  } else await replaceIndexInFullStorage({ storage, oldIndexFiles, folder: indexAside, checkStopped, writeIndex, removeOld });
  const oldPacks = [...plan.actions.keys()].filter((pack) => plan.actions[pack] !== 'keep' && (stored.sizes[pack] as number) >= 0);
  const oldNames = oldPacks.map((pack) => index.blobs.packId(pack));
  await removeFiles(storage, 'data', oldNames, checkStopped, onRemoved);
  await storage.removeLeftovers?.(leftoverMs);
  done.bytesFreed = done.bytesRemoved - done.bytesWritten;
  return done;
}

async function repack({ repository, index, plan, work, clock, checkStopped, signal }: Execution): Promise<Repacked> {
  const { lanes } = work.pool;
  const checkNotLost = () => {
    if (signal.aborted && reasonOf(signal).code === 'locked') throw reasonOf(signal);
  };
  const copying = new Repack({ repository, index, plan, nowMs: () => clock.now().getTime(), checkStopped, checkNotLost });
  work.onStored = (pack) => copying.stored(pack);
  work.expect(copying.bytesToRead);
  try {
    await copying.run(lanes);
  } catch (error) {
    await copying.keepWhatIsStored(lanes);
    throw error;
  }
  return copying.written;
}
