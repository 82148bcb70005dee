import type { Clock } from '../model/clock.ts';
import { HoldfastError } from '../model/errors.ts';
import type { Configuration } from './configuration/configuration.ts';
import type { ControlEvent, ControlPlane } from './control-plane.ts';
import { effortOf, planOf, requireKnown, upcoming, urgent } from './daemon-plan.ts';
import { createEvidenceKeeper, type EvidenceKeeper } from './evidence/keep-evidence.ts';
import { listByProcess } from './evidence/list-by-process.ts';
import type { ListSnapshots } from './evidence/read-evidence.ts';
import { usageOf } from './evidence/read-usage.ts';
import { commandLines } from './jobs/arguments.ts';
import { type Job, type JobSpec, repositoriesOf } from './jobs/job.ts';
import { createJobRunner } from './jobs/job-runner.ts';
import { readByProcess } from './jobs/read-by-process.ts';
import { recoverJobs, settleLeft } from './jobs/recover-jobs.ts';
import { type Program, runCommands, type Watch } from './jobs/run-job.ts';
import { steadyJobTable } from './jobs/steady-job-table.ts';
import type { AssessmentInputs } from './objectives/assess.ts';
import type { ProjectAssessment } from './objectives/assessment.ts';
import { createAssessor } from './objectives/assessor.ts';
import { createRedactor } from './redact-lines.ts';
import type { Task } from './scheduling/tasks.ts';
import { createAlertTable } from './state/alert-table.ts';
import { createEvidencePages } from './state/evidence-pages.ts';
import { createEvidenceTable } from './state/evidence-table.ts';
import { allLines, createJobTable } from './state/job-table.ts';
import { type AuditLog, createAuditLog, createFacts, createUsageTable, type Facts } from './state/log-tables.ts';
import type { State } from './state/state.ts';

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
  /** Settles what an earlier daemon left, then works until the abort. `onSettled` is called when what was missed is queued. */
  run(signal: AbortSignal, onSettled?: () => void): Promise<void>;
  /** Takes effect at once; jobs that run go on as they began. */
  configure(configuration: Configuration): void;
  /** A configuration was refused, and the old one stays. */
  refuse(message: string): void;
};

/** Other programs and hosts make and forget snapshots too. */
const refreshEveryMs = 15 * 60_000;
/** Whether one of the repositories that could not be reached is to be tried again. */
const lookEveryMs = 60_000;
const upkeepEveryMs = 3_600_000;
const keptJobs = 100;
/** More jobs than that are not asked for by people: all that wait are looked at again and again. */
const mostByHand = 200;
const usageInFullMs = 14 * 86_400_000;
const logsInFullMs = 14 * 86_400_000;

export function createDaemon(options: DaemonOptions): Daemon {
  const { state, clock, program } = options;
  let { configuration } = options;
  let plan = planOf(configuration);
  const failed = (error: unknown) => options.onFailure?.(error);
  const { emit, subscribe } = createListeners(failed);
  const tables = tablesOf(state, emit, failed);
  const { jobs, evidence, usage, auditLog, facts } = tables;
  const now = () => clock.now().getTime();
  const startedMs = now();
  let stopping: AbortSignal | undefined;

  const keeper = createEvidenceKeeper({
    evidence,
    facts,
    list: options.listSnapshots ?? listByProcess(program, options.folder),
    configuration: () => configuration,
    now,
    onFailure: failed,
    onChange: (repository, change) => emit({ event: 'evidence', repository, ...change }),
  });

  const assessor = createAssessor(() => ({ configuration, nowMs: now(), startedMs, evidence, jobs, usage, facts }), options.assess);

  const runner = createJobRunner({
    jobs,
    clock,
    plan: () => plan,
    past: { doneUntilMs: (task, spec) => doneUntilMs(task, spec, { keeper, facts, nowMs: now(), failed }) },
    execute: executor(options, () => configuration),
    redact: createRedactor(program.environment),
    onEnded: ended,
    onChange,
    onLog: (job) => emit({ event: 'job-log', job }),
    onFailure: failed,
  });

  function onChange(job: Job): void {
    emit({ event: 'job', job, progress: runner.progress(job.id) });
  }

  async function ended(job: Job): Promise<void> {
    if (job.spec.kind === 'usage') tryTo(() => usage.add(usageOf(allLines(jobs, job.id), job.endedMs ?? now())), failed);
    else if (job.spec.kind !== 'check' && job.spec.kind !== 'drill' && !stopping?.aborted)
      for (const { name } of repositoriesOf(job.spec)) await keeper.refresh(name);
    await assessAnew();
  }

  async function look(into: () => Promise<unknown>): Promise<void> {
    try {
      if ((await into()) !== false) await assessAnew();
    } catch (error) {
      failed(error);
    }
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
    start(spec, startedBy, priority) {
      requireKnown(spec, configuration);
      requireRoom(jobs.open());
      const { deadlineMs, attempts } = effortOf(spec, configuration);
      return runner.start({ spec, startedBy, priority: priority ?? urgent, deadlineMs, attempts });
    },
    cancel: (job) => runner.cancel(job),
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
      stopping = signal;
      for (const job of await recoverJobs({ jobs, clock, signal })) onChange(job);
      // What is there decides on what is due.
      if (evidence.list().length === 0 && !signal.aborted) await look(keeper.refreshAll);
      const onSettledJob = (job: Job) => {
        onChange(job);
        runner.wake();
      };
      const running = runner.run(signal);
      onSettled?.();
      await Promise.all([
        running,
        every(clock, refreshEveryMs, () => look(keeper.refreshAll), signal),
        every(clock, lookEveryMs, () => look(keeper.refreshUnseen), signal),
        settleLeft({ jobs, clock, snapshotsSince: keeper.since, allVolumes: () => namesOf(configuration), signal }, onSettledJob, failed),
        every(clock, upkeepEveryMs, () => tryTo(() => keepSmall(tables, configuration.daemon.historyMs, now()), failed), signal),
      ]);
    },
    configure(next) {
      configuration = next;
      plan = planOf(next);
      assessor.forget();
      emit({ event: 'configuration', accepted: true, message: `${next.file} is in effect` });
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

/** Until the abort, at once and then every so often. */
async function every(clock: Clock, intervalMs: number, work: () => Promise<void> | void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await work();
    await clock.sleep(intervalMs, signal);
  }
}

function tryTo(work: () => void, onFailure: (error: unknown) => void): void {
  try {
    work();
  } catch (error) {
    onFailure(error);
  }
}

function tablesOf(state: State, emit: (event: ControlEvent) => void, onFailure: (error: unknown) => void) {
  const auditLog = createAuditLog(state);
  return {
    state,
    jobs: steadyJobTable(createJobTable(state), onFailure),
    evidence: createEvidenceTable(state),
    usage: createUsageTable(state),
    auditLog: {
      ...auditLog,
      add(entry: Parameters<AuditLog['add']>[0]) {
        auditLog.add(entry);
        emit({ event: 'audit', entry });
      },
    },
    facts: createFacts(state),
  };
}

/** History doesn't grow without bounds. */
function keepSmall({ state, jobs, auditLog, usage }: ReturnType<typeof tablesOf>, historyMs: number, nowMs: number): void {
  jobs.removeOlder(nowMs - historyMs, keptJobs);
  jobs.removeLogs(nowMs - logsInFullMs);
  auditLog.removeOlder(nowMs - historyMs);
  usage.thin(nowMs - usageInFullMs);
  state.database.exec('PRAGMA incremental_vacuum');
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
  return spec.kind === 'backup' ? keeper.backedUpUntilMs(spec) : knownSinceMs(facts, task.name, nowMs, failed);
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
