/** Reads one volume into the repository, as a directory or as a stream, and tells how far it has come. */
import { sha256Hex } from '../../format/kernel/sha256.ts';
import { encodeTree } from '../../format/tree.ts';
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Report } from '../../model/events.ts';
import { textOfKinds } from '../../model/file-kinds.ts';
import { displayRaw, rawFromText } from '../../model/raw-bytes.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { Repository } from '../../repository/repository.ts';
import { ofVolume } from '../../repository/snapshots.ts';
import type { Lane } from '../lanes/pool.ts';
import { type Counts, clearCounters, counterOfLane, sumCounters } from './counters.ts';
import { createKindCounter } from './kind-counter.ts';
import type { BackupCall, KindCount, VolumeStart } from './messages.ts';
import { inspectRoot, type Root } from './root.ts';
import type { ReadingNotice, StoringRun } from './storing-run.ts';
import { readStreamedVolume, type VolumeStream } from './stream-volume.ts';
import { walkVolume } from './walk.ts';
import { countsOfBoth, type WarmPass } from './warm-pass.ts';

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

/** A volume whose trees and blobs are on their way; its snapshot waits until they are durable. */
export type WalkedVolume = {
  volume: VolumeToBackUp;
  root: Root;
  tree: string;
  parent: StoredSnapshot | undefined;
  counts: Counts;
  /** What it holds, by the kinds of file-kinds.ts. */
  kinds: string;
  startedMs: number;
};

const progressEveryMs = 200;

/** What a reading needs of the run that it is part of. */
export type ReadingOptions = {
  repository: Repository;
  index: BlobIndex;
  /** Of the repository, oldest first: the parent is found among them. */
  snapshots: readonly StoredSnapshot[];
  project: string;
  report: Report;
  clock: Clock;
  signal: AbortSignal;
};

/**
 * @throws `volume-missing`, `volume-empty`, `volume-unreadable`, `restore-unfinished`; what a stream throws; `interrupted`, `storage`,
 * `storage-full`.
 */
export async function readVolume(options: ReadingOptions, run: StoringRun, volume: VolumeToBackUp): Promise<WalkedVolume> {
  const warnings = new Map<string, number>();
  run.onNotice = (notice) => receive(notice, warnings, volume.name, options.report);
  try {
    return await walk(options, run, volume, warnings);
  } finally {
    for (const [warning, count] of warnings) options.report({ event: 'warning', volume: volume.name, warning, count });
  }
}

function receive(notice: ReadingNotice, warnings: Map<string, number>, volume: string, report: Report): void {
  if (notice.notice === 'warning') return void warnings.set(notice.warning, (warnings.get(notice.warning) ?? 0) + 1);
  report({ event: 'file-problem', volume, file: displayRaw(notice.path), problem: notice.problem, message: notice.message });
}

async function walk(
  options: ReadingOptions,
  run: StoringRun,
  volume: VolumeToBackUp,
  warnings: Map<string, number>,
): Promise<WalkedVolume> {
  const { report, clock } = options;
  const { counters } = run;
  const startedMs = clock.now().getTime();
  const parent = ofVolume(options.snapshots, options.project, volume.name).at(-1);
  const inspected = volume.stream === undefined ? inspectRoot(volume.name, volume.directory, volume.withAtime) : undefined;
  if (inspected !== undefined) refuseSuspiciousEmptiness(volume, inspected, parent);
  const from = volume.stream === undefined ? volume.directory : volume.stream.through;
  report({ event: 'volume-started', volume: volume.name, ...(parent ? { parent: parent.id } : {}), from });
  clearCounters(counters);
  const timer = setInterval(() => reportProgress(volume.name, counters, parent, report), progressEveryMs);
  try {
    const { root, tree, kinds } =
      inspected === undefined
        ? await readStream(options, run, volume, parent)
        : { root: inspected, ...(await walkDirectory(run.lanes, volume, parent)) };
    for (const warning of root.warnings) warnings.set(warning, (warnings.get(warning) ?? 0) + 1);
    const counts = sumCounters(counters);
    counts.unreadableAttributes += root.warnings.length;
    const all = volume.warmPass ? countsOfBoth(volume.warmPass.counts, counts) : counts;
    return { volume, root, tree, parent, counts: all, kinds, startedMs };
  } finally {
    clearInterval(timer);
  }
}

/** What was read, and what it holds by the kinds of file-kinds.ts. */
type Reading = { tree: string; kinds: string };

async function walkDirectory(lanes: readonly Lane[], volume: VolumeToBackUp, parent: StoredSnapshot | undefined): Promise<Reading> {
  const { name: _, directory, allowEmpty: __, stream: ___, warmPass: ____, ...rest } = volume;
  const start: VolumeStart = { ...rest, root: rawFromText(directory) };
  const calls = lanes.map((lane, i) => lane.call({ call: 'volume', lane: i, volume: start } satisfies BackupCall));
  try {
    await Promise.all(calls);
    const tree = await walkVolume(lanes, volume.warmPass?.tree ?? (volume.changes.force ? undefined : parent?.tree));
    return { tree, kinds: await kindsOf(lanes) };
  } finally {
    await Promise.allSettled(calls);
  }
}

/** Each lane has counted a part of the directory. */
async function kindsOf(lanes: readonly Lane[]): Promise<string> {
  const kinds = new Map<string, number>();
  const counted = await Promise.all(lanes.map((lane) => lane.call<KindCount[]>({ call: 'kinds' } satisfies BackupCall)));
  for (const [kind, files] of counted.flat()) kinds.set(kind, (kinds.get(kind) ?? 0) + files);
  return textOfKinds(kinds);
}

async function readStream(
  { repository, index, signal }: ReadingOptions,
  run: StoringRun,
  volume: VolumeToBackUp,
  parent: StoredSnapshot | undefined,
): Promise<Reading & { root: Root }> {
  const kinds = createKindCounter();
  const read = await readStreamedVolume({
    name: volume.name,
    volume,
    stream: volume.stream as VolumeStream,
    repository,
    index,
    run,
    parentTree: parent?.tree,
    count: counterOfLane(run.counters, run.lanes.length),
    kinds,
    onProblem: (path, problem, message) => run.onNotice({ notice: 'problem', path, problem, message }),
    onWarning: (warning) => run.onNotice({ notice: 'warning', warning }),
    signal,
  });
  refuseSuspiciousEmptiness(volume, read.root, parent);
  return { ...read, kinds: textOfKinds(new Map(kinds.take())) };
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

function reportProgress(volume: string, counters: SharedArrayBuffer, parent: StoredSnapshot | undefined, report: Report): void {
  const { totalFilesProcessed, totalBytesProcessed } = sumCounters(counters);
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
