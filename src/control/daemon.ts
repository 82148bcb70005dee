import type { Clock } from '../model/clock.ts';
import { HoldfastError } from '../model/errors.ts';
import type { Configuration } from './configuration/configuration.ts';
import type { ControlEvent, ControlPlane } from './control-plane.ts';
import { effortOf, heldUntilMs, planOf, requireKnown, upcoming, urgent } from './daemon-plan.ts';
import { tablesOf } from './daemon-tables.ts';
import { createLearning, keepLooking, keepState } from './daemon-watch.ts';
import { createEvidenceKeeper, type EvidenceKeeper } from './evidence/keep-evidence.ts';
import { createTroubleKeeper } from './evidence/keep-trouble.ts';
import { listByProcess } from './evidence/list-by-process.ts';
import type { ListSnapshots } from './evidence/read-evidence.ts';
import { commandLines } from './jobs/arguments.ts';
import type { Job, JobSpec } from './jobs/job.ts';
import { createJobRunner } from './jobs/job-runner.ts';
import { readByProcess } from './jobs/read-by-process.ts';
import { recoverJobs, settleLeft } from './jobs/recover-jobs.ts';
import { type Program, runCommands, type Watch } from './jobs/run-job.ts';
import type { AssessmentInputs } from './objectives/assess.ts';
import type { ProjectAssessment } from './objectives/assessment.ts';
import { createAssessor } from './objectives/assessor.ts';
import { createRedactor } from './redact-lines.ts';
import type { Task } from './scheduling/tasks.ts';
import { createAlertTable } from './state/alert-table.ts';
import { createEvidencePages } from './state/evidence-pages.ts';
import type { Facts } from './state/log-tables.ts';
import type { State } from './state/state.ts';
import { createStateHealth } from './state/state-health.ts';

export type DaemonOptions = {
  version: string;
  configuration: Configuration;
  state: State;
  /** A folder of its own, for what is short-lived. */
  folder: string;
  clock: Clock;
  program: Program;
  /** Told of what goes wrong inside, such as a state that cannot be written; work goes on. */
  onFailure?: (error: unknown) => void;
  /** Instead of child processes: a test's own. */
  execute?: (job: Job, watch: Watch, signal: AbortSignal) => Promise<number>;
  /** Instead of what is thought of the evidence: a test's own. */
  assess?: (inputs: AssessmentInputs) => ProjectAssessment;
  /** Instead of `holdfast snapshots`: a test's own. */
  listSnapshots?: ListSnapshots;
};

export type Daemon = ControlPlane & {
  /**
   * Settles what an earlier daemon left, then works until the abort. `onSettled` is called when what was missed is queued.
   * @throws `state-lost` when the file of the state is not there any more, and all jobs have ended.
   */
  run(signal: AbortSignal, onSettled?: () => void): Promise<void>;
  /**
   * Takes effect at once; jobs that run go on as they began. @param by what has changed: holdfast.yaml, which is told to be in effect, or `labels` that
   * complete the same file, whether or not it was refused meanwhile. By default the file.
   */
  configure(configuration: Configuration, by?: 'file' | 'labels'): void;
  /** A configuration was refused, and the old one stays. */
  refuse(message: string): void;
};

/** More jobs than that are not asked for by people: all that wait are looked at again and again. */
const mostByHand = 200;

export function createDaemon(options: DaemonOptions): Daemon {
  const { state, clock, program } = options;
  let { configuration } = options;
  let plan = planOf(configuration);
  const now = () => clock.now().getTime();
  const health = createStateHealth(state, now);
  const failed = (error: unknown) => {
    health.failed(error);
    options.onFailure?.(error);
  };
  const { emit, subscribe } = createListeners(failed);
  const tables = tablesOf(state, emit, failed);
  const { jobs, evidence, usage, auditLog, facts } = tables;
  const startedMs = now();
  let stopping: AbortSignal | undefined;

  const trouble = createTroubleKeeper({ facts, evidence, now });
  const keeper = createEvidenceKeeper({
    ...{ evidence, facts, now },
    list: options.listSnapshots ?? listByProcess(program, options.folder),
    configuration: () => configuration,
    onFailure: failed,
    stopping: () => stopping,
    onChange: (repository, change) => emit({ event: 'evidence', repository, ...change }),
    onLooked(repository, couldLook) {
      tryTo(() => trouble.looked(repository, couldLook), failed);
      // What is there decides on what is due.
      runner.wake();
    },
  });

  const assessor = createAssessor(
    () => ({ configuration, nowMs: now(), startedMs, evidence, jobs, usage, facts, stateFailure: health.failure() }),
    options.assess,
  );

  const runner = createJobRunner({
    jobs,
    clock,
    plan: () => plan,
    past: { doneUntilMs: (task, spec) => doneUntilMs(task, spec, { keeper, facts, nowMs: now(), failed }) },
    execute: executor(options, () => configuration),
    redact: createRedactor(program.environment),
    onEnded: createLearning({ tables, trouble, keeper, assessAnew, now, isStopping: () => stopping?.aborted ?? false, failed }),
    onChange,
    onLog: (job) => emit({ event: 'job-log', job }),
    onFailure: failed,
  });

  function onChange(job: Job): void {
    emit({ event: 'job', job, progress: runner.progress(job.id) });
  }

  function onSettledJob(job: Job): void {
    onChange(job);
    runner.wake();
  }

  async function assessAnew(): Promise<void> {
    try {
      emit({ event: 'assessment', assessment: await assessor.renew() });
    } catch (error) {
      failed(error);
    }
  }

  return {
    version: options.version,
    startedMs,
    configuration: () => configuration,
    assess: assessor.current,
    jobs,
    progress: (job) => runner.progress(job),
    start(spec, startedBy, priority = urgent) {
      requireKnown(spec, configuration);
      requireRoom(jobs.open());
      return runner.start({ spec, startedBy, priority, ...effortOf(spec, configuration) });
    },
    cancel: (job) => runner.cancel(job),
    heldUntilMs: (job) => heldUntilMs(job, configuration.daemon.quietHours, now()),
    upcoming: () => upcoming(plan, now()),
    evidence: { list: evidence.list, counts: evidence.counts, ...createEvidencePages(state) },
    usage,
    auditLog,
    facts,
    alerts: createAlertTable(state),
    stateBytes: state.bytes,
    read: (words, signal) => readByProcess(program, words, signal),
    subscribe,
    async run(signal, onSettled) {
      // A state that is lost ends it as well.
      const lost = new AbortController();
      stopping = AbortSignal.any([signal, lost.signal]);
      for (const job of await recoverJobs({ jobs, clock, signal: stopping })) onChange(job);
      const settling = { jobs, clock, snapshotsSince: keeper.since, allVolumes: () => namesOf(configuration), signal: stopping };
      await Promise.all([
        runner.run(stopping),
        keepLooking({ clock, keeper, assessAnew, failed, isKnown: keeper.wereAllLookedAt }, stopping, onSettled),
        settleLeft(settling, onSettledJob, failed),
        keepState({ tables, health, clock, assessAnew, failed, historyMs: () => configuration.daemon.historyMs }, stopping, lost),
      ]);
      if (lost.signal.aborted) throw lost.signal.reason;
    },
    configure(next, by = 'file') {
      configuration = next;
      plan = planOf(next);
      assessor.forget();
      if (by === 'file') emit({ event: 'configuration', accepted: true, message: `${next.file} is in effect` });
      else void assessAnew();
      runner.wake();
    },
    refuse: (message) => emit({ event: 'configuration', accepted: false, message }),
  };
}

const namesOf = ({ volumes }: Configuration): string[] => volumes.map(({ name }) => name);

function requireRoom(open: readonly Job[]): void {
  if (open.filter(({ schedule }) => schedule === undefined).length < mostByHand) return;
  const retry = { retryAfterMs: 60_000 };
  throw new HoldfastError('too-many-requests', `${mostByHand} jobs wait already that somebody has asked for`, retry);
}

function executor({ execute, program }: DaemonOptions, configuration: () => Configuration): NonNullable<DaemonOptions['execute']> {
  return (job, watch, signal) => {
    // It may have waited while the configuration changed.
    requireKnown(job.spec, configuration());
    return execute?.(job, watch, signal) ?? runCommands(program, commandLines(job.spec, configuration().daemon), watch, signal);
  };
}

function tryTo(work: () => void, onFailure: (error: unknown) => void): void {
  try {
    work();
  } catch (error) {
    onFailure(error);
  }
}

function createListeners(onFailure: (error: unknown) => void): Pick<ControlPlane, 'subscribe'> & { emit(event: ControlEvent): void } {
  const listeners = new Set<(event: ControlEvent) => void>();
  return {
    emit(event) {
      for (const listener of listeners) tryTo(() => listener(event), onFailure);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

type Known = { keeper: EvidenceKeeper; facts: Facts; nowMs: number; failed: (error: unknown) => void };

function doneUntilMs(task: Task, spec: JobSpec, { keeper, facts, nowMs, failed }: Known): number {
  if (spec.kind !== 'backup') return knownSinceMs(facts, task.name, nowMs, failed);
  // It may have been done: nobody has looked yet.
  return keeper.wasLookedAt(spec.repository) ? keeper.backedUpUntilMs(spec) : Number.POSITIVE_INFINITY;
}

/** When a task was first seen: what was due before is not made up for, and what comes later is, also by a host that is often off. */
function knownSinceMs(facts: Facts, task: string, nowMs: number, onFailure: (error: unknown) => void): number {
  const fact = `task ${task}`;
  const known = facts.get<{ atMs: number }>(fact)?.atMs;
  // One of a clock that was wrong counts no longer.
  if (known !== undefined && known <= nowMs) return known;
  tryTo(() => facts.set(fact, { atMs: nowMs }), onFailure);
  return nowMs;
}
