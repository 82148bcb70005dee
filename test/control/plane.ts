/** A control plane for tests: a daemon on a state of its own that does nothing by itself, and what it is told to know. */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/cli/system-clock.ts';
import type { Configuration } from '../../src/control/configuration/configuration.ts';
import { parseConfiguration } from '../../src/control/configuration/parse.ts';
import type { ControlEvent } from '../../src/control/control-plane.ts';
import { createDaemon, type Daemon } from '../../src/control/daemon.ts';
import type { Job } from '../../src/control/jobs/job.ts';
import type { ProjectAssessment, VolumeAssessment } from '../../src/control/objectives/assessment.ts';
import { createEvidenceTable, type SnapshotEvidence } from '../../src/control/state/evidence-table.ts';
import { openState } from '../../src/control/state/state.ts';
import { scratch } from '../peers.ts';

const dayMs = 86_400_000;

/** Project `shop`, with defaults but for what is given. */
export function aProject(volumes: readonly string[], more: Record<string, unknown> = {}): Configuration {
  const text = { project: 'shop', volumes: Object.fromEntries(volumes.map((name) => [name, { source: { directory: './v' } }])), ...more };
  return parseConfiguration(JSON.stringify(text), '/srv/shop/holdfast.yaml');
}

export function snapshotOf(volume: string, timeMs: number, id: string): SnapshotEvidence {
  return {
    repository: 'local',
    id,
    project: 'shop',
    volume,
    run: `run-${timeMs}`,
    timeMs,
    class: 'scheduled',
    consistency: 'paused',
    repaired: false,
    unreadable: 0,
    bytes: 1_000_000,
    files: 1_000,
    filesNew: 0,
    filesChanged: 10,
    addedBytes: 20_000,
    addedPackedBytes: 10_000,
    durationMs: 5_000,
    downtimeMs: undefined,
    tags: [],
  };
}

/** Everything as it should be, ten minutes after the last snapshots. */
export function assessmentOf(configuration: Configuration, nowMs: number): ProjectAssessment {
  const volumes = configuration.volumes.map(({ name: volume, criticality, sensitive, objectives }): VolumeAssessment => {
    const timeMs = nowMs - 600_000;
    const newest = { repository: 'local', id: 'a'.repeat(64), run: 'run', timeMs, consistency: 'paused' as const };
    return {
      volume,
      criticality,
      sensitive,
      condition: 'good',
      reasons: [],
      newest,
      newestGood: newest,
      rpo: { objectiveMs: objectives.rpoMs, ageMs: 600_000, breachAtMs: timeMs + objectives.rpoMs },
      rto: { objectiveMs: objectives.rtoMs, predictedMs: 60_000, leastMs: 30_000, mostMs: 120_000, basis: 'drills' },
      size: { bytes: 1e9, files: 1_000, declaredBytes: 2e9, growthBytesPerDay: 8_640_000, fullAtMs: nowMs + 100 * dayMs },
      anomalies: [],
      lastDrill: { atMs: nowMs - dayMs, verified: true, durationMs: 61_000 },
    };
  });
  const repositories = configuration.repositories.map(({ name: repository }) => ({
    repository,
    condition: 'good' as const,
    reasons: [],
    snapshots: 10,
    seenAtMs: nowMs,
    lastCheck: { atMs: nowMs - dayMs, ok: true },
    lastForgetMs: nowMs - dayMs,
  }));
  return { project: configuration.project, atMs: nowMs, condition: 'good', volumes, repositories, reasons: [] };
}

/** A backup that has succeeded in a minute. */
export function aJob({ volumes }: { volumes: readonly string[] }): Job {
  const snapshots = volumes.map((volume) => ({
    volume,
    id: 'b'.repeat(64),
    consistency: 'paused' as const,
    unreadable: 0,
    bytes: 1_000,
    files: 10,
    addedBytes: 100,
    downtimeMs: 1_500,
  }));
  return {
    id: '20260101T000000000Z-00000000',
    spec: { kind: 'backup', repository: 'local', class: 'scheduled' },
    state: 'succeeded',
    priority: 6,
    schedule: 'schedule hourly',
    dueMs: 0,
    startedBy: 'schedule',
    queuedMs: 0,
    notBeforeMs: 0,
    deadlineMs: dayMs,
    startedMs: 1_000,
    endedMs: 61_000,
    attempt: 1,
    attempts: 3,
    process: undefined,
    exitCode: 0,
    error: undefined,
    result: { snapshots, warnings: 0 },
  };
}

export type TestPlane = Daemon & {
  /** As if a job had come to this. */
  end(job: Job): void;
};

/** @param snapshots so many of each volume are known. */
export function aPlane(
  t: TestContext,
  configuration: Configuration,
  assess: (configuration: Configuration, nowMs: number) => ProjectAssessment = assessmentOf,
  snapshots = 0,
): TestPlane {
  const folder = scratch(t);
  const state = openState(join(folder, 'state.sqlite'));
  t.after(() => state.close());
  const made = configuration.volumes.flatMap(({ name }) =>
    Array.from({ length: snapshots }, (_, i) => snapshotOf(name, Date.now() - i * 3_600_000, `${name}-${i}`)),
  );
  createEvidenceTable(state).add(made);
  const daemon = createDaemon({
    version: '1.2.3',
    configuration,
    state,
    folder,
    clock: systemClock,
    program: { command: ['false'], directory: folder, environment: {} },
    assess: (inputs) => assess(inputs.configuration, daemon?.startedMs ?? inputs.nowMs),
  });
  const listeners = new Set<(event: ControlEvent) => void>();
  return {
    ...daemon,
    subscribe(listener) {
      listeners.add(listener);
      const end = daemon.subscribe(listener);
      return () => {
        listeners.delete(listener);
        end();
      };
    },
    end: (job) => {
      for (const listener of listeners) listener({ event: 'job', job, progress: undefined });
    },
  };
}
