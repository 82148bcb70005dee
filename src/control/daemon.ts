import type { Clock } from '../model/clock.ts';
import { HoldfastError } from '../model/errors.ts';
import type { Configuration } from './configuration/configuration.ts';
import { defaults } from './configuration/defaults.ts';
import type { ControlEvent, ControlPlane } from './control-plane.ts';
import { createEvidenceKeeper } from './evidence/keep-evidence.ts';
import { listByProcess } from './evidence/list-by-process.ts';
import type { ListSnapshots } from './evidence/read-evidence.ts';
import { usageOf } from './evidence/read-usage.ts';
import { commandLines } from './jobs/arguments.ts';
import { type Job, type JobSpec, repositoriesOf } from './jobs/job.ts';
import { createJobRunner, type RunnerPlan } from './jobs/job-runner.ts';
import { readByProcess } from './jobs/read-by-process.ts';
import { recoverJobs } from './jobs/recover-jobs.ts';
import { type Program, runCommands, type Watch } from './jobs/run-job.ts';
import type { AssessmentInputs } from './objectives/assess.ts';
import type { ProjectAssessment } from './objectives/assessment.ts';
import { createRedactor } from './redact-lines.ts';
import { instantsOf } from './scheduling/instants.ts';
import { quietAt } from './scheduling/quiet-hours.ts';
import { tasksOf } from './scheduling/tasks.ts';
import { createEvidenceTable } from './state/evidence-table.ts';
import { allLines, createJobTable } from './state/job-table.ts';
import { createAuditLog, createFacts, createUsageTable } from './state/log-tables.ts';
import type { State } from './state/state.ts';

export type DaemonOptions = {
  version: string;
  configuration: Configuration;
  state: State;
  /** A folder of its own, for what is short-lived. */
  folder: string;
  clock: Clock;
  program: Program;
  assess(inputs: AssessmentInputs): ProjectAssessment;
  /** Instead of child processes: a test's own. */
  execute?: (job: Job, watch: Watch, signal: AbortSignal) => Promise<number>;
  /** Instead of `holdfast snapshots`: a test's own. */
  listSnapshots?: ListSnapshots;
};

export type Daemon = ControlPlane & {
  /** Settles what an earlier daemon left, then works until the abort. */
  run(signal: AbortSignal): Promise<void>;
  /** Takes effect at once; jobs that run go on as they began. */
  configure(configuration: Configuration): void;
  /** A configuration was refused, and the old one stays. */
  refuse(message: string): void;
};

/** Other programs and hosts make and forget snapshots too. */
const refreshEveryMs = 15 * 60_000;
const upkeepEveryMs = 3_600_000;
/** So long an assessment is good for. */
const assessmentMs = 5_000;
const keptJobs = 100;
const usageInFullMs = 14 * 86_400_000;

export function createDaemon(options: DaemonOptions): Daemon {
  const { state, clock, program } = options;
  let { configuration } = options;
  let plan = planOf(configuration);
  const [jobs, evidence, usage] = [createJobTable(state), createEvidenceTable(state), createUsageTable(state)];
  const [auditLog, facts] = [createAuditLog(state), createFacts(state)];
  const listeners = new Set<(event: ControlEvent) => void>();
  const emit = (event: ControlEvent) => {
    for (const listener of listeners) listener(event);
  };
  const now = () => clock.now().getTime();
  const startedMs = now();
  let assessed: ProjectAssessment | undefined;

  /** What is thought of the project may be another thing now. */
  const changed = (event?: ControlEvent) => {
    assessed = undefined;
    if (event) emit(event);
  };

  const keeper = createEvidenceKeeper({
    evidence,
    facts,
    list: options.listSnapshots ?? listByProcess(program, options.folder),
    configuration: () => configuration,
    now,
    onChange: (repository, change) => changed({ event: 'evidence', repository, ...change }),
  });

  const assess = (): ProjectAssessment => {
    if (assessed !== undefined && now() - assessed.atMs < assessmentMs && now() >= assessed.atMs) return assessed;
    assessed = options.assess({ configuration, nowMs: now(), startedMs, evidence, jobs, usage, facts });
    return assessed;
  };

  const runner = createJobRunner({
    jobs,
    clock,
    plan: () => plan,
    past: { doneUntilMs: (spec) => (spec.kind === 'backup' ? keeper.backedUpUntilMs(spec) : startedMs) },
    execute: options.execute ?? ((job, watch, signal) => runCommands(program, commandLines(job.spec, configuration.daemon), watch, signal)),
    redact: createRedactor(program.environment),
    onEnded: ended,
    onChange: (job) => emit({ event: 'job', job, progress: runner.progress(job.id) }),
    onLog: (job) => emit({ event: 'job-log', job }),
  });

  async function ended(job: Job): Promise<void> {
    if (job.spec.kind === 'usage') usage.add(usageOf(allLines(jobs, job.id), job.endedMs ?? now()));
    else if (job.spec.kind !== 'check' && job.spec.kind !== 'drill')
      for (const { name } of repositoriesOf(job.spec)) await keeper.refresh(name);
    changed();
    emit({ event: 'assessment', assessment: assess() });
  }

  async function refreshAll(): Promise<void> {
    await keeper.refreshAll();
    changed();
    emit({ event: 'assessment', assessment: assess() });
  }

  function upkeep(): void {
    const beforeMs = now() - configuration.daemon.historyMs;
    jobs.removeOlder(beforeMs, keptJobs);
    auditLog.removeOlder(beforeMs);
    usage.thin(now() - usageInFullMs);
    state.database.exec('PRAGMA incremental_vacuum');
  }

  return {
    version: options.version,
    startedMs,
    configuration: () => configuration,
    assess,
    jobs,
    progress: (job) => runner.progress(job),
    start(spec, startedBy, priority) {
      requireKnown(spec, configuration);
      const { deadlineMs, attempts } = effortOf(spec, configuration);
      return runner.start({ spec, startedBy, priority: priority ?? urgent, deadlineMs, attempts });
    },
    cancel: (job) => runner.cancel(job),
    upcoming: () => upcoming(plan, now()),
    evidence,
    usage,
    auditLog,
    facts,
    stateBytes: state.bytes,
    read: (words, signal) => readByProcess(program, words, signal),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async run(signal) {
      const snapshotsOfRun = async (repository: string, run: string) => {
        await keeper.refresh(repository);
        return evidence.page({ repository, run }, { limit: 10_000 });
      };
      for (const job of await recoverJobs({ jobs, clock, snapshotsOfRun })) emit({ event: 'job', job, progress: undefined });
      // What is there decides on what is due.
      if (evidence.list().length === 0) await refreshAll();
      await Promise.all([
        runner.run(signal),
        every(clock, refreshEveryMs, refreshAll, signal),
        every(clock, upkeepEveryMs, upkeep, signal),
      ]);
    },
    configure(next) {
      configuration = next;
      plan = planOf(next);
      changed({ event: 'configuration', accepted: true, message: `${next.file} is in effect` });
      runner.wake();
    },
    refuse: (message) => emit({ event: 'configuration', accepted: false, message }),
  };
}

/** Until the abort, at once and then every so often. */
async function every(clock: Clock, intervalMs: number, work: () => Promise<void> | void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await work();
    await clock.sleep(intervalMs, signal);
  }
}

/** Before all that comes by itself. */
const urgent = 8;

function planOf(configuration: Configuration): RunnerPlan {
  const { quietHours, jobs } = configuration.daemon;
  const mayBegin = (job: Job, nowMs: number): boolean => {
    // What somebody asked for is not kept waiting.
    if (job.schedule === undefined) return true;
    const quiet = quietAt(quietHours, nowMs);
    return quiet === undefined || job.spec.kind === 'usage' || (quiet.backups && job.spec.kind === 'backup');
  };
  return { tasks: tasksOf(configuration), rules: { jobs, mayBegin } };
}

function upcoming({ tasks }: RunnerPlan, nowMs: number): { task: string; spec: JobSpec; dueMs: number }[] {
  return tasks
    .flatMap((task) => {
      const dueMs = instantsOf(task.at).after(nowMs);
      return dueMs === undefined ? [] : [{ task: task.name, spec: task.specAt(dueMs), dueMs }];
    })
    .sort((a, b) => a.dueMs - b.dueMs);
}

/** The deadline and attempts of the like that is scheduled. */
function effortOf(spec: JobSpec, configuration: Configuration): { deadlineMs: number; attempts: number } {
  const like = tasksOf(configuration).find((task) => task.specAt(0).kind === spec.kind);
  return { deadlineMs: like?.deadlineMs ?? 12 * 3_600_000, attempts: like?.attempts ?? defaults.job.attempts };
}

function requireKnown(spec: JobSpec, { volumes, repositories }: Configuration): void {
  const unknownRepository = repositoriesOf(spec).find(({ name }) => !repositories.some((repository) => repository.name === name));
  if (unknownRepository) throw new HoldfastError('usage', `there is no repository ${JSON.stringify(unknownRepository.name)}`);
  const unknownVolume = 'volumes' in spec ? spec.volumes?.find((name) => !volumes.some((volume) => volume.name === name)) : undefined;
  if (unknownVolume !== undefined) throw new HoldfastError('unknown-volume', `there is no volume ${JSON.stringify(unknownVolume)}`);
}
