import type { Consistency } from '../../model/snapshot.ts';
import type { Criticality } from '../configuration/configuration.ts';

/** What the control plane thinks of a project: values that status, API, metrics and alerts show, each in its way. */

/** `good`: as promised. `at-risk`: it still holds, and will not for long, or cannot be proved. `broken`: a promise is not kept now. */
export const conditions = ['good', 'at-risk', 'broken'] as const;
export type Condition = (typeof conditions)[number];

/** Stable names of what can be wrong, for programs. */
export const reasonKinds = [
  'never-backed-up',
  'rpo-breached',
  'rpo-at-risk',
  'rto-breached',
  'rto-at-risk',
  'rto-unknown',
  'not-good',
  'anomaly',
  'volume-filling',
  'volume-missing',
  'job-failing',
  'check-failed',
  'check-late',
  'drill-failed',
  'drill-late',
  'repository-unreachable',
  'repository-full',
  'copy-late',
  'not-covered',
  'daemon',
] as const;
export type ReasonKind = (typeof reasonKinds)[number];

export type Reason = {
  kind: ReasonKind;
  condition: Exclude<Condition, 'good'>;
  /** What is so, in a sentence without a full stop. */
  message: string;
  /** The command that helps, or what else to do. */
  remedy: string;
};

/** What is out of the ordinary about a snapshot, seen against those before it. */
export const anomalyKinds = ['emptied', 'shrunken', 'grown', 'files-lost', 'churn', 'entropy', 'extensions', 'unreadable'] as const;
export type AnomalyKind = (typeof anomalyKinds)[number];
export type Anomaly = { kind: AnomalyKind; volume: string; snapshot: string; timeMs: number; message: string };

/** A snapshot as it stands in an assessment. */
export type SnapshotMark = { repository: string; id: string; run: string; timeMs: number; consistency: Consistency };

/** Times are milliseconds since 1970, durations milliseconds, sizes bytes. Undefined: nobody knows. */
export type VolumeAssessment = {
  volume: string;
  criticality: Criticality;
  sensitive: boolean;
  condition: Condition;
  /** The worst first. */
  reasons: Reason[];
  newest: SnapshotMark | undefined;
  /** The newest that counts: not torn, complete, no anomaly, in no repository whose check failed since. */
  newestGood: SnapshotMark | undefined;
  /** `breachAtMs`: when the objective is, or was, missed if nothing good comes before. */
  rpo: { objectiveMs: number; ageMs: number | undefined; breachAtMs: number | undefined };
  /** Predicted time of a restore, with its bounds; from drills where there are some, else from throughput that was measured. */
  rto: {
    objectiveMs: number;
    predictedMs: number | undefined;
    leastMs: number | undefined;
    mostMs: number | undefined;
    basis: 'drills' | 'throughput' | undefined;
  };
  size: {
    bytes: number | undefined;
    files: number | undefined;
    declaredBytes: number | undefined;
    growthBytesPerDay: number | undefined;
    fullAtMs: number | undefined;
  };
  anomalies: Anomaly[];
  lastDrill: { atMs: number; verified: boolean; durationMs: number } | undefined;
};

export type RepositoryAssessment = {
  repository: string;
  condition: Condition;
  reasons: Reason[];
  snapshots: number;
  /** When its snapshots were last listed. */
  seenAtMs: number | undefined;
  lastCheck: { atMs: number; ok: boolean } | undefined;
  /** When retention was last applied. */
  lastForgetMs: number | undefined;
};

export type ProjectAssessment = {
  project: string;
  atMs: number;
  /** The worst of all. */
  condition: Condition;
  volumes: VolumeAssessment[];
  repositories: RepositoryAssessment[];
  /** What concerns neither a volume nor a repository. */
  reasons: Reason[];
};

export const worst = (all: readonly Condition[]): Condition =>
  conditions[Math.max(0, ...all.map((condition) => conditions.indexOf(condition)))] as Condition;
