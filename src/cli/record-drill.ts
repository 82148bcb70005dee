/** A drill that somebody made by hand, in the state of the daemon: it counts like those that the daemon makes. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Configuration } from '../control/configuration/configuration.ts';
import type { Job } from '../control/jobs/job.ts';
import type { DrilledEvent } from '../control/jobs/job-events.ts';
import { createJobTable } from '../control/state/job-table.ts';
import { exitCodes } from '../model/errors.ts';
import { processOwner } from '../repository/process-owner.ts';
import { daemonFolder } from './daemon-place.ts';
import { joinState } from './join-state.ts';

export type MadeDrill = {
  /** Its name in `holdfast.yaml`. */
  repository: string;
  /** Milliseconds since 1970. */
  startedMs: number;
  endedMs: number;
  drilled: readonly DrilledEvent[];
  exitCode: number;
};

/**
 * Adds it where a daemon of the project has ever run on this host, and does not make it itself: that knows of its own.
 * @returns whether it was added. @throws what the system says of a state that cannot be written.
 */
export function recordDrill(configuration: Configuration, environment: NodeJS.ProcessEnv, made: MadeDrill): boolean {
  if (environment.HOLDFAST_JOB !== undefined || made.drilled.length === 0) return false;
  if (!configuration.repositories.some(({ name }) => name === made.repository)) return false;
  const state = joinState(join(daemonFolder(configuration, environment), 'state.sqlite'));
  if (state === undefined) return false;
  try {
    return createJobTable(state).add(jobOf(made));
  } finally {
    state.close();
  }
}

function jobOf({ repository, startedMs, endedMs, drilled, exitCode }: MadeDrill): Job {
  return {
    id: `${new Date(startedMs).toISOString().replace(/[-:.]/g, '')}-${randomBytes(4).toString('hex')}`,
    spec: { kind: 'drill', repository, volumes: drilled.map(({ volume }) => volume) },
    state: exitCode === exitCodes.done ? 'succeeded' : 'failed',
    priority: 0,
    schedule: undefined,
    dueMs: undefined,
    startedBy: `user ${processOwner().username}`,
    queuedMs: startedMs,
    notBeforeMs: startedMs,
    deadlineMs: 0,
    startedMs,
    endedMs,
    attempt: 1,
    attempts: 1,
    process: undefined,
    exitCode,
    error: undefined,
    result: { snapshots: [], drilled: drilled.map(({ event: _, ...rest }) => rest), warnings: 0 },
  };
}
