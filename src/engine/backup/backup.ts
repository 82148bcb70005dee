/** A backup: volumes in, one restore point out. */
import type { Clock } from '../../model/clock.ts';
import { type ErrorCode, exitCodes, HoldfastError } from '../../model/errors.ts';
import type { Report } from '../../model/events.ts';
import type { BlobId } from '../../model/ids.ts';
import type { Consistency, SnapshotClass, StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { Repository } from '../../repository/repository.ts';
import { saveSnapshot } from '../../repository/snapshots.ts';
import type { StorageAddress } from '../../storage/storage.ts';
import type { WarmLanes } from '../lanes/pool.ts';
import type { Counts } from './counters.ts';
import { readVolume, type VolumeToBackUp, type WalkedVolume } from './read-volume.ts';
import { snapshotOf, type VolumeCut } from './snapshot-of.ts';
import { startStoringRun, throwIfStopped } from './storing-run.ts';

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

/**
 * Backs up volumes one after the other; snapshots are written when all blobs of the run are durable and indexed. A volume that
 * fails doesn't keep the others from being saved.
 * @throws the reason of the signal, else `interrupted` (what was read so far is stored and indexed first); `storage`, `storage-full`,
 * `damaged`.
 */
export async function backUp(options: BackupOptions): Promise<BackupResult> {
  const { signal } = options;
  const run = startStoringRun({ ...options, rememberTrees: options.withoutSnapshots ?? false });
  try {
    const walked: WalkedVolume[] = [];
    const failures: BackupResult['failures'] = [];
    await options.cut?.begin();
    for (const volume of options.volumes) {
      try {
        walked.push(await readVolume(options, run, volume));
      } catch (error) {
        if (!(error instanceof HoldfastError) || !failsOneVolume(error)) throw error;
        failures.push({ volume: volume.name, error });
      }
    }
    const cuts = await options.cut?.end();
    throwIfStopped(signal);
    await run.makeDurable();
    return { snapshots: await saveSnapshots(options, walked, cuts), failures, exitCode: exitCodeOf(walked, failures) };
  } catch (error) {
    await run.keepWhatIsStored(error);
    throwIfStopped(signal, error);
    throw error;
  } finally {
    await run.close();
  }
}

/** An Engine that fails in the middle of a stream spoils that volume; what is known of the others is saved. */
const volumeFailures: ReadonlySet<string> = new Set<ErrorCode>([
  ...(['volume-missing', 'volume-empty', 'volume-unreadable', 'restore-unfinished'] as const),
  ...(['engine', 'engine-denied', 'engine-unreachable'] as const),
]);
const failsOneVolume = ({ code }: HoldfastError) => volumeFailures.has(code);

async function saveSnapshots(
  options: BackupOptions,
  walked: readonly WalkedVolume[],
  cuts: ReadonlyMap<string, VolumeCut> | undefined,
): Promise<BackupResult['snapshots']> {
  const saved: BackupResult['snapshots'] = [];
  for (const done of walked) {
    const { counts, volume } = done;
    if (options.withoutSnapshots) {
      saved.push({ volume: volume.name, id: '', tree: done.tree as BlobId, counts });
      continue;
    }
    const snapshot = snapshotOf(options, { ...done, cut: cuts?.get(volume.name) });
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
  return saved;
}

function exitCodeOf(walked: readonly WalkedVolume[], failures: BackupResult['failures']): number {
  if (failures.length > 0) return exitCodes.failed;
  return walked.some(({ counts }) => counts.unreadable + counts.unreadableAttributes > 0) ? exitCodes.incomplete : exitCodes.done;
}
