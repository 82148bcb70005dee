import type { VolumeConfiguration } from '../configuration/configuration.ts';
import { daysUntilFull, growthPerDay } from '../discovery/growth.ts';
import type { SnapshotEvidence } from '../state/evidence-table.ts';
import type { UsageMeasurement } from '../state/log-tables.ts';
import type { Anomaly, Reason, SnapshotMark, VolumeAssessment } from './assessment.ts';
import { conditions, worst } from './assessment.ts';
import type { Damage } from './damage.ts';
import type { JobHistory } from './job-history.ts';
import { anomalyOf, judgeEvidence } from './judge-evidence.ts';
import { breachOf, formatAge, type RpoFacts, rpoReasons } from './rpo.ts';
import { type Measured, predictRto, rtoReasons } from './rto.ts';
import { longestNext } from './statistics.ts';

export type VolumeInputs = {
  volume: VolumeConfiguration;
  nowMs: number;
  /** Oldest first, of all repositories. */
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

export function assessVolume(inputs: VolumeInputs): VolumeAssessment {
  const { volume, nowMs, snapshots, damage, history } = inputs;
  const { name, criticality, sensitive, objectives } = volume;
  const judged = judgeEvidence(snapshots, volume, damage, nowMs);
  const newest = judged.at(-1);
  const good = judged.findLast(({ fault }) => fault === undefined)?.snapshot;
  const drills = history.drillsOf(name);
  const size = sizeOf(inputs);
  const known = size.bytes === undefined ? undefined : { bytes: size.bytes, files: size.files ?? 0 };
  const rto = predictRto(
    objectives.rtoMs,
    known,
    drills.filter(({ verified }) => verified),
    fullBackups(snapshots),
  );
  const rpo: RpoFacts = {
    volume: name,
    objectiveMs: objectives.rpoMs,
    nowMs,
    newestGoodMs: good?.timeMs,
    snapshots: snapshots.length,
    fault: newest?.fault,
    next: nextBackup(inputs),
    scheduled: inputs.scheduled,
    longestMs: longestBackup(inputs),
  };
  const anomalies = judged.flatMap((one) => (one.snapshot.timeMs < nowMs - anomaliesMs ? [] : (anomalyOf(one) ?? [])));
  const isFollowed = newest !== undefined && newest.fault !== undefined;
  const anomaly = isFollowed ? anomalyOf(newest) : undefined;
  const reasons = sorted([
    ...rpoReasons(rpo),
    ...(snapshots.length > 0 ? rtoReasons(name, rto, inputs.scheduled) : []),
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

/** Backups that stored most of what they read: they took about what there is to do. */
const fullBackups = (snapshots: readonly SnapshotEvidence[]): Measured[] =>
  snapshots.filter(({ bytes, addedBytes, durationMs }) => durationMs > 0 && bytes > 0 && addedBytes * 2 >= bytes).reverse();

function nextBackup({ volume, history, nextDueMs, nowMs }: VolumeInputs): RpoFacts['next'] {
  const open = history.openBackupOf(volume.name);
  if (open?.startedMs !== undefined) return { kind: 'running', atMs: open.startedMs };
  if (open !== undefined) return { kind: 'queued', atMs: Math.max(nowMs, open.notBeforeMs) };
  return nextDueMs === undefined ? undefined : { kind: 'due', atMs: nextDueMs };
}

/** A snapshot is there when its whole job is done. */
function longestBackup({ volume, history, snapshots }: VolumeInputs): number | undefined {
  const jobs = history
    .backupsOf(volume.name)
    .flatMap(({ state, startedMs, endedMs }) =>
      (state === 'succeeded' || state === 'incomplete') && startedMs !== undefined && endedMs !== undefined ? [endedMs - startedMs] : [],
    );
  return longestNext(jobs.length > 0 ? jobs.reverse() : snapshots.slice(-10).map(({ durationMs }) => durationMs));
}

function sizeOf({ volume, snapshots, usage, nowMs }: VolumeInputs): VolumeAssessment['size'] {
  const sized = snapshots.filter(({ begunMs, bytes }) => begunMs !== undefined || bytes > 0);
  const last = sized.at(-1);
  // Two snapshots of a time are one size.
  const growthBytesPerDay = growthPerDay(sized, nowMs);
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

function failureReasons({ volume: { name }, history }: VolumeInputs): Reason[] {
  const ended = history.backupsOf(name);
  const failed = ended.slice(
    0,
    Math.max(
      0,
      ended.findIndex(({ state }) => state === 'succeeded' || state === 'incomplete'),
    ),
  );
  const failures = ended.some(({ state }) => state === 'succeeded' || state === 'incomplete') ? failed : ended;
  const [last] = failures;
  if (last === undefined) return [];
  const why =
    last.error === undefined ? (last.state === 'lost' ? 'the daemon ended while it ran' : 'it said nothing of why') : last.error.message;
  const isMissing = last.error?.code === 'volume-missing' && last.error.volume === name;
  const times = failures.length === 1 ? 'the last backup failed' : `the last ${failures.length} backups failed`;
  const remedy = last.error?.remedy ?? `holdfast backup ${name}`;
  return [{ kind: isMissing ? 'volume-missing' : 'job-failing', condition: 'at-risk', message: `${times}: ${why}`, remedy }];
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
