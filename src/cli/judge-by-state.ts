/** What is thought of a project by what its daemon has written down, or, where none runs, by what its repositories hold. */
import { join } from 'node:path';
import type { Configuration } from '../control/configuration/configuration.ts';
import { heldUntilMs } from '../control/daemon-plan.ts';
import {
  type LabelledVolumes,
  labelledFact,
  mayHaveLabels,
  namesDeclaredBy,
  silentEngine,
  withLabelled,
} from '../control/discovery/labelled.ts';
import type { Job } from '../control/jobs/job.ts';
import { type AssessmentInputs, assess } from '../control/objectives/assess.ts';
import type { ProjectAssessment } from '../control/objectives/assessment.ts';
import { createEvidenceTable } from '../control/state/evidence-table.ts';
import { createJobTable } from '../control/state/job-table.ts';
import { createFacts, createUsageTable } from '../control/state/log-tables.ts';
import { readState } from '../control/state/read-state.ts';
import { isDamage, type State } from '../control/state/state.ts';
import type { CommandContext } from './command.ts';
import { displayText } from './output/text.ts';
import { systemClock } from './system-clock.ts';

export type Known = {
  assessment: ProjectAssessment;
  /** Whether a daemon runs, which knows it. */
  daemon: boolean;
  /** Queued and running. */
  open: OpenJob[];
};

/** A job, and until when quiet hours keep it from beginning. */
export type OpenJob = Job & { heldUntilMs?: number | undefined };

type Sources = Omit<AssessmentInputs, 'configuration' | 'nowMs' | 'scheduled'>;

/** @param place the daemon's folder, and whether one runs. */
export async function judgeByState(
  context: CommandContext<unknown>,
  configuration: Configuration,
  place: { folder: string; daemon: boolean },
): Promise<Known> {
  const state = readState(join(place.folder, 'state.sqlite'));
  try {
    return await judge(context, configuration, state, place.daemon);
  } catch (error) {
    // All that matters is in the repositories.
    if (state === undefined || !isDamage(error)) throw error;
    context.output.warning("the daemon's state is damaged: the repositories are looked into; `holdfast up` gathers anew what it knew");
    return await judge(context, configuration, undefined, place.daemon);
  } finally {
    state?.close();
  }
}

async function judge(context: CommandContext<unknown>, written: Configuration, state: State | undefined, daemon: boolean): Promise<Known> {
  const configuration = await withLabels(context, written, state, daemon);
  const told = state && sourcesOf(state);
  const sources = daemon && told !== undefined ? told : { ...(told ?? nothing), ...(await seen(context, configuration)) };
  const nowMs = systemClock.now().getTime();
  const assessment = assess({ configuration, nowMs, scheduled: daemon, ...sources });
  const { quietHours } = configuration.daemon;
  const open = daemon ? sources.jobs.open().map((job) => ({ ...job, heldUntilMs: heldUntilMs(job, quietHours, nowMs) })) : [];
  return { assessment, daemon, open };
}

/** As the Engine's labels complete it; where a daemon runs, or no Engine answers, as those did that the daemon has known last. */
async function withLabels(
  context: CommandContext<unknown>,
  written: Configuration,
  state: State | undefined,
  daemon: boolean,
): Promise<Configuration> {
  const known = state && createFacts(state).get<LabelledVolumes>(labelledFact);
  if (daemon || !mayHaveLabels(written)) return withLabelled(written, known);
  const [{ createPlatforms }, { completeProject }] = await Promise.all([import('./platforms.ts'), import('./labelled-project.ts')]);
  const platforms = createPlatforms(context, written);
  try {
    const { configuration, answered } = await completeProject(written, platforms);
    if (answered) return configuration;
  } finally {
    platforms.close();
  }
  const names = namesDeclaredBy(known);
  if (names.length > 0) context.output.warning(displayText(silentEngine(names)));
  return withLabelled(written, known);
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
