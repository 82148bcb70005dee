/** An archive in, a restore point out: one snapshot a volume that it holds, as old as the archive. */
import { createChunker } from '../../format/kernel/chunker.ts';
import { formatTime } from '../../format/time.ts';
import type { Clock } from '../../model/clock.ts';
import type { Report } from '../../model/events.ts';
import { displayRaw, type RawString, rawFromText } from '../../model/raw-bytes.ts';
import { type Consistency, identityFromTags, type Snapshot, type SnapshotSummary, type StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { Repository } from '../../repository/repository.ts';
import { ofVolume, saveSnapshot } from '../../repository/snapshots.ts';
import { type Counts, clearCounters, counterNames, counterOfLane, sumCounters } from '../backup/counters.ts';
import { LaneBlobs } from '../backup/lane-blobs.ts';
import { createBlobSink } from '../backup/save-blobs.ts';
import { snapshotOf } from '../backup/snapshot-of.ts';
import { type StoringRun, throwIfStopped } from '../backup/storing-run.ts';
import { StreamContent } from '../backup/stream-content.ts';
import { parentOf } from '../source/tar-names.ts';
import { readTar } from '../source/tar-read.ts';
import { openArchive } from './archive-input.ts';
import { type FoundLayout, type FoundVolume, findLayout, type KnownVolume, type Layout } from './archive-layout.ts';
import { type ArchiveTime, archiveTime } from './archive-time.ts';
import { ArchiveTrees, impliedDirectory, type SavedArchive, type SavedDirectory } from './archive-trees.ts';
import { exportFileName } from './export-file.ts';
import { exportedTime } from './exported-time.ts';

export type ArchiveToImport = {
  /** For people and events. */
  name: string;
  /** Name of its file, without folders; undefined for a stream. */
  fileName: string | undefined;
  fileTimeMs: number | undefined;
  bytes: AsyncIterable<Uint8Array>;
};

export type ImportOptions = {
  repository: Repository;
  index: BlobIndex;
  /** Of this repository and index; one may serve many archives, one after the other. */
  run: StoringRun;
  /** Of the repository: what was imported before is found among them. */
  snapshots: readonly StoredSnapshot[];
  project: string;
  volumes: readonly KnownVolume[];
  archive: ArchiveToImport;
  layout: Layout;
  /** The only volume that is wanted, or what a single one is called. */
  volume: string | undefined;
  /** Undefined: the archive's own. */
  timeMs: number | undefined;
  consistency: Consistency;
  maxBytes: number;
  devices: boolean;
  /** Whether a volume gets a snapshot though this archive has become one before. */
  again: boolean;
  programVersion: string;
  /** As the run has it. */
  dryRun: boolean;
  report: Report;
  signal: AbortSignal;
  clock: Clock;
};

export type ImportedVolume = FoundVolume & {
  /** `present`: the same archive was imported before. */
  outcome: 'imported' | 'would-import' | 'present';
  /** Of the snapshot that there is now; '' after a dry run. */
  id: string;
  time: string;
  files: number;
  bytes: number;
};

export type ImportResult = {
  layout: FoundLayout['layout'];
  time: ArchiveTime;
  /** SHA-256 of the archive, as it was given. */
  digest: string;
  volumes: ImportedVolume[];
  /** Entries that were left out, those beside the volumes among them. */
  leftOut: number;
  snapshots: StoredSnapshot[];
};

/** Name of the tag by which an archive is known again. */
const importedTag = 'imported';
const digestCharacters = 16;
const progressEveryMs = 200;
/** Paths of what was left out that are remembered, to know which volume lacks something. */
const maxLeftOutPaths = 10_000;

/**
 * Imports one archive. Its snapshots are saved when all of it was read to its end, intact, and all that they need is durable and indexed.
 * @throws `archive-damaged`, `archive-too-large`, `unsupported`, `usage` and `unknown-volume` when it can't be told which volumes it is of:
 * other archives can be imported all the same; the reason of the signal, else `interrupted`; `storage`, `storage-full`.
 */
export async function importArchive(options: ImportOptions): Promise<ImportResult> {
  const { run, clock, signal } = options;
  try {
    const startedMs = clock.now().getTime();
    const read = await readArchive(options);
    const found = findLayout(questionOf(options, read.saved));
    const time = timeOf(options, read.saved);
    throwIfStopped(signal);
    await run.makeDurable();
    return await saveSnapshots(options, { ...read, found, time, startedMs });
  } catch (error) {
    const failure = await run.keepWhatIsStored(error);
    throwIfStopped(signal, error);
    // Whoever goes on with another archive must not take for stored what is not.
    throw failure ?? error;
  }
}

type Read = { saved: SavedArchive; digest: string; counts: Counts; leftOut: LeftOut };
type LeftOut = { count: number; paths: RawString[] };

async function readArchive(options: ImportOptions): Promise<Read> {
  const { archive, repository, index, run, maxBytes, devices, report, signal, clock } = options;
  const count = counterOfLane(run.counters, run.lanes.length);
  clearCounters(run.counters);
  const leftOut: LeftOut = { count: 0, paths: [] };
  const changes = new Map<string, number>();
  const note = (what: string) => void changes.set(what, (changes.get(what) ?? 0) + 1);
  let bytesDone = 0;
  const trees = new ArchiveTrees({
    content: new StreamContent({
      chunker: createChunker(repository.config.chunkerPolynomial),
      blobs: new LaneBlobs(run.lanes),
      onBytes: (bytes) => {
        bytesDone += bytes;
      },
      stopped: () => signal.aborted,
    }),
    sink: createBlobSink(index, run.packs(), count),
    maxBytes,
    devices,
    wanted: wantedPaths(options.volumes),
    nowMs: clock.now().getTime(),
    onLeftOut(path, why) {
      leftOut.count++;
      if (leftOut.paths.length < maxLeftOutPaths) leftOut.paths.push(path);
      report({ event: 'file-problem', volume: archive.name, file: displayRaw(path), problem: 'left-out', message: why });
    },
    onChanged: note,
    signal,
  });
  const timer = setInterval(
    () => report({ event: 'progress', volume: archive.name, filesDone: trees.filesDone, bytesDone }),
    progressEveryMs,
  );
  try {
    const input = openArchive(archive.bytes, maxBytes, signal);
    for await (const entry of readTar(input.bytes, note)) await trees.take(entry);
    const saved = await trees.finish();
    for (const [warning, count] of changes) report({ event: 'warning', volume: archive.name, warning, count });
    return { saved, digest: input.digest(), counts: sumCounters(run.counters), leftOut };
  } finally {
    clearInterval(timer);
    trees.close();
  }
}

/** Where holdfast.yaml says that volumes are mounted, and the directories on the way there. */
function wantedPaths(volumes: readonly KnownVolume[]): Set<RawString> {
  const wanted = new Set<RawString>();
  for (const { path = '' } of volumes) {
    const inside = path.replace(/^\/+|\/+$/g, '') as RawString;
    for (let at = inside; at !== ''; at = parentOf(at)) wanted.add(at);
  }
  return wanted;
}

function questionOf({ layout, volume, volumes, archive }: ImportOptions, { directories }: SavedArchive): Parameters<typeof findLayout>[0] {
  return {
    layout,
    volume,
    volumes,
    lookUp: (path) => directories.get(path),
    fileName: archive.fileName,
    ignored: new Set([exportFileName]),
  };
}

function timeOf({ timeMs, archive, clock }: ImportOptions, { newestEntryMs, exportFile }: SavedArchive): ArchiveTime {
  const nowMs = clock.now().getTime();
  if (timeMs !== undefined) return { ms: timeMs, from: '--time' };
  const exportedMs = exportFile === undefined ? undefined : exportedTime(exportFile, nowMs);
  if (exportedMs !== undefined) return { ms: exportedMs, from: 'the snapshots that it was exported from' };
  return archiveTime({ fileName: archive.fileName, fileTimeMs: archive.fileTimeMs, newestEntryMs, nowMs });
}

type ReadArchive = Read & { found: FoundLayout; time: ArchiveTime; startedMs: number };

async function saveSnapshots(options: ImportOptions, read: ReadArchive): Promise<ImportResult> {
  const { found, time, digest, saved, leftOut, counts } = read;
  for (const path of found.leftOut) {
    leftOut.count++;
    const message = 'lies beside the volumes, and is in none';
    options.report({ event: 'file-problem', volume: options.archive.name, file: displayRaw(path), problem: 'left-out', message });
  }
  const snapshots: StoredSnapshot[] = [];
  const volumes: ImportedVolume[] = [];
  // What the archive added to the repository is told once: volumes share blobs.
  let added: Counts | undefined = counts;
  for (const volume of found.volumes) {
    const directory = saved.directories.get(volume.root) as SavedDirectory;
    const known = options.again ? undefined : importedBefore(options, volume.volume, digest);
    const { files, bytes } = directory.totals;
    if (known !== undefined) {
      volumes.push({ ...volume, outcome: 'present', id: known.id, time: known.time, files, bytes });
      continue;
    }
    const snapshot = snapshotFor(options, read, volume, directory, added);
    added = undefined;
    const id = options.dryRun ? '' : await saveSnapshot(options.repository, snapshot);
    if (!options.dryRun) snapshots.push({ ...snapshot, id } as StoredSnapshot);
    report(options, snapshot, volume.volume, id);
    volumes.push({ ...volume, outcome: options.dryRun ? 'would-import' : 'imported', id, time: snapshot.time, files, bytes });
  }
  return { layout: found.layout, time, digest, volumes, leftOut: leftOut.count, snapshots };
}

/** The snapshot of this volume that the same archive has become before. */
function importedBefore({ snapshots, project }: ImportOptions, volume: string, digest: string): StoredSnapshot | undefined {
  const tag = `${importedTag}=${digest.slice(0, digestCharacters)}`;
  return ofVolume(snapshots, project, volume).find(({ tags }) => tags.includes(tag));
}

type ImportedSnapshot = Snapshot & { consistency: Consistency; summary: SnapshotSummary };

function snapshotFor(
  options: ImportOptions,
  { time, digest, leftOut, startedMs }: ReadArchive,
  { volume, root }: FoundVolume,
  { tree, node, totals }: SavedDirectory,
  added: Counts | undefined,
): ImportedSnapshot {
  const { project, consistency, programVersion, clock } = options;
  const { dataBlobs = 0, treeBlobs = 0, dataAdded = 0, dataAddedPacked = 0 } = added ?? {};
  const counts: Counts = {
    ...(Object.fromEntries(counterNames.map((name) => [name, 0])) as Counts),
    ...{ dataBlobs, treeBlobs, dataAdded, dataAddedPacked },
    filesNew: totals.files,
    dirsNew: totals.directories,
    totalFilesProcessed: totals.files,
    totalBytesProcessed: totals.bytes,
    unreadable: leftOut.paths.filter((path) => root === '' || path.startsWith(`${root}/`)).length,
  };
  const snapshot = snapshotOf(
    {
      project,
      run: `import-${new Date(time.ms).toISOString().replace(/[-:]|\.\d+/g, '')}-${digest.slice(0, 6)}`,
      class: 'manual',
      consistency,
      tags: [`${importedTag}=${digest.slice(0, digestCharacters)}`],
      programVersion,
      clock,
    },
    {
      volume: { name: volume, directory: `/${displayRaw(root)}`, excludes: {} },
      root: { node: node ?? impliedDirectory(root) },
      tree,
      parent: undefined,
      counts,
      startedMs,
    },
  );
  return {
    ...snapshot,
    time: formatTime(Math.floor(time.ms / 1000), (time.ms % 1000) * 1e6),
    // Where the archive says nothing of the volume's root, the snapshot doesn't either.
    root: node === undefined ? undefined : { ...node, name: rawFromText(volume), subtree: undefined },
  };
}

function report({ report: tell, dryRun }: ImportOptions, snapshot: ImportedSnapshot, volume: string, id: string): void {
  tell({
    event: 'snapshot',
    volume,
    id,
    time: snapshot.time,
    class: identityFromTags(snapshot.tags)?.class ?? 'manual',
    consistency: snapshot.consistency,
    dryRun,
    unreadable: snapshot.problems ?? 0,
    summary: snapshot.summary,
  });
}
