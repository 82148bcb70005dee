/** What a daemon does beside its jobs: it looks into repositories, learns from what jobs say, and keeps its state. */
import type { Clock } from '../model/clock.ts';
import { type DaemonTables, keepSmall } from './daemon-tables.ts';
import type { EvidenceKeeper } from './evidence/keep-evidence.ts';
import { mayHaveChanged, type TroubleKeeper } from './evidence/keep-trouble.ts';
import { usageOf } from './evidence/read-usage.ts';
import { type Job, type JobResult, repositoriesOf } from './jobs/job.ts';
import { allLines } from './state/job-table.ts';
import type { StateHealth } from './state/state-health.ts';

/** Other programs and hosts make and forget snapshots too. */
const refreshEveryMs = 15 * 60_000;
/** Whether one of the repositories that could not be reached is to be tried again. */
const lookEveryMs = 60_000;
/** Whether the state is in its place, and can be written. */
const stateEveryMs = 10_000;
const upkeepEveryMs = 3_600_000;

type Common = { assessAnew(): Promise<void>; failed(error: unknown): void };

export type Learning = Common & {
  tables: Pick<DaemonTables, 'jobs' | 'usage'>;
  trouble: TroubleKeeper;
  keeper: Pick<EvidenceKeeper, 'refresh'>;
  now(): number;
  isStopping(): boolean;
};

/** Returns what is done when an attempt of a job has ended: what it says counts at once, what its repositories hold as soon as that is known. */
export function createLearning({ tables, trouble, keeper, now, isStopping, assessAnew, failed }: Learning) {
  return async (job: Job, result: JobResult): Promise<void> => {
    const { spec, endedMs } = job;
    if (spec.kind === 'usage') attempt(() => tables.usage.add(usageOf(allLines(tables.jobs, job.id), endedMs ?? now())), failed);
    if (isStopping()) return;
    const changed = mayHaveChanged(job, result) ? repositoriesOf(spec).map(({ name }) => name) : [];
    const told = trouble.ended(job);
    if (told.length > 0) await assessAnew();
    await Promise.all([...new Set([...changed, ...told])].map(keeper.refresh));
    await assessAnew();
  };
}

export type Looking = Common & {
  clock: Clock;
  keeper: EvidenceKeeper;
  /** Whether all repositories have been looked at, so that it is known what is due. */
  isKnown(): boolean;
};

/** Looks into repositories until the abort. `onSettled` is called when what was missed is queued. */
export async function keepLooking({ clock, keeper, isKnown, assessAnew, failed }: Looking, signal: AbortSignal, onSettled?: () => void) {
  const look = async (into: () => Promise<unknown>) => {
    try {
      if ((await into()) !== false && !signal.aborted) await assessAnew();
    } catch (error) {
      failed(error);
    }
  };
  let tellSettled = onSettled;
  const settled = () => {
    tellSettled?.();
    tellSettled = undefined;
  };
  if (isKnown()) settled();
  await Promise.all([
    every(clock, refreshEveryMs, () => look(keeper.refreshAll).then(settled), signal),
    every(clock, lookEveryMs, () => look(keeper.refreshUnseen), signal),
  ]);
}

export type Keeping = Common & { tables: DaemonTables; health: StateHealth; clock: Clock; historyMs(): number };

/** Keeps the state small, and looks whether it can be written, until the abort. A state that is not there any more aborts `lost` with `state-lost`. */
export async function keepState(
  { tables, health, clock, historyMs, assessAnew, failed }: Keeping,
  signal: AbortSignal,
  lost: AbortController,
) {
  const look = () => {
    try {
      return health.look() ? assessAnew() : undefined;
    } catch (error) {
      lost.abort(error);
    }
  };
  await Promise.all([
    every(clock, stateEveryMs, look, signal),
    every(clock, upkeepEveryMs, () => attempt(() => keepSmall(tables, historyMs(), clock.now().getTime()), failed), signal),
  ]);
}

/** Until the abort, at once and then every so often. */
async function every(clock: Clock, intervalMs: number, work: () => Promise<void> | void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await work();
    await clock.sleep(intervalMs, signal);
  }
}

function attempt(work: () => void, onFailure: (error: unknown) => void): void {
  try {
    work();
  } catch (error) {
    onFailure(error);
  }
}
