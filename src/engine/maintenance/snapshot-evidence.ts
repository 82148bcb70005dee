/**
 * Which snapshots look wrong, judged by what is recorded of them: their summaries, consistency, and files that could not be read. Pure.
 * A snapshot without a summary (of restic before 0.17) says nothing about itself, and is taken for good.
 */
import { parseTime } from '../../format/time.ts';
import { formatSize } from '../../model/quantities.ts';
import { identityFromTags, type StoredSnapshot } from '../../model/snapshot.ts';

/** When a snapshot looks wrong. `undefined` switches a test off. */
export type BrakeSettings = {
  /** False: only times that cannot be right are judged. */
  enabled: boolean;
  /** Wrong with less than so many percent of the bytes or files of the good ones before (their median). */
  shrinkPercent: number | undefined;
  /** Wrong when so many percent of a volume that changes little are new at once; so is what follows, until it is confirmed. */
  churnPercent: number | undefined;
  /** Wrong with more files than that that could not be read. */
  unreadable: number | undefined;
  /** Whether `torn` is wrong. */
  torn: boolean;
};

export type Suspicion = {
  kind: 'future' | 'backdated' | 'empty' | 'shrunken' | 'torn' | 'unreadable' | 'churn';
  message: string;
  /** Those that follow are judged by this one: once it is gone, nobody would know that anything is wrong with them. */
  origin?: true;
};

/** Whether it is the time of a snapshot that is wrong, and not what it holds. */
export const isOfClock = ({ kind }: Suspicion): boolean => kind === 'future' || kind === 'backdated';

/** By snapshot, what looks wrong with it. Snapshots that look good are missing. */
export type Evidence = ReadonlyMap<StoredSnapshot, Suspicion>;

/** Who put this tag on a snapshot has looked at it: it is good, and what those after it are compared with. */
export const confirmedTag = 'brake=good';

/** So many good snapshots before are what is usual. */
const windowLength = 9;
/** Volumes of less shrink and churn by nature: percentages mean nothing there. */
const fewFiles = 10;
const fewBytes = 64 * 1024;
/** Clocks of hosts differ by so much without anything being wrong. */
const toleratedMs = 60 * 60 * 1000;

/**
 * Judges the snapshots of one group.
 * @param newestFirst as groups hold them.
 * @param now what is taken later was taken by a clock that was wrong, and would be the newest for as long.
 */
export function judgeSnapshots(newestFirst: readonly StoredSnapshot[], settings: BrakeSettings, now: Date): Map<StoredSnapshot, Suspicion> {
  const suspicions = new Map<StoredSnapshot, Suspicion>();
  const times = new Map(newestFirst.map(({ id, time }) => [id, msOf(time)]));
  const usual = { files: [] as number[], bytes: [] as number[], churn: [] as number[] };
  let unconfirmedChurn: StoredSnapshot | undefined;
  for (const snapshot of newestFirst.toReversed()) {
    const files = snapshot.summary?.totalFilesProcessed;
    const bytes = snapshot.summary?.totalBytesProcessed;
    const churn = churnOf(snapshot);
    const confirmed = snapshot.tags.includes(confirmedTag);
    if (confirmed) {
      unconfirmedChurn = undefined;
      usual.files = [];
      usual.bytes = [];
    }
    const suspicion = confirmed ? undefined : judge();
    if (suspicion?.kind === 'churn') unconfirmedChurn ??= snapshot;
    if (suspicion !== undefined) suspicions.set(snapshot, suspicion);
    // What stands in the history where it was not taken (a wrong clock, an imported archive) says nothing of what came after it there.
    if (isMisplaced(snapshot, suspicion)) continue;
    // What is usual is learned from good ones only; how much changes, from all but the implausible one.
    if (suspicion === undefined && files !== undefined) remember(usual.files, files);
    if (suspicion === undefined && bytes !== undefined) remember(usual.bytes, bytes);
    if (suspicion?.kind !== 'churn' && churn !== undefined) remember(usual.churn, churn);

    function judge(): Suspicion | undefined {
      const timeMs = times.get(snapshot.id) as number;
      if (timeMs > now.getTime() + toleratedMs) return { kind: 'future', message: 'of the future' };
      const parentMs = (snapshot.parent && times.get(snapshot.parent)) ?? Number.NEGATIVE_INFINITY;
      // A parent of the future proves nothing about its children's clock.
      if (parentMs <= now.getTime() && timeMs < parentMs - toleratedMs) return { kind: 'backdated', message: 'older than its parent' };
      if (!settings.enabled) return undefined;
      if (files === 0) return { kind: 'empty', message: 'empty' };
      const shrunken = shrinkage(usual.files, files, usual.bytes, bytes, settings.shrinkPercent);
      if (shrunken !== undefined) return { kind: 'shrunken', message: shrunken };
      const problems = snapshot.problems ?? 0;
      if (settings.unreadable !== undefined && problems > settings.unreadable) {
        return { kind: 'unreadable', message: `${problems} ${problems === 1 ? 'file' : 'files'} could not be read` };
      }
      if (settings.torn && identityFromTags(snapshot.tags)?.consistency === 'torn') {
        return { kind: 'torn', message: 'torn: files changed while they were read' };
      }
      if (unconfirmedChurn !== undefined) return { kind: 'churn', message: `after nearly everything changed in ${unconfirmedChurn.time}` };
      if (churn === undefined || !isImplausible(churn, usual.churn, settings.churnPercent)) return undefined;
      return { kind: 'churn', message: `${Math.floor(churn)}% of it are new, of a volume that changes little` };
    }
  }
  const origin = unconfirmedChurn && suspicions.get(unconfirmedChurn);
  if (unconfirmedChurn && origin) suspicions.set(unconfirmedChurn, { ...origin, origin: true });
  return suspicions;
}

const msOf = (time: string): number => parseTime(time).sec * 1000;

/** What was stored long after the time that it has is an archive that was imported, or was made with another time on purpose. */
function isMisplaced({ time, summary, tags }: StoredSnapshot, suspicion: Suspicion | undefined): boolean {
  if (suspicion !== undefined && isOfClock(suspicion)) return true;
  return !tags.includes(confirmedTag) && summary !== undefined && msOf(time) < msOf(summary.backupStart) - toleratedMs;
}

function remember(values: number[], value: number): void {
  values.push(value);
  if (values.length > windowLength) values.shift();
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

function shrinkage(
  usualFiles: readonly number[],
  files: number | undefined,
  usualBytes: readonly number[],
  bytes: number | undefined,
  percent: number | undefined,
): string | undefined {
  if (percent === undefined) return undefined;
  const isLess = (usual: number | undefined, value: number | undefined, few: number): usual is number =>
    usual !== undefined && value !== undefined && usual >= few && value * 100 < usual * percent;
  const [byFiles, byBytes] = [median(usualFiles), median(usualBytes)];
  if (isLess(byBytes, bytes, fewBytes)) return `shrunken to ${formatSize(bytes as number)} from ${formatSize(byBytes)}`;
  if (isLess(byFiles, files, fewFiles)) return `shrunken to ${files} files from ${byFiles}`;
  return undefined;
}

/**
 * How much of a snapshot is new against its parent, in percent: of the files and of the bytes, whichever is less. A backup that reads
 * everything anew finds that all files are new, and stores none of their bytes. Undefined for first and for small ones.
 */
function churnOf({ parent, summary }: StoredSnapshot): number | undefined {
  if (parent === undefined || summary === undefined) return undefined;
  const { totalFilesProcessed, totalBytesProcessed, filesNew, filesChanged, dataAdded } = summary;
  if (totalFilesProcessed < fewFiles || totalBytesProcessed < fewBytes) return undefined;
  return 100 * Math.min((filesNew + filesChanged) / totalFilesProcessed, dataAdded / totalBytesProcessed, 1);
}

/** Only where little changes as a rule: what is written anew every day (a folder of dumps) churns by nature. */
function isImplausible(churn: number, usual: readonly number[], percent: number | undefined): boolean {
  const habit = median(usual);
  return percent !== undefined && habit !== undefined && habit < percent / 2 && churn >= percent;
}
