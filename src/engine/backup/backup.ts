/** A backup: volumes in, one restore point out. */
import { setTimeout } from 'node:timers/promises';
import { sha256Hex } from '../../format/kernel/sha256.ts';
import { encodeTree } from '../../format/tree.ts';
import type { Clock } from '../../model/clock.ts';
import { type ErrorCode, exitCodes, HoldfastError } from '../../model/errors.ts';
import type { Report } from '../../model/events.ts';
import type { BlobId } from '../../model/ids.ts';
import { displayRaw, rawFromText } from '../../model/raw-bytes.ts';
import type { Consistency, SnapshotClass, StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { createIndexWriter, type IndexWriter } from '../../repository/index-writer.ts';
import { PackWriter, type PartialPack, storePack } from '../../repository/pack-writer.ts';
import type { Repository } from '../../repository/repository.ts';
import { ofVolume, saveSnapshot } from '../../repository/snapshots.ts';
import type { StorageAddress } from '../../storage/storage.ts';
import { type LanePool, type WarmLanes, warmLanes } from '../lanes/pool.ts';
import type { LaneStart } from '../lanes/protocol.ts';
import { type Counts, clearCounters, counterOfLane, createCounters, sumCounters } from './counters.ts';
import { joinPartialPacks } from './join-packs.ts';
import type { BackupCall, BackupNotice, LaneSettings, VolumeStart } from './messages.ts';
import { inspectRoot, type Root } from './root.ts';
import { snapshotOf, type VolumeCut } from './snapshot-of.ts';
import { readStreamedVolume, type VolumeStream } from './stream-volume.ts';
import { walkVolume } from './walk.ts';
import { countsOfBoth, rememberingTrees, type WarmPass } from './warm-pass.ts';

/** A volume as a backup reads it. */
export type VolumeToBackUp = Omit<VolumeStart, 'root'> & {
  name: string;
  /** Absolute path of its root directory; where the platform keeps it, when it is read from a stream. */
  directory: string;
  /** Instead of the directory: what it is read from. Every file is read anew, whatever `changes` says. */
  stream?: VolumeStream;
  /** Take a snapshot even when the volume is empty and was not before. */
  allowEmpty: boolean;
  /** What a pass before this one stored: compared with instead of the parent. */
  warmPass?: WarmPass | undefined;
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
  /** Around the reading of all volumes: what must be halted meanwhile, and in the end how the cut of each was taken. */
  cut?: { begin(): Promise<void>; end(): Promise<ReadonlyMap<string, VolumeCut>> };
  /** Stores and indexes everything, but saves and reports no snapshots: for `warmPass` of the volumes of the next run. */
  withoutSnapshots?: boolean;
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
  snapshots: { volume: string; id: string; tree: BlobId; counts: Counts }[];
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
  cut?: VolumeCut | undefined;
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
  const writer = createIndexWriter(repository);
  const index = options.withoutSnapshots ? rememberingTrees(writer, options.index) : writer;
  const settings = laneSettings(options);
  let current = '';
  const warnings = new Map<string, number>();
  const warm = options.warmLanes ?? warmLanes({ entry: options.laneEntry, count: options.lanes, job: 'backup' });
  const receiveNow = (notice: BackupNotice) => receive(notice, index, warnings, current, report);
  const pool = warm.start(laneStart(options, settings), (notice) => receiveNow(notice as BackupNotice));
  const writers: Writers = { lanes: pool, settings, receive: receiveNow, own: undefined };
  const onAbort = () => Atomics.store(new Int32Array(settings.stop), 0, 1);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  const ticking = new AbortController();
  const ticks = indexNowAndThen(index, clock, ticking.signal);
  try {
    const walked: WalkedVolume[] = [];
    const failures: BackupResult['failures'] = [];
    await options.cut?.begin();
    for (const volume of options.volumes) {
      current = volume.name;
      try {
        walked.push(await walk(options, writers, volume, warnings));
      } catch (error) {
        if (!(error instanceof HoldfastError) || !failsOneVolume(error)) throw error;
        failures.push({ volume: volume.name, error });
      }
      reportWarnings(warnings, volume.name, report);
    }
    const cuts = await options.cut?.end();
    for (const done of walked) done.cut = cuts?.get(done.volume.name);
    throwIfStopped(signal);
    await makeDurable(options, writers, index);
    return { ...(await saveSnapshots(options, walked)), failures, exitCode: exitCodeOf(walked, failures) };
  } catch (error) {
    await keepWhatIsStored(options, writers, index, error);
    throwIfStopped(signal, error);
    throw error;
  } finally {
    ticking.abort();
    signal.removeEventListener('abort', onAbort);
    await ticks;
    await pool.close();
  }
}

/** An Engine that fails in the middle of a stream spoils that volume; what is known of the others is saved. */
const volumeFailures: ReadonlySet<string> = new Set<ErrorCode>([
  ...(['volume-missing', 'volume-empty', 'volume-unreadable', 'restore-unfinished'] as const),
  ...(['engine', 'engine-denied', 'engine-unreachable'] as const),
]);
const failsOneVolume = ({ code }: HoldfastError) => volumeFailures.has(code);

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

/** Who fills packs: the lanes, and for streams the main thread, which gets a writer of its own when it first needs one. */
type Writers = { lanes: LanePool; settings: LaneSettings; receive: (notice: BackupNotice) => void; own: PackWriter | undefined };

/** Reads one volume into the repository. */
async function walk(
  options: BackupOptions,
  writers: Writers,
  volume: VolumeToBackUp,
  warnings: Map<string, number>,
): Promise<WalkedVolume> {
  const { report, clock } = options;
  const { settings } = writers;
  const startedMs = clock.now().getTime();
  const parent = ofVolume(options.snapshots, options.project, volume.name).at(-1);
  const inspected = volume.stream === undefined ? inspectRoot(volume.name, volume.directory, volume.withAtime) : undefined;
  if (inspected !== undefined) refuseSuspiciousEmptiness(volume, inspected, parent);
  const from = volume.stream === undefined ? volume.directory : volume.stream.through;
  report({ event: 'volume-started', volume: volume.name, ...(parent ? { parent: parent.id } : {}), from });
  clearCounters(settings.counters);
  const timer = setInterval(() => reportProgress(volume.name, settings, parent, report), progressEveryMs);
  try {
    const { root, tree } =
      inspected === undefined
        ? await readStream(options, writers, volume, parent)
        : { root: inspected, tree: await walkDirectory(writers.lanes, volume, parent) };
    for (const warning of root.warnings) warnings.set(warning, (warnings.get(warning) ?? 0) + 1);
    const counts = sumCounters(settings.counters);
    counts.unreadableAttributes += root.warnings.length;
    return { volume, root, tree, parent, counts: volume.warmPass ? countsOfBoth(volume.warmPass.counts, counts) : counts, startedMs };
  } finally {
    clearInterval(timer);
  }
}

async function walkDirectory({ lanes }: LanePool, volume: VolumeToBackUp, parent: StoredSnapshot | undefined): Promise<string> {
  const { name: _, directory, allowEmpty: __, stream: ___, warmPass: ____, ...rest } = volume;
  const start: VolumeStart = { ...rest, root: rawFromText(directory) };
  const calls = lanes.map((lane, i) => lane.call({ call: 'volume', lane: i, volume: start } satisfies BackupCall));
  try {
    await Promise.all(calls);
    return await walkVolume(lanes, volume.warmPass?.tree ?? (volume.changes.force ? undefined : parent?.tree));
  } finally {
    await Promise.allSettled(calls);
  }
}

async function readStream(
  options: BackupOptions,
  writers: Writers,
  volume: VolumeToBackUp,
  parent: StoredSnapshot | undefined,
): Promise<{ root: Root; tree: string }> {
  const { repository, index, compressionLevel, signal } = options;
  const { storage, seal, config } = repository;
  if (!options.dryRun) {
    writers.own ??= new PackWriter({
      storage,
      seal,
      formatVersion: config.version,
      level: compressionLevel,
      onStored: (pack) => writers.receive({ notice: 'stored', pack }),
    });
  }
  const read = await readStreamedVolume({
    name: volume.name,
    volume,
    stream: volume.stream as VolumeStream,
    repository,
    index,
    writer: writers.own,
    parentTree: parent?.tree,
    // The lanes are idle meanwhile.
    count: counterOfLane(writers.settings.counters, 0),
    onProblem: (path, problem, message) => writers.receive({ notice: 'problem', path, problem, message }),
    onWarning: (warning) => writers.receive({ notice: 'warning', warning }),
    signal,
  });
  refuseSuspiciousEmptiness(volume, read.root, parent);
  return read;
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
async function makeDurable(options: BackupOptions, writers: Writers, index: IndexWriter): Promise<void> {
  const drained = await Promise.all(drains(writers));
  await storePartialPacks(options.repository, index, drained.flat());
  // Who lost the lock must name nothing that may be gone.
  throwIfStopped(options.signal);
  await index.flush();
  throwIfStopped(options.signal);
}

/** What the lanes and the main thread have begun and not stored. */
const drains = ({ lanes: { lanes }, own }: Writers): Promise<PartialPack[]>[] => [
  ...lanes.map((lane) => lane.call<PartialPack[]>({ call: 'drain' } satisfies BackupCall)),
  ...(own === undefined ? [] : [own.drain()]),
];

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
async function keepWhatIsStored(
  { repository, signal }: BackupOptions,
  writers: Writers,
  index: IndexWriter,
  error: unknown,
): Promise<void> {
  const drained = await Promise.allSettled(drains(writers));
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
    const { counts, volume } = done;
    if (options.withoutSnapshots) {
      saved.push({ volume: volume.name, id: '', tree: done.tree as BlobId, counts });
      continue;
    }
    const snapshot = snapshotOf(options, done);
    const id = options.dryRun ? '' : await saveSnapshot(options.repository, snapshot);
    options.report({
      event: 'snapshot',
      volume: volume.name,
      id,
      time: snapshot.time,
      class: options.class,
      consistency: snapshot.consistency,
      dryRun: options.dryRun,
      ...(snapshot.downtimeMs === undefined ? {} : { downtimeMs: snapshot.downtimeMs }),
      unreadable: counts.unreadable,
      summary: snapshot.summary,
    });
    saved.push({ volume: volume.name, id, tree: snapshot.tree, counts });
  }
  return { snapshots: saved };
}

function exitCodeOf(walked: readonly WalkedVolume[], failures: BackupResult['failures']): number {
  if (failures.length > 0) return exitCodes.failed;
  return walked.some(({ counts }) => counts.unreadable + counts.unreadableAttributes > 0) ? exitCodes.incomplete : exitCodes.done;
}
