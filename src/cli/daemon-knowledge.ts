/** What is known of a project: by its daemon when one runs, else by looking into the repositories. */
import { join } from 'node:path';
import type { Configuration } from '../control/configuration/configuration.ts';
import type { Job } from '../control/jobs/job.ts';
import { type AssessmentInputs, assess } from '../control/objectives/assess.ts';
import type { ProjectAssessment } from '../control/objectives/assessment.ts';
import { createEvidenceTable } from '../control/state/evidence-table.ts';
import { createJobTable } from '../control/state/job-table.ts';
import { createFacts, createUsageTable } from '../control/state/log-tables.ts';
import { readState } from '../control/state/read-state.ts';
import type { State } from '../control/state/state.ts';
import type { CommandContext } from './command.ts';
import { daemonFolder, isTaken } from './daemon-place.ts';
import { systemClock } from './system-clock.ts';

export type Known = {
  assessment: ProjectAssessment;
  /** Whether a daemon runs on this host, which knows it. */
  daemon: boolean;
  /** Queued and running. */
  open: Job[];
};

type Sources = Omit<AssessmentInputs, 'configuration' | 'nowMs' | 'scheduled'>;

/** Judges the project as it is now. */
export async function judgeProject(context: CommandContext<unknown>, configuration: Configuration): Promise<Known> {
  const folder = daemonFolder(configuration, context.environment);
  const daemon = isTaken(folder);
  const state = readState(join(folder, 'state.sqlite'));
  try {
    const told = state && sourcesOf(state);
    const sources = daemon && told !== undefined ? told : { ...(told ?? nothing), ...(await seen(context, configuration)) };
    const nowMs = systemClock.now().getTime();
    const assessment = assess({ configuration, nowMs, scheduled: daemon, ...sources });
    return { assessment, daemon, open: daemon ? sources.jobs.open() : [] };
  } finally {
    state?.close();
  }
}

/** Opens repositories, and brings along all that this takes. */
async function seen(context: CommandContext<unknown>, configuration: Configuration): Promise<Pick<Sources, 'evidence' | 'facts'>> {
  const { lookIntoRepositories } = await import('./look-into-repositories.ts');
  return lookIntoRepositories(context, configuration);
}

function sourcesOf(state: State): Sources {
  const { since } = state.database.prepare('SELECT min(queued_ms) AS since FROM jobs').get() as { since: number | null };
  return {
    startedMs: since ?? Number.POSITIVE_INFINITY,
    evidence: createEvidenceTable(state),
    jobs: createJobTable(state),
    usage: createUsageTable(state),
    facts: createFacts(state),
  };
}

/** What a project tells that no daemon ever watched. */
const nothing: Sources = {
  startedMs: 0,
  evidence: { list: () => [] },
  jobs: { open: () => [], states: () => [], get: () => undefined, lastEnded: () => undefined },
  usage: { newest: () => undefined },
  facts: { get: () => undefined },
};
