/** A backup: volumes in, one restore point out. */
import { setTimeout } from 'node:timers/promises';
import { sha256Hex } from '../../format/kernel/sha256.ts';
import { encodeTree } from '../../format/tree.ts';
import type { Clock } from '../../model/clock.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import type { Report } from '../../model/events.ts';
import { displayRaw, rawFromText } from '../../model/raw-bytes.ts';
import type { Consistency, SnapshotClass, StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { createIndexWriter, type IndexWriter } from '../../repository/index-writer.ts';
import { type PartialPack, storePack } from '../../repository/pack-writer.ts';
import type { Repository } from '../../repository/repository.ts';
import { ofVolume, saveSnapshot } from '../../repository/snapshots.ts';
import type { StorageAddress } from '../../storage/storage.ts';
import { type LanePool, type WarmLanes, warmLanes } from '../lanes/pool.ts';
import type { LaneStart } from '../lanes/protocol.ts';
import { type Counts, clearCounters, createCounters, sumCounters } from './counters.ts';
import { joinPartialPacks } from './join-packs.ts';
import type { BackupCall, BackupNotice, LaneSettings, VolumeStart } from './messages.ts';
import { inspectRoot, type Root } from './root.ts';
import { snapshotOf } from './snapshot-of.ts';
import { walkVolume } from './walk.ts';

/** A volume as a backup reads it. */
export type VolumeToBackUp = Omit<VolumeStart, 'root'> & {
  name: string;
  /** Absolute path of its root directory. */
  directory: string;
  /** Take a snapshot even when the volume is empty and was not before. */
  allowEmpty: boolean;
};

export type BackupOptions = {
  repository: Repository;
  /** The composition root's: URL of the storage, module of the lanes. */
  address: StorageAddress;
  laneEntry: URL;
  /** As many as `lanes`, started for job `backup`; without them, the backup starts its own. Closed by the backup. */
  warmLanes?: WarmLanes;
  index: BlobIndex;
  /** Snapshots of the repository, oldest first: parents are found among them. */
  snapshots: readonly StoredSnapshot[];
  project: string;
  volumes: readonly VolumeToBackUp[];
  /** Identifies the restore point. */
  run: string;
  class: SnapshotClass;
  /** How the cut is taken; `crash` becomes `torn` when files change while they are read. */
  consistency: Consistency;
  /** Added to the tags that carry the identity. */
  tags: readonly string[];
  programVersion: string;
  lanes: number;
  compressionLevel: number;
  dryRun: boolean;
  report: Report;
  signal: AbortSignal;
  clock: Clock;
};

export type BackupResult = {
  /** 0, 3 when something could not be read, or 1 when a volume failed. */
  exitCode: number;
  snapshots: { volume: string; id: string; counts: Counts }[];
  failures: { volume: string; error: HoldfastError }[];
};

/** A volume whose trees and blobs are on their way; its snapshot waits until they are durable. */
type WalkedVolume = {
  volume: VolumeToBackUp;
  root: Root;
  tree: string;
  parent: StoredSnapshot | undefined;
  counts: Counts;
  startedMs: number;
};

const progressEveryMs = 200;
const indexCheckEveryMs = 5000;

/**
 * Backs up volumes one after the other; snapshots are written when all blobs of the run are durable and indexed. A volume that
 * fails doesn't keep the others from being saved.
 * @throws the reason of the signal, else `interrupted` (what was read so far is stored and indexed first); `storage`, `storage-full`,
 * `damaged`.
 */
export async function backUp(options: BackupOptions): Promise<BackupResult> {
  const { repository, report, clock, signal } = options;
  const index = createIndexWriter(repository);
  const settings = laneSettings(options);
  let current = '';
  const warnings = new Map<string, number>();
  const warm = options.warmLanes ?? warmLanes({ entry: options.laneEntry, count: options.lanes, job: 'backup' });
  const pool = warm.start(laneStart(options, settings), (notice) => receive(notice as BackupNotice, index, warnings, current, report));
  const onAbort = () => Atomics.store(new Int32Array(settings.stop), 0, 1);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  const ticking = new AbortController();
  const ticks = indexNowAndThen(index, clock, ticking.signal);
  try {
    const walked: WalkedVolume[] = [];
    const failures: BackupResult['failures'] = [];
    for (const volume of options.volumes) {
      current = volume.name;
      try {
        walked.push(await walk(options, pool, settings, volume, warnings));
      } catch (error) {
        if (!(error instanceof HoldfastError) || !failsOneVolume(error)) throw error;
        failures.push({ volume: volume.name, error });
      }
      reportWarnings(warnings, volume.name, report);
    }
    throwIfStopped(signal);
    await makeDurable(options, pool, index);
    return { ...(await saveSnapshots(options, walked)), failures, exitCode: exitCodeOf(walked, failures) };
  } catch (error) {
    await keepWhatIsStored(options, pool, index, error);
    throwIfStopped(signal, error);
    throw error;
  } finally {
    ticking.abort();
    signal.removeEventListener('abort', onAbort);
    await ticks;
    await pool.close();
  }
}

const failsOneVolume = ({ code }: HoldfastError) =>
  code === 'volume-missing' || code === 'volume-empty' || code === 'volume-unreadable' || code === 'restore-unfinished';

function laneStart({ repository, address, index }: BackupOptions, settings: LaneSettings): LaneStart {
  const { config, masterKey } = repository;
  return { job: 'backup', address, config, masterKey, index: index.memory, settings };
}

function laneSettings(options: BackupOptions): LaneSettings {
  return {
    compressionLevel: options.compressionLevel,
    dryRun: options.dryRun,
    counters: createCounters(options.lanes),
    stop: new SharedArrayBuffer(4),
  };
}

function receive(notice: BackupNotice, index: IndexWriter, warnings: Map<string, number>, volume: string, report: Report): void {
  if (notice.notice === 'stored') return index.add(storedPack(notice.pack));
  if (notice.notice === 'warning') return void warnings.set(notice.warning, (warnings.get(notice.warning) ?? 0) + 1);
  report({ event: 'file-problem', volume, file: displayRaw(notice.path), problem: notice.problem, message: notice.message });
}

/** Buffers arrive from a thread as plain byte arrays. */
const storedPack = (pack: import('../../repository/pack-writer.ts').StoredPack) => ({ ...pack, entries: asBuffer(pack.entries) });
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function reportWarnings(warnings: Map<string, number>, volume: string, report: Report): void {
  for (const [warning, count] of warnings) report({ event: 'warning', volume, warning, count });
  warnings.clear();
}

/** Reads one volume into the repository. */
async function walk(
  options: BackupOptions,
  pool: LanePool,
  settings: LaneSettings,
  volume: VolumeToBackUp,
  warnings: Map<string, number>,
): Promise<WalkedVolume> {
  const { report, clock } = options;
  const startedMs = clock.now().getTime();
  const root = inspectRoot(volume.name, volume.directory, volume.withAtime);
  const parent = ofVolume(options.snapshots, options.project, volume.name).at(-1);
  refuseSuspiciousEmptiness(volume, root, parent);
  report({ event: 'volume-started', volume: volume.name, ...(parent ? { parent: parent.id } : {}) });
  clearCounters(settings.counters);
  const { name: _, directory, allowEmpty: __, ...rest } = volume;
  const start: VolumeStart = { ...rest, root: rawFromText(directory) };
  const calls = pool.lanes.map((lane, i) => lane.call({ call: 'volume', lane: i, volume: start } satisfies BackupCall));
  const timer = setInterval(() => reportProgress(volume.name, settings, parent, report), progressEveryMs);
  try {
    await Promise.all(calls);
    const tree = await walkVolume(pool.lanes, volume.changes.force ? undefined : parent?.tree);
    for (const warning of root.warnings) warnings.set(warning, (warnings.get(warning) ?? 0) + 1);
    const counts = sumCounters(settings.counters);
    counts.unreadableAttributes += root.warnings.length;
    return { volume, root, tree, parent, counts, startedMs };
  } finally {
    clearInterval(timer);
    await Promise.allSettled(calls);
  }
}

const emptyTree = sha256Hex(encodeTree([]));

/** A volume that isn't mounted looks like an empty directory: a snapshot of that would look good, and be worth nothing. */
function refuseSuspiciousEmptiness(volume: VolumeToBackUp, root: Root, parent: StoredSnapshot | undefined): void {
  if (!root.empty || volume.allowEmpty || parent === undefined || parent.tree === emptyTree) return;
  throw new HoldfastError(
    'volume-empty',
    `volume ${volume.name} is empty (${volume.directory}), and was not at the snapshot of ${parent.time}`,
    {
      volume: volume.name,
    },
  );
}

function reportProgress(volume: string, settings: LaneSettings, parent: StoredSnapshot | undefined, report: Report): void {
  const { totalFilesProcessed, totalBytesProcessed } = sumCounters(settings.counters);
  const totals = parent?.summary;
  report({
    event: 'progress',
    volume,
    filesDone: totalFilesProcessed,
    bytesDone: totalBytesProcessed,
    // What the parent had is a fair guess until it is exceeded.
    ...(totals && totals.totalBytesProcessed > totalBytesProcessed
      ? { filesTotal: Math.max(totals.totalFilesProcessed, totalFilesProcessed), bytesTotal: totals.totalBytesProcessed }
      : {}),
  });
}

/** Stores what the lanes hold and indexes it: after this, snapshots may name the trees. */
async function makeDurable(options: BackupOptions, pool: LanePool, index: IndexWriter): Promise<void> {
  const drained = await Promise.all(pool.lanes.map((lane) => lane.call<PartialPack[]>({ call: 'drain' } satisfies BackupCall)));
  await storePartialPacks(options.repository, index, drained.flat());
  // Who lost the lock must name nothing that may be gone.
  throwIfStopped(options.signal);
  await index.flush();
  throwIfStopped(options.signal);
}

/** All are given a chance: what could be stored is indexed, also when another could not. */
async function storePartialPacks(repository: Repository, index: IndexWriter, partials: readonly PartialPack[]): Promise<void> {
  const packs = joinPartialPacks(partials.map(({ kind, entries, body }) => ({ kind, entries: asBuffer(entries), body: asBuffer(body) })));
  const storing = packs.map(async (pack) => index.add(await storePack(repository, pack)));
  await Promise.allSettled(storing);
  await Promise.all(storing);
}

/**
 * After a failure: what was read so far is stored and indexed, so that the next run reuses it. Nothing more goes to a storage that fails
 * but the index of what it took; and nothing at all when the lock was lost, because a prune may have removed it since. The failure
 * itself matters more than this one's.
 */
async function keepWhatIsStored({ repository, signal }: BackupOptions, pool: LanePool, index: IndexWriter, error: unknown): Promise<void> {
  const drained = await Promise.allSettled(pool.lanes.map((lane) => lane.call<PartialPack[]>({ call: 'drain' } satisfies BackupCall)));
  if (stopReason(signal)?.code === 'locked') return;
  if (!(error instanceof HoldfastError && (error.code === 'storage' || error.code === 'storage-full'))) {
    const partials = drained.flatMap((lane) => (lane.status === 'fulfilled' ? lane.value : []));
    await storePartialPacks(repository, index, partials).catch(() => undefined);
  }
  await index.flush().catch(() => undefined);
}

/** Why the work must stop: a signal of the user, or a lock that was lost. */
function stopReason({ aborted, reason }: AbortSignal, cause?: unknown): HoldfastError | undefined {
  if (!aborted) return undefined;
  return reason instanceof HoldfastError ? reason : new HoldfastError('interrupted', 'interrupted', { cause });
}

function throwIfStopped(signal: AbortSignal, cause?: unknown): void {
  const reason = stopReason(signal, cause);
  if (reason) throw reason;
}

async function indexNowAndThen(index: IndexWriter, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await setTimeout(indexCheckEveryMs, undefined, { signal, ref: false }).catch(() => undefined);
    // A failure shows at the end, when the index is flushed for good.
    if (!signal.aborted) await index.writeDue(clock.now().getTime()).catch(() => undefined);
  }
}

async function saveSnapshots(options: BackupOptions, walked: readonly WalkedVolume[]): Promise<Pick<BackupResult, 'snapshots'>> {
  const saved: BackupResult['snapshots'] = [];
  for (const done of walked) {
    const snapshot = snapshotOf(options, done);
    const id = options.dryRun ? '' : await saveSnapshot(options.repository, snapshot);
    const { counts, volume } = done;
    options.report({
      event: 'snapshot',
      volume: volume.name,
      id,
      time: snapshot.time,
      class: options.class,
      consistency: snapshot.consistency,
      dryRun: options.dryRun,
      unreadable: counts.unreadable,
      summary: snapshot.summary,
    });
    saved.push({ volume: volume.name, id, counts });
  }
  return { snapshots: saved };
}

function exitCodeOf(walked: readonly WalkedVolume[], failures: BackupResult['failures']): number {
  if (failures.length > 0) return exitCodes.failed;
  return walked.some(({ counts }) => counts.unreadable + counts.unreadableAttributes > 0) ? exitCodes.incomplete : exitCodes.done;
}
