/** Copies snapshots from one repository to another, with whatever keys, storages and formats the two have. */
import type { Clock } from '../../model/clock.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import type { CopiedSnapshot, Report } from '../../model/events.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import { saveSnapshot } from '../../repository/snapshots.ts';
import { type WarmLanes, warmLanes } from '../lanes/pool.ts';
import { CopyLanes, type CopySide, type CopyTotals } from './copy-lanes.ts';
import { copyOf, createCopyFinder } from './copy-select.ts';
import { Findings } from './findings.ts';
import { incompleteSnapshots } from './incomplete-snapshots.ts';

export type CopyOptions = {
  source: CopySide;
  destination: CopySide;
  /** What to copy, oldest first. */
  snapshots: readonly StoredSnapshot[];
  /** All snapshots of the destination. */
  present: readonly StoredSnapshot[];
  /** Name of a snapshot's volume, for reports. */
  volumeOf: (snapshot: StoredSnapshot) => string;
  laneEntry: URL;
  lanes: number;
  /** As many as `lanes`, started for job `copy`; without them, the copy starts its own. Closed by the copy. */
  warmLanes?: WarmLanes;
  /** zstd level for what is not compressed in the source. Default 2. */
  compressionLevel?: number;
  dryRun: boolean;
  report: Report;
  /** Aborts at interruption, and when one of the locks is lost. */
  signal: AbortSignal;
  clock: Clock;
};

/** The counts are of blobs that were copied (in a dry run: would be), and of their sealed bytes in the source and in the destination. */
export type CopyResult = CopyTotals & {
  /** 0, or 1 when a snapshot could not be copied because the source is damaged. */
  exitCode: number;
  snapshots: CopiedSnapshot[];
};

const defaultLevel = 2;
/** What was found missing is copied, and its snapshots are saved, when it is this much: an interruption loses no more. */
const roundBytes = 1024 * 1024 * 1024;
/** Snapshots whose trees are walked together: few at first, because the first one usually brings the most. */
const mostWalkedTogether = 64;

/**
 * Copies the snapshots that the destination lacks, and of their blobs those that it lacks. Each blob is verified against its id on the way;
 * compressed ones stay as they are. A snapshot is saved when everything in it is durable and indexed; one of which the source has lost
 * something is not saved, and reported as a `finding`, like all damage.
 * @throws the reason of the signal, else `interrupted` (what was copied so far is indexed first); `storage`, `storage-full`.
 */
export async function copySnapshots(options: CopyOptions): Promise<CopyResult> {
  const { signal, report } = options;
  const findings = new Findings();
  const tally = new Tally(options);
  const waiting = tally.skipPresent();
  const warm = options.warmLanes ?? warmLanes({ entry: options.laneEntry, count: options.lanes, job: 'copy' });
  if (waiting.length === 0) {
    await warm.close();
    return { ...tally.result(), blobs: 0, sourceBytes: 0, storedBytes: 0 };
  }
  const lanes = new CopyLanes({ ...options, compressionLevel: options.compressionLevel ?? defaultLevel, findings }, warm);
  try {
    await copyInRounds(options, lanes, findings, waiting, tally);
  } catch (error) {
    await lanes.keepWhatIsStored(error);
    throwIfStopped(signal, error);
    throw error;
  } finally {
    await lanes.close();
  }
  for (const finding of [...findings.errors, ...findings.notes]) report({ event: 'finding', finding });
  return { ...tally.result(), ...(options.dryRun ? lanes.missing : lanes.totals) };
}

/** Finds what is missing, snapshots by snapshots, and copies it as soon as it is enough for a round. */
async function copyInRounds(
  options: CopyOptions,
  lanes: CopyLanes,
  findings: Findings,
  waiting: readonly StoredSnapshot[],
  tally: Tally,
): Promise<void> {
  const { source, destination, dryRun, signal } = options;
  const round: StoredSnapshot[] = [];
  let together = 1;
  for (let at = 0; at < waiting.length; together = Math.min(together * 2, mostWalkedTogether)) {
    const walked = waiting.slice(at, at + together);
    at += walked.length;
    await lanes.findMissing(walked);
    round.push(...walked);
    if (at < waiting.length && lanes.missingBytes < roundBytes) continue;
    if (!dryRun) await lanes.copyMissing();
    const damaged = await incompleteSnapshots(source, findings, round, signal);
    for (const snapshot of round.splice(0)) {
      // Who lost a lock must name nothing that may be gone.
      throwIfStopped(signal);
      if (damaged.has(snapshot.id)) tally.tell(snapshot, 'damaged');
      else if (dryRun) tally.tell(snapshot, 'would-copy');
      else tally.tell(snapshot, 'copied', await saveSnapshot(destination.repository, copyOf(snapshot)));
    }
  }
}

/** What became of each snapshot. */
class Tally {
  private readonly options: CopyOptions;
  private readonly told: CopiedSnapshot[] = [];

  constructor(options: CopyOptions) {
    this.options = options;
  }

  /** @returns the snapshots that the destination lacks. */
  skipPresent(): StoredSnapshot[] {
    const find = createCopyFinder(this.options.present);
    return this.options.snapshots.filter((snapshot) => {
      const there = find(snapshot);
      if (there !== undefined) this.tell(snapshot, 'present', there.id);
      return there === undefined;
    });
  }

  tell(snapshot: StoredSnapshot, outcome: CopiedSnapshot['outcome'], id?: string): void {
    const { time, id: source } = snapshot;
    const told = { volume: this.options.volumeOf(snapshot), source, time, outcome, ...(id === undefined ? {} : { id }) };
    this.told.push(told);
    this.options.report({ event: 'snapshot-copied', ...told });
  }

  result(): { exitCode: number; snapshots: CopiedSnapshot[] } {
    const failed = this.told.some(({ outcome }) => outcome === 'damaged');
    return { exitCode: failed ? exitCodes.failed : exitCodes.done, snapshots: this.told };
  }
}

/** Throws why the work must stop, if it must: a signal of the user, or a lock that was lost. */
function throwIfStopped({ aborted, reason }: AbortSignal, cause?: unknown): void {
  if (aborted) throw reason instanceof HoldfastError ? reason : new HoldfastError('interrupted', 'interrupted', { cause });
}
