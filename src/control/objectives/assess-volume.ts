import type { VolumeConfiguration } from '../configuration/configuration.ts';
import { daysUntilFull, growthPerDay, growthWindowMs } from '../discovery/growth.ts';
import type { Job, JobState } from '../jobs/job.ts';
import type { SnapshotEvidence } from '../state/evidence-table.ts';
import type { UsageMeasurement } from '../state/log-tables.ts';
import type { Anomaly, Reason, SnapshotMark, VolumeAssessment } from './assessment.ts';
import { conditions, worst } from './assessment.ts';
import type { Damage } from './damage.ts';
import { type EvidenceFacts, evidenceFacts } from './evidence-facts.ts';
import type { Drill, JobHistory } from './job-history.ts';
import { anomalyOf } from './judge-evidence.ts';
import { type Kept, kept } from './kept.ts';
import { breachOf, formatAge, type RpoFacts, rpoReasons } from './rpo.ts';
import { predictRto, rtoReasons } from './rto.ts';
import { longestNext } from './statistics.ts';

export type VolumeInputs = {
  volume: VolumeConfiguration;
  nowMs: number;
  /** Oldest first, of all repositories. Not changed afterwards, like all else that is given. */
  snapshots: readonly SnapshotEvidence[];
  damage: ReadonlyMap<string, Damage>;
  history: JobHistory;
  /** When its next scheduled backup is to have begun. */
  nextDueMs: number | undefined;
  scheduled: boolean;
  usage: UsageMeasurement | undefined;
  /** A drill is late when the last one was before. */
  drillDueMs: number | undefined;
};

const dayMs = 86_400_000;
/** A volume that is full so soon is told of. */
const fullSoonDays = 7;
/** So far back anomalies are told of. */
const anomaliesMs = 7 * dayMs;

/** What is the same for as long as what it was made of is: time that goes by, as a rule, changes nothing of it. */
export type VolumeMemory = {
  facts: Kept<EvidenceFacts>;
  growth: Kept<number | undefined>;
  rto: Kept<VolumeAssessment['rto']>;
  longestMs: Kept<number | undefined>;
};
export const emptyVolumeMemory = (): VolumeMemory => ({ facts: kept(), growth: kept(), rto: kept(), longestMs: kept() });

/** @param memory of this volume; it changes how long this takes, and nothing else. */
export function assessVolume(inputs: VolumeInputs, memory: VolumeMemory): VolumeAssessment {
  const { volume, nowMs, snapshots, damage, history } = inputs;
  const { name, criticality, sensitive, objectives } = volume;
  // What is of the future is judged by what time it is.
  const when = (snapshots.at(-1)?.timeMs ?? 0) <= nowMs ? undefined : nowMs;
  const facts = memory.facts([snapshots, volume, damage, when], () => evidenceFacts(snapshots, volume, damage, nowMs));
  const { newest, good } = facts;
  const drills = history.drillsOf(name);
  const size = sizeOf(inputs, facts, memory);
  const rto = memory.rto([facts, drills, size.bytes, size.files], () => rtoOf(objectives.rtoMs, size, drills, facts));
  const rpo: RpoFacts = {
    volume: name,
    objectiveMs: objectives.rpoMs,
    nowMs,
    newestGoodMs: good?.timeMs,
    snapshots: snapshots.length,
    fault: newest?.fault,
    next: nextBackup(inputs),
    scheduled: inputs.scheduled,
    longestMs: memory.longestMs([history.backupsOf(name), facts], () => longestBackup(history.backupsOf(name), facts)),
  };
  const anomalies = facts.anomalies.filter(({ timeMs }) => timeMs >= nowMs - anomaliesMs);
  const isFollowed = newest !== undefined && newest.fault !== undefined;
  const anomaly = isFollowed ? anomalyOf(newest) : undefined;
  const reasons = sorted([
    ...rpoReasons(rpo),
    // What is empty is brought back at once, and nobody can measure it.
    ...(snapshots.length > 0 && good?.files !== 0 ? rtoReasons(name, rto, inputs.scheduled) : []),
    ...(anomaly === undefined ? [] : [anomalyReason(anomaly, good)]),
    ...(isFollowed && anomaly === undefined && good !== undefined ? [notGood(name, newest.fault as string)] : []),
    ...failureReasons(inputs),
    ...drillReasons(inputs),
    ...fillingReasons(name, size.fullAtMs, nowMs),
  ]);
  return {
    volume: name,
    criticality,
    sensitive,
    condition: worst(reasons.map(({ condition }) => condition)),
    reasons,
    newest: newest && markOf(newest.snapshot),
    newestGood: good && markOf(good),
    rpo: {
      objectiveMs: objectives.rpoMs,
      ageMs: good && Math.max(0, nowMs - good.timeMs),
      breachAtMs: good && breachOf(good.timeMs, objectives.rpoMs),
    },
    rto,
    size,
    anomalies,
    lastDrill: drills[0] && { atMs: drills[0].atMs, verified: drills[0].verified, durationMs: drills[0].durationMs },
  };
}

const markOf = ({ repository, id, run, timeMs, consistency }: SnapshotEvidence): SnapshotMark => ({
  repository,
  id,
  run,
  timeMs,
  consistency,
});

/** The worst first. */
export const sorted = (reasons: readonly Reason[]): Reason[] =>
  reasons.toSorted((a, b) => conditions.indexOf(b.condition) - conditions.indexOf(a.condition));

function rtoOf(
  objectiveMs: number,
  { bytes, files }: VolumeAssessment['size'],
  drills: readonly Drill[],
  { fullBackups }: EvidenceFacts,
): VolumeAssessment['rto'] {
  const known = bytes === undefined ? undefined : { bytes, files: files ?? 0 };
  return predictRto(
    objectiveMs,
    known,
    // A restore reads nothing back.
    drills.filter(({ verified }) => verified).map((drill) => ({ ...drill, durationMs: drill.durationMs - (drill.readBackMs ?? 0) })),
    fullBackups,
  );
}

function nextBackup({ volume, history, nextDueMs, nowMs }: VolumeInputs): RpoFacts['next'] {
  const open = history.openBackupOf(volume.name);
  if (open?.startedMs !== undefined) return { kind: 'running', atMs: open.startedMs };
  // One that has failed will not be there by waiting for it.
  if (open !== undefined) return { kind: open.error === undefined ? 'queued' : 'due', atMs: Math.max(nowMs, open.notBeforeMs) };
  return nextDueMs === undefined ? undefined : { kind: 'due', atMs: nextDueMs };
}

/** A snapshot is there when its whole job is done. */
function longestBackup(backups: readonly Job[], { durationsMs }: EvidenceFacts): number | undefined {
  const jobs = backups.flatMap(({ state, startedMs, endedMs }) =>
    hasWorked(state) && startedMs !== undefined && endedMs !== undefined ? [endedMs - startedMs] : [],
  );
  return longestNext(jobs.length > 0 ? jobs.reverse() : durationsMs);
}

function sizeOf(
  { volume, usage, nowMs }: VolumeInputs,
  facts: EvidenceFacts,
  { growth }: Pick<VolumeMemory, 'growth'>,
): VolumeAssessment['size'] {
  const { sizes } = facts;
  const last = sizes.at(-1);
  // Two snapshots of a time are one size.
  const growthBytesPerDay = growth([facts, firstWithin(sizes, nowMs - growthWindowMs)], () => growthPerDay(sizes, nowMs));
  const bytes = usage?.bytes ?? last?.bytes;
  const days = daysUntilFull({
    usedBytes: bytes,
    sizeBytes: volume.sizeBytes,
    freeBytes: usage?.capacityBytes === undefined ? undefined : Math.max(0, usage.capacityBytes - usage.bytes),
    growthBytesPerDay,
  });
  return {
    bytes,
    files: usage?.files ?? last?.files,
    declaredBytes: volume.sizeBytes,
    growthBytesPerDay,
    fullAtMs: days === undefined ? undefined : nowMs + Math.round(days * dayMs),
  };
}

/** The place of the first that is not before an instant. */
function firstWithin(oldestFirst: readonly { timeMs: number }[], fromMs: number): number {
  let [low, high] = [0, oldestFirst.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((oldestFirst[middle] as { timeMs: number }).timeMs < fromMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

function anomalyReason({ message, snapshot }: Anomaly, good: SnapshotEvidence | undefined): Reason {
  const [id, before] = [snapshot.slice(0, 8), good?.id.slice(0, 8)];
  const look = before === undefined ? `holdfast ls ${id}` : `holdfast diff ${before} ${id}`;
  return {
    kind: 'anomaly',
    condition: 'at-risk',
    message: `the newest snapshot is out of the ordinary: ${message}`,
    remedy: `${look}; if it is as it should be: holdfast tag ${id} --add brake=good`,
  };
}

const notGood = (volume: string, fault: string): Reason => ({
  kind: 'not-good',
  condition: 'at-risk',
  message: `the newest snapshot does not count: ${fault}`,
  remedy: `holdfast backup ${volume}`,
});

const hasWorked = (state: JobState): boolean => state === 'succeeded' || state === 'incomplete';

function failureReasons({ volume: { name }, history, snapshots }: VolumeInputs): Reason[] {
  const open = history.openBackupOf(name);
  // One that waits for another attempt has failed, too.
  const ended = [...(open?.state === 'queued' && open.error !== undefined ? [open] : []), ...history.backupsOf(name)];
  const worked = ended.findIndex((job) => hasWorked(job.state) || hasMade(job, snapshots));
  const failures = worked < 0 ? ended : ended.slice(0, worked);
  const [last] = failures;
  if (last === undefined) return [];
  const why =
    last.error === undefined ? (last.state === 'lost' ? 'the daemon ended while it ran' : 'it said nothing of why') : last.error.message;
  const isMissing = last.error?.code === 'volume-missing' && last.error.volume === name;
  const times = failures.length === 1 ? 'the last backup failed' : `the last ${failures.length} backups failed`;
  const remedy = last.error?.remedy ?? `holdfast backup ${name}`;
  return [{ kind: isMissing ? 'volume-missing' : 'job-failing', condition: 'at-risk', message: `${times}: ${why}`, remedy }];
}

/** Whether it made a snapshot of the volume, though it failed for another one. */
function hasMade(
  { spec, queuedMs, startedMs = queuedMs, endedMs = Number.POSITIVE_INFINITY }: Job,
  snapshots: readonly SnapshotEvidence[],
) {
  const at = spec.kind === 'backup' ? spec.repository : undefined;
  return snapshots.findLast(({ timeMs, repository }) => repository === at && timeMs >= startedMs && timeMs <= endedMs) !== undefined;
}

function drillReasons({ volume: { name }, history, drillDueMs, snapshots }: VolumeInputs): Reason[] {
  const last = history.drillsOf(name)[0];
  if (last !== undefined && !last.verified) {
    const message = `the last drill brought back something else than snapshot ${last.snapshot.slice(0, 8)} holds`;
    return [{ kind: 'drill-failed', condition: 'broken', message, remedy: 'holdfast check --read-data' }];
  }
  if (drillDueMs === undefined || snapshots.length === 0 || (last?.atMs ?? Number.NEGATIVE_INFINITY) >= drillDueMs) return [];
  const message = last === undefined ? 'no drill has ever brought it back' : 'its last drill was longer ago than two were due';
  return [{ kind: 'drill-late', condition: 'at-risk', message, remedy: `holdfast drill ${name}` }];
}

function fillingReasons(volume: string, fullAtMs: number | undefined, nowMs: number): Reason[] {
  if (fullAtMs === undefined || fullAtMs - nowMs > fullSoonDays * dayMs) return [];
  const message = fullAtMs <= nowMs ? 'it is full' : `it is full in ${formatAge(fullAtMs - nowMs)} if it grows on as it does`;
  return [
    { kind: 'volume-filling', condition: 'at-risk', message, remedy: `holdfast volumes ${volume}: make it larger, or find what grows` },
  ];
}
