import type { ControlPlane } from '../control-plane.ts';
import { type Job, jobKinds } from '../jobs/job.ts';
import { type DeliveryRecord, deliveryFact } from '../notify/undelivered.ts';
import {
  conditions,
  type ProjectAssessment,
  type Reason,
  type RepositoryAssessment,
  type VolumeAssessment,
} from '../objectives/assessment.ts';
import type { MetricOf } from './definitions.ts';

export type Sample = [name: MetricOf<'gauge'>, value: number | undefined, labels?: Record<string, string>];

const seconds = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1_000);
const level = (condition: (typeof conditions)[number]): number => conditions.indexOf(condition);

/** What is known now. Labels are names of the configuration and of fixed lists, so that their number is bounded. */
export function samplesOf(plane: ControlPlane): Sample[] {
  const assessment = plane.assess();
  return [
    ['holdfast_info', 1, { version: plane.version }],
    ...ofProject(assessment),
    ...assessment.volumes.flatMap(ofVolume),
    ...assessment.repositories.flatMap(ofRepository),
    ...ofSnapshots(plane),
    ...ofJobs(plane),
    ...ofAlerts(plane),
    ['holdfast_state_size_bytes', plane.stateBytes()],
    ['process_start_time_seconds', seconds(plane.startedMs)],
    ['process_resident_memory_bytes', process.memoryUsage.rss()],
  ];
}

function ofProject({ condition, reasons }: ProjectAssessment): Sample[] {
  return [['holdfast_project_condition', level(condition)], ...reasons.map(reasonSample('holdfast_project_reason', {}))];
}

const reasonSample =
  (name: MetricOf<'gauge'>, labels: Record<string, string>) =>
  ({ kind, condition }: Reason): Sample => [name, 1, { ...labels, reason: kind, condition }];

function ofVolume(of: VolumeAssessment): Sample[] {
  const { rpo, rto, size, lastDrill } = of;
  const labels = { volume: of.volume };
  const growth = size.growthBytesPerDay === undefined ? undefined : size.growthBytesPerDay / 86_400;
  return [
    ['holdfast_volume_condition', level(of.condition), labels],
    ...of.reasons.map(reasonSample('holdfast_volume_reason', labels)),
    ['holdfast_volume_size_bytes', size.bytes, labels],
    ['holdfast_volume_files', size.files, labels],
    ['holdfast_volume_declared_size_bytes', size.declaredBytes, labels],
    ['holdfast_volume_growth_bytes_per_second', growth, labels],
    ['holdfast_volume_full_timestamp_seconds', seconds(size.fullAtMs), labels],
    ['holdfast_volume_newest_snapshot_timestamp_seconds', seconds(of.newest?.timeMs), labels],
    ['holdfast_volume_newest_good_snapshot_timestamp_seconds', seconds(of.newestGood?.timeMs), labels],
    ['holdfast_volume_rpo_objective_seconds', seconds(rpo.objectiveMs), labels],
    ['holdfast_volume_rpo_breach_timestamp_seconds', seconds(rpo.breachAtMs), labels],
    ['holdfast_volume_rto_objective_seconds', seconds(rto.objectiveMs), labels],
    ['holdfast_volume_rto_predicted_seconds', seconds(rto.predictedMs), labels],
    ['holdfast_volume_rto_least_seconds', seconds(rto.leastMs), labels],
    ['holdfast_volume_rto_most_seconds', seconds(rto.mostMs), labels],
    ['holdfast_volume_anomalies', of.anomalies.length, labels],
    ['holdfast_volume_drill_timestamp_seconds', seconds(lastDrill?.atMs), labels],
    ['holdfast_volume_drill_duration_seconds', seconds(lastDrill?.durationMs), labels],
    ['holdfast_volume_drill_verified', lastDrill && Number(lastDrill.verified), labels],
  ];
}

function ofRepository({ repository, condition, reasons, seenAtMs, lastCheck, lastForgetMs }: RepositoryAssessment): Sample[] {
  const labels = { repository };
  return [
    ['holdfast_repository_condition', level(condition), labels],
    ...reasons.map(reasonSample('holdfast_repository_reason', labels)),
    ['holdfast_repository_seen_timestamp_seconds', seconds(seenAtMs), labels],
    ['holdfast_repository_check_timestamp_seconds', seconds(lastCheck?.atMs), labels],
    ['holdfast_repository_check_ok', lastCheck && Number(lastCheck.ok), labels],
    ['holdfast_repository_forget_timestamp_seconds', seconds(lastForgetMs), labels],
  ];
}

/** Not of volumes that the configuration names no more: a repository may hold thousands of those. */
function ofSnapshots({ configuration, evidence }: ControlPlane): Sample[] {
  const known = new Set(configuration().volumes.map(({ name }) => name));
  const repositories = new Set(configuration().repositories.map(({ name }) => name));
  return evidence
    .counts()
    .filter(({ volume, repository }) => known.has(volume) && repositories.has(repository))
    .map(({ repository, volume, snapshots }) => ['holdfast_snapshots', snapshots, { repository, volume }]);
}

function ofJobs({ jobs }: ControlPlane): Sample[] {
  const open = jobs.open();
  const count = (kind: Job['spec']['kind'], state: string) => open.filter((job) => job.spec.kind === kind && job.state === state).length;
  return jobKinds.flatMap((kind): Sample[] => [
    ...(['queued', 'running'] as const).map((state): Sample => ['holdfast_jobs', count(kind, state), { kind, state }]),
    ['holdfast_job_success_timestamp_seconds', seconds(jobs.lastEnded(kind, ['succeeded'])?.endedMs), { kind }],
  ]);
}

/** More are as good as that. */
const mostAlerts = 10_000;

function ofAlerts({ alerts, configuration, facts }: ControlPlane): Sample[] {
  const open = alerts.list({ open: true }, { limit: mostAlerts });
  const count = (condition: string) => open.filter((alert) => alert.condition === condition).length;
  return [
    ...(['at-risk', 'broken'] as const).map((condition): Sample => ['holdfast_alerts', count(condition), { condition }]),
    ...configuration().notifications.flatMap(({ name }): Sample[] => {
      const record = facts.get<DeliveryRecord>(deliveryFact(name));
      const labels = { notification: name };
      return [
        ['holdfast_notification_failures', record?.failures ?? 0, labels],
        ['holdfast_notification_dropped', record?.dropped ?? 0, labels],
      ];
    }),
  ];
}
