/** A project of made-up evidence, for tests. */
import { createHash } from 'node:crypto';
import type { Configuration, VolumeConfiguration } from '../src/control/configuration/configuration.ts';
import type { Job } from '../src/control/jobs/job.ts';
import type { AssessmentInputs } from '../src/control/objectives/assess.ts';
import type { SnapshotEvidence } from '../src/control/state/evidence-table.ts';
import type { UsageMeasurement } from '../src/control/state/log-tables.ts';

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
export const dayMs = 24 * hourMs;
/** Half past twelve, of a Friday. */
export const nowMs = Date.UTC(2026, 4, 1, 12, 30);

export const brake = { enabled: true, shrinkPercent: 50, churnPercent: 90, unreadable: 0, torn: true };

const effort = { priority: 5, deadlineMs: hourMs, attempts: 1 };

type Made = { volume?: Partial<VolumeConfiguration>; volumes?: string[] } & Partial<Omit<Configuration, 'volumes'>>;

export function configurationOf({ volume, volumes = ['data'], ...more }: Made = {}): Configuration {
  return {
    file: '/project/holdfast.yaml',
    directory: '/project',
    project: 'project',
    volumes: volumes.map(
      (name) =>
        ({
          name,
          criticality: 'critical',
          sensitive: false,
          cut: 'auto',
          sizeBytes: undefined,
          source: { kind: 'directory', directory: '/data' },
          retention: { brake },
          objectives: { rpoMs: hourMs, rtoMs: 4 * hourMs },
          ...volume,
        }) as unknown as VolumeConfiguration,
    ),
    repositories: [{ name: 'local', maintenance: true }],
    schedules: [
      {
        name: 'hourly',
        at: { kind: 'cron', cron: '0 * * * *', timeZone: 'UTC' },
        jitterMs: 0,
        ...effort,
        action: { kind: 'backup', to: 'local' },
      },
    ],
    drills: undefined,
    notifications: [],
    maintenance: { forget: undefined, check: undefined, usage: undefined },
    ...more,
  } as unknown as Configuration;
}

/** Of 1 GiB in 1,000 files, of which few changed; what took a minute. */
export const snapshotOf = (more: Partial<SnapshotEvidence> = {}): SnapshotEvidence => ({
  repository: 'local',
  id: createHash('sha256').update(JSON.stringify(more)).digest('hex'),
  project: 'project',
  volume: 'data',
  run: 'run',
  timeMs: nowMs,
  begunMs: more.timeMs ?? nowMs,
  class: 'scheduled',
  consistency: 'crash',
  repaired: false,
  unreadable: 0,
  bytes: 2 ** 30,
  files: 1_000,
  filesNew: 0,
  filesChanged: 5,
  addedBytes: 2 ** 30,
  addedPackedBytes: 2 ** 29,
  durationMs: minuteMs,
  downtimeMs: undefined,
  tags: [],
  ...more,
});

export const jobOf = (more: Partial<Job> = {}): Job => ({
  id: 'job',
  spec: { kind: 'backup', repository: 'local', class: 'scheduled' },
  state: 'succeeded',
  priority: 5,
  schedule: undefined,
  dueMs: undefined,
  startedBy: 'schedule',
  queuedMs: more.startedMs ?? 0,
  notBeforeMs: 0,
  deadlineMs: hourMs,
  startedMs: undefined,
  endedMs: undefined,
  attempt: 1,
  attempts: 1,
  process: undefined,
  exitCode: undefined,
  error: undefined,
  result: undefined,
  ...more,
});

type Known = Partial<Pick<AssessmentInputs, 'configuration' | 'nowMs' | 'startedMs' | 'scheduled'>> & {
  snapshots?: SnapshotEvidence[];
  jobs?: Job[];
  usage?: UsageMeasurement;
  facts?: Record<string, unknown>;
};

export function inputsOf({ snapshots = [], jobs = [], usage, facts = {}, ...more }: Known = {}): AssessmentInputs {
  const byVolume = Map.groupBy(snapshots, ({ volume }) => volume);
  const newestFirst = jobs.toSorted((a, b) => (a.id > b.id ? -1 : 1));
  return {
    configuration: configurationOf(),
    nowMs,
    startedMs: 0,
    evidence: { list: (volume) => (volume === undefined ? snapshots : (byVolume.get(volume) ?? [])) },
    jobs: {
      open: () => jobs.filter(({ state }) => state === 'queued' || state === 'running'),
      states: (kind, limit) => newestFirst.filter(({ spec }) => spec.kind === kind).slice(0, limit),
      get: (id) => jobs.find((job) => job.id === id),
      lastEnded: (kind, states) => newestFirst.find(({ spec, state }) => spec.kind === kind && states.includes(state)),
    },
    usage: { newest: () => usage },
    facts: { get: <Value>(name: string) => facts[name] as Value | undefined },
    ...more,
  };
}
