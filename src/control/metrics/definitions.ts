/** All metrics by name: docs/metrics.md, the alert rules and the dashboard are checked against this table. */

export type MetricDefinition = {
  type: 'gauge' | 'counter' | 'histogram';
  labels: readonly string[];
  help: string;
};

const gauge = (help: string, ...labels: string[]) => ({ type: 'gauge' as const, labels, help });
const counter = (help: string, ...labels: string[]) => ({ type: 'counter' as const, labels, help });
const histogram = (help: string, ...labels: string[]) => ({ type: 'histogram' as const, labels, help });

/**
 * Names follow https://prometheus.io/docs/practices/naming: seconds, bytes, instants as seconds since 1970 (so that an age grows by itself,
 * also when the daemon hangs). A value that nobody knows has no sample. Every metric has the label `project` besides those named here.
 */
export const metrics = {
  holdfast_info: gauge('Version of the daemon; always 1', 'version'),
  holdfast_project_condition: gauge('Worst condition of all: 0 good, 1 at risk, 2 broken'),
  holdfast_project_reason: gauge('1 for each thing that is wrong and concerns no volume or repository', 'reason', 'condition'),

  holdfast_volume_condition: gauge('0 good, 1 at risk, 2 broken', 'volume'),
  holdfast_volume_reason: gauge('1 for each thing that is wrong with a volume', 'volume', 'reason', 'condition'),
  holdfast_volume_size_bytes: gauge('What the volume holds', 'volume'),
  holdfast_volume_files: gauge('How many files the volume holds', 'volume'),
  holdfast_volume_declared_size_bytes: gauge('Size that holdfast.yaml declares', 'volume'),
  holdfast_volume_growth_bytes_per_second: gauge('Trend of its size', 'volume'),
  holdfast_volume_full_timestamp_seconds: gauge('Predicted instant at which the volume is full', 'volume'),
  holdfast_volume_newest_snapshot_timestamp_seconds: gauge('When the newest snapshot was taken', 'volume'),
  holdfast_volume_newest_good_snapshot_timestamp_seconds: gauge(
    'When the newest good snapshot was taken, from which the RPO counts',
    'volume',
  ),
  holdfast_volume_rpo_objective_seconds: gauge('RPO objective: how much may be lost', 'volume'),
  holdfast_volume_rpo_breach_timestamp_seconds: gauge('When the RPO is, or was, missed if nothing good comes before', 'volume'),
  holdfast_volume_rto_objective_seconds: gauge('RTO objective: how long recovery may take', 'volume'),
  holdfast_volume_rto_predicted_seconds: gauge('Predicted time of a restore', 'volume'),
  holdfast_volume_rto_least_seconds: gauge('Lower bound of the predicted time of a restore', 'volume'),
  holdfast_volume_rto_most_seconds: gauge('Upper bound of the predicted time of a restore', 'volume'),
  holdfast_volume_anomalies: gauge('How much is out of the ordinary about its newest snapshots', 'volume'),
  holdfast_volume_drill_timestamp_seconds: gauge('When the last drill ended', 'volume'),
  holdfast_volume_drill_duration_seconds: gauge('How long the last drill took', 'volume'),
  holdfast_volume_drill_verified: gauge('1 when the last drill brought back all of it, else 0', 'volume'),
  holdfast_snapshots: gauge('How many snapshots of a volume a repository holds', 'repository', 'volume'),

  holdfast_repository_condition: gauge('0 good, 1 at risk, 2 broken', 'repository'),
  holdfast_repository_reason: gauge('1 for each thing that is wrong with a repository', 'repository', 'reason', 'condition'),
  holdfast_repository_seen_timestamp_seconds: gauge('When its snapshots were last listed', 'repository'),
  holdfast_repository_check_timestamp_seconds: gauge('When it was last checked', 'repository'),
  holdfast_repository_check_ok: gauge('1 when the last check found no damage, else 0', 'repository'),
  holdfast_repository_forget_timestamp_seconds: gauge('When retention was last applied', 'repository'),

  holdfast_jobs: gauge('Jobs that are queued or running', 'kind', 'state'),
  holdfast_jobs_ended_total: counter('Jobs that ended since the daemon began', 'kind', 'result'),
  holdfast_job_success_timestamp_seconds: gauge('When a job of this kind last succeeded', 'kind'),
  holdfast_job_duration_seconds: histogram('How long jobs ran, without their time in the queue', 'kind'),
  holdfast_backup_added_bytes_total: counter('Bytes that backups of the volume added to repositories since the daemon began', 'volume'),
  holdfast_backup_downtime_seconds_total: counter(
    'How long containers were halted for backups of the volume since the daemon began',
    'volume',
  ),
  holdfast_alerts: gauge('Alerts that were raised and are not over', 'condition'),
  holdfast_notification_failures: gauge('Attempts to deliver that failed since the last that succeeded', 'notification'),
  holdfast_notification_dropped: gauge('Notices that were given up since the last message that arrived', 'notification'),

  holdfast_configuration_accepted: gauge('0 when the last change of holdfast.yaml was refused, and the one before is in effect, else 1'),
  holdfast_configuration_timestamp_seconds: gauge('When holdfast.yaml was last read by the daemon'),
  holdfast_state_size_bytes: gauge('Size of the state, without its write-ahead log'),

  process_start_time_seconds: gauge('When the daemon began'),
  process_cpu_seconds_total: counter('Processor time of the daemon, without that of jobs'),
  process_resident_memory_bytes: gauge('Memory of the daemon, without that of jobs'),
} as const satisfies Record<string, MetricDefinition>;

/** The names of one type. */
export type MetricOf<Type extends MetricDefinition['type']> = {
  [Name in keyof typeof metrics]: (typeof metrics)[Name]['type'] extends Type ? Name : never;
}[keyof typeof metrics];
