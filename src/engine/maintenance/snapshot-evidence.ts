/**
 * Which snapshots look wrong, judged by what is recorded of them: their summaries, consistency, and files that could not be read. Pure.
 * A snapshot without a summary (of restic before 0.17) says nothing about itself, and is taken for good.
 */
import { parseTime } from '../../format/time.ts';
import { formatSize } from '../../model/quantities.ts';
import { identityFromTags, type StoredSnapshot } from '../../model/snapshot.ts';
import { createKindHistory, type KindHistory } from './converted-files.ts';
import { createEncryptionWatch, type EncryptionWatch } from './slow-encryption.ts';
import {
  type Change,
  changeOf,
  compressible,
  fewBytes,
  fewFiles,
  isEncrypted,
  isImplausible,
  isRunaway,
  median,
  remember,
  type SnapshotFacts,
  type Usual,
} from './snapshot-change.ts';

/** When a snapshot looks wrong. `undefined` switches a test off. */
export type BrakeSettings = {
  /** False: only times that cannot be right are judged. */
  enabled: boolean;
  /** Wrong with less than so many percent of the bytes or files of the good ones before (their median). */
  shrinkPercent: number | undefined;
  /**
   * Wrong when so many percent of a volume that changes little are new at once; so is what follows, until it is confirmed. Undefined also
   * switches off what looks encrypted, by its content or by the names of files.
   */
  churnPercent: number | undefined;
  /** Wrong with more files than that that could not be read. */
  unreadable: number | undefined;
  /** Whether `torn` is wrong. */
  torn: boolean;
};

export type Suspicion = {
  kind: 'future' | 'backdated' | 'empty' | 'shrunken' | 'torn' | 'unreadable' | 'churn' | 'extensions' | 'entropy' | 'grown';
  message: string;
  /** What it has less of, of `shrunken`; else bytes. */
  of?: 'files';
  /** Those that follow are judged by this one: once it is gone, nobody would know that anything is wrong with them. */
  origin?: true;
};

/** Whether it is the time of a snapshot that is wrong, and not what it holds. */
export const isOfClock = ({ kind }: Suspicion): boolean => kind === 'future' || kind === 'backdated';

/** By snapshot, what looks wrong with it. Snapshots that look good are missing. */
export type Evidence = ReadonlyMap<StoredSnapshot, Suspicion>;

/** Who put this tag on a snapshot has looked at it: it is good, and what those after it are compared with. */
export const confirmedTag = 'brake=good';

/** Clocks of hosts differ by so much without anything being wrong. */
const toleratedMs = 60 * 60 * 1000;

/**
 * Judges the snapshots of one group.
 * @param newestFirst as groups hold them.
 * @param now what is taken later was taken by a clock that was wrong, and would be the newest for as long.
 */
export function judgeSnapshots(newestFirst: readonly StoredSnapshot[], settings: BrakeSettings, now: Date): Map<StoredSnapshot, Suspicion> {
  const facts = new Map(newestFirst.toReversed().map((snapshot) => [factsOf(snapshot), snapshot]));
  const judged = judgeHistory([...facts.keys()], settings, now.getTime());
  return new Map([...judged].map(([fact, suspicion]) => [facts.get(fact) as StoredSnapshot, suspicion]));
}

const factsOf = ({ id, time, parent, summary, problems, tags, kinds, incompressibleBytes }: StoredSnapshot): SnapshotFacts => ({
  id,
  time,
  timeMs: msOf(time),
  parent,
  begunMs: summary && msOf(summary.backupStart),
  files: summary?.totalFilesProcessed,
  bytes: summary?.totalBytesProcessed,
  filesNew: summary?.filesNew ?? 0,
  filesChanged: summary?.filesChanged ?? 0,
  addedBytes: summary?.dataAdded ?? 0,
  addedPackedBytes: summary?.dataAddedPacked ?? 0,
  ...(incompressibleBytes === undefined ? {} : { incompressibleBytes }),
  ...(kinds === undefined ? {} : { kinds }),
  unreadable: problems ?? 0,
  torn: identityFromTags(tags)?.consistency === 'torn',
  tags,
});

/**
 * Those that hold nothing, of a volume that held something before; one that has never been anything but empty is as it should be, and so is one of
 * which somebody has confirmed it. What has no summary may have held something.
 */
export function emptiedOf<Facts extends Pick<SnapshotFacts, 'files' | 'tags'>>(oldestFirst: readonly Facts[]): Set<Facts> {
  const emptied = new Set<Facts>();
  let held = false;
  for (const snapshot of oldestFirst) {
    if (snapshot.tags.includes(confirmedTag)) held = false;
    if (snapshot.files !== 0) held = true;
    else if (held) emptied.add(snapshot);
  }
  return emptied;
}

/**
 * The one judgement, by which retention holds and the control plane warns. Few snapshots before: it is silent.
 * @param emptied by {@link emptiedOf}, where more is known than these; by default, what these say.
 * @returns what looks wrong; those that look good are missing.
 */
export function judgeHistory<Facts extends SnapshotFacts>(
  oldestFirst: readonly Facts[],
  settings: BrakeSettings,
  nowMs: number,
  emptied: ReadonlySet<Facts> = emptiedOf(oldestFirst),
): Map<Facts, Suspicion> {
  const suspicions = new Map<Facts, Suspicion>();
  const times = new Map(oldestFirst.map(({ id, timeMs }) => [id, timeMs]));
  const usual: Usual = { files: [], bytes: [], churn: [], compression: [], growth: [] };
  const kinds = createKindHistory();
  const encryption = createEncryptionWatch();
  /** The first of those that spoil what follows. */
  let lasting: Facts | undefined;
  let bytesBefore: number | undefined;
  for (const snapshot of oldestFirst) {
    const { files, bytes } = snapshot;
    const change = changeOf(snapshot, bytesBefore);
    const confirmed = snapshot.tags.includes(confirmedTag);
    if (confirmed) {
      lasting = undefined;
      usual.files = [];
      usual.bytes = [];
      kinds.forget();
      encryption.forget();
    }
    // Where it was not taken, it says nothing.
    const encrypted = isImported(snapshot) ? undefined : watchOverwriting(encryption, snapshot, change);
    const suspicion = confirmed ? undefined : judge();
    if (suspicion !== undefined && spoilsWhatFollows(suspicion)) lasting ??= snapshot;
    if (suspicion !== undefined) suspicions.set(snapshot, suspicion);
    // What stands in the history where it was not taken (a wrong clock, an imported archive) says nothing of what came after it there.
    if (isMisplaced(snapshot, suspicion)) continue;
    if (files === 0) {
      // What comes into an empty volume is no growth, and what comes back after a loss neither.
      if (confirmed) bytesBefore = undefined;
      continue;
    }
    bytesBefore = bytes ?? bytesBefore;
    // What is usual is learned from good ones only; how much changes, from all but the implausible one.
    if (suspicion === undefined && files !== undefined) remember(usual.files, files);
    if (suspicion === undefined && bytes !== undefined) remember(usual.bytes, bytes);
    if (suspicion === undefined) kinds.remember(snapshot.kinds, snapshot.time, snapshot.timeMs);
    if (suspicion === undefined && change.compression !== undefined && !encryption.doubtful)
      remember(usual.compression, change.compression);
    if (suspicion === undefined && change.grownBytes !== undefined) remember(usual.growth, change.grownBytes);
    if (suspicion?.kind !== 'churn' && change.churn !== undefined) remember(usual.churn, change.churn);

    function judge(): Suspicion | undefined {
      const { timeMs, unreadable } = snapshot;
      if (timeMs > nowMs + toleratedMs) return { kind: 'future', message: 'of the future' };
      const parentMs = times.get(snapshot.parent ?? '') ?? Number.NEGATIVE_INFINITY;
      // A parent of the future proves nothing about its children's clock.
      if (parentMs <= nowMs && timeMs < parentMs - toleratedMs) return { kind: 'backdated', message: 'older than its parent' };
      if (!settings.enabled) return undefined;
      if (emptied.has(snapshot)) return { kind: 'empty', message: 'empty' };
      const shrunken = shrinkage(usual.files, files, usual.bytes, bytes, settings.shrinkPercent);
      if (shrunken !== undefined) return { kind: 'shrunken', ...shrunken };
      if (settings.unreadable !== undefined && unreadable > settings.unreadable) {
        return { kind: 'unreadable', message: `${unreadable} ${unreadable === 1 ? 'file' : 'files'} could not be read` };
      }
      if (settings.torn && snapshot.torn) {
        return { kind: 'torn', message: 'torn: files changed while they were read' };
      }
      if (lasting !== undefined) {
        const { kind } = suspicions.get(lasting) as Suspicion & { kind: SpoilingKind };
        return { kind, message: `after ${whatHappened[kind]} in ${lasting.time}` };
      }
      if (change.churn !== undefined && isImplausible(change.churn, usual.churn, settings.churnPercent))
        return { kind: 'churn', message: `${Math.floor(change.churn)}% of it are new, of a volume that changes little` };
      const ciphered = settings.churnPercent === undefined ? undefined : looksEncrypted();
      if (ciphered !== undefined) return ciphered;
      const grown = change.grownBytes !== undefined && isRunaway(change.grownBytes, usual);
      return grown ? { kind: 'grown', message: `grown by ${formatSize(change.grownBytes as number)} at once` } : undefined;
    }

    function looksEncrypted(): Suspicion | undefined {
      const converted = kinds.judge(snapshot.kinds, snapshot.timeMs);
      if (converted !== undefined) return { kind: 'extensions', message: messageOfConversion(converted) };
      if (isEncrypted(change, usual.compression)) {
        const percent = Math.round(change.replacedPercent ?? 0);
        return { kind: 'entropy', message: `${percent}% of it became data that does not compress, of a volume that does (encrypted?)` };
      }
      // Of a volume in which next to nothing is ever new, nobody knows whether it compresses: what is overwritten there is news in any case.
      if (encrypted === undefined || (median(usual.compression) ?? 0) >= compressible) return undefined;
      const { percent, since } = encrypted;
      return {
        kind: 'entropy',
        message: `${Math.round(percent)}% of it was overwritten by data that does not compress since ${since} (encrypted?)`,
      };
    }
  }
  const origin = lasting && suspicions.get(lasting);
  if (lasting && origin) suspicions.set(lasting, { ...origin, origin: true });
  return suspicions;
}

type SpoilingKind = 'churn' | 'extensions' | 'entropy';
const whatHappened: Readonly<Record<SpoilingKind, string>> = {
  churn: 'nearly everything changed',
  extensions: 'many files became others of unknown extensions',
  entropy: 'much became data that does not compress',
};
/** What was overwritten stays wrong, though what comes after changes nothing. */
const spoilsWhatFollows = ({ kind }: Suspicion): boolean => Object.hasOwn(whatHappened, kind);

function messageOfConversion({ percent, kind, ofRansomware, since }: NonNullable<ReturnType<KindHistory['judge']>>): string {
  const became = kind === undefined ? 'got extensions that nobody knows' : `became .${kind}`;
  return `${Math.floor(percent)}% of its files ${became} since ${since} (${ofRansomware ? 'as ransomware leaves them' : 'encrypted?'})`;
}

function watchOverwriting(watch: EncryptionWatch, snapshot: SnapshotFacts, change: Change): ReturnType<EncryptionWatch['add']> {
  const { time, files, bytes, filesChanged, incompressibleBytes } = snapshot;
  const { grownBytes } = change;
  // Copies have no parent, and say what changed against the one of their original.
  if (files === undefined || bytes === undefined || incompressibleBytes === undefined || grownBytes === undefined) return undefined;
  return watch.add({ files, bytes, filesChanged, incompressibleBytes, grownBytes }, time);
}

const msOf = (time: string): number => parseTime(time).sec * 1000;

/** What was stored long after the time that it has is an archive that was imported, or was made with another time on purpose. */
function isMisplaced({ timeMs, begunMs, tags }: SnapshotFacts, suspicion: Suspicion | undefined): boolean {
  return (suspicion !== undefined && isOfClock(suspicion)) || (!tags.includes(confirmedTag) && isImported({ timeMs, begunMs }));
}

const isImported = ({ timeMs, begunMs }: Pick<SnapshotFacts, 'timeMs' | 'begunMs'>): boolean =>
  begunMs !== undefined && timeMs < begunMs - toleratedMs;

function shrinkage(
  usualFiles: readonly number[],
  files: number | undefined,
  usualBytes: readonly number[],
  bytes: number | undefined,
  percent: number | undefined,
): Pick<Suspicion, 'message' | 'of'> | undefined {
  if (percent === undefined) return undefined;
  const isLess = (usual: number | undefined, value: number | undefined, few: number): usual is number =>
    usual !== undefined && value !== undefined && usual >= few && value * 100 < usual * percent;
  const [byFiles, byBytes] = [median(usualFiles), median(usualBytes)];
  if (isLess(byBytes, bytes, fewBytes)) return { message: `shrunken to ${formatSize(bytes as number)} from ${formatSize(byBytes)}` };
  if (isLess(byFiles, files, fewFiles)) return { message: `shrunken to ${files} files from ${byFiles}`, of: 'files' };
  return undefined;
}
