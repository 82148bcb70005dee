import { randomBytes, randomInt } from 'node:crypto';
import type { Clock } from '../../model/clock.ts';
import { type ErrorDocument, errorDocument, exitCodes, HoldfastError } from '../../model/errors.ts';
import type { Effort } from '../configuration/configuration.ts';
import { createScheduler, type Past } from '../scheduling/scheduler.ts';
import type { Task } from '../scheduling/tasks.ts';
import type { JobTable } from '../state/job-table.ts';
import type { Job, JobProgress, JobSpec, JobState } from './job.ts';
import { account, emptyAccount, isProgress, type JobAccount } from './job-events.ts';
import { createLogBuffer } from './log-buffer.ts';
import { chooseJobs, type QueueRules } from './queue.ts';
import type { Watch } from './run-job.ts';

/** What may change while the runner runs: a new configuration takes effect at the next look. */
export type RunnerPlan = { tasks: readonly Task[]; rules: QueueRules };

export type JobRunnerOptions = {
  jobs: JobTable;
  clock: Clock;
  plan(): RunnerPlan;
  past: Pick<Past, 'doneUntilMs'>;
  /** Does a job's work; returns the exit code. Ends soon after the abort. */
  execute(job: Job, watch: Watch, signal: AbortSignal): Promise<number>;
  /** Takes secrets out of a line. */
  redact(line: string): string;
  /** Told when a job has ended for good, before the next one begins. */
  onEnded(job: Job): Promise<void>;
  /** Told of every change of a job, and of its progress. */
  onChange(job: Job): void;
  /** A new line in a job's log. */
  onLog(job: string): void;
};

export type JobRequest = Pick<Effort, 'priority' | 'deadlineMs' | 'attempts'> & { spec: JobSpec; startedBy: string };

export type JobRunner = {
  /** Makes jobs when they are due, and carries them out, until the abort; then what runs is ended soundly, and queued again. */
  run(signal: AbortSignal): Promise<void>;
  /** Queues a job that somebody asks for. */
  start(request: JobRequest): Job;
  /** Ends a job, or takes it out of the queue; undefined when there is no such job. What is over stays as it is. */
  cancel(id: string): Job | undefined;
  progress(id: string): JobProgress | undefined;
  /** Looks at once at what is due. */
  wake(): void;
};

/** Clocks are put right, hosts sleep: it is looked at least so often. */
const longestSleepMs = 60_000;
/** Failures that trying again doesn't mend. */
const lasting: readonly number[] = [exitCodes.usage, exitCodes.noRepository, exitCodes.wrongPassword];

type Running = { controller: AbortController; account: JobAccount; why: 'cancelled' | 'deadline' | undefined; done: Promise<void> };

export function createJobRunner(options: JobRunnerOptions): JobRunner {
  const { jobs, clock, plan, redact, onChange } = options;
  const running = new Map<string, Running>();
  let wakeUp = () => {};
  let looked = { tasks: plan().tasks, scheduler: createScheduler(plan().tasks) };

  const now = () => clock.now().getTime();
  const save = (job: Job) => {
    jobs.update(job);
    onChange(job);
  };

  function makeDueJobs(): void {
    const { tasks } = plan();
    if (tasks !== looked.tasks) looked = { tasks, scheduler: createScheduler(tasks) };
    const nowMs = now();
    const past: Past = { ...options.past, lastDueMs: (task) => jobs.lastDueMs(task, nowMs) };
    for (const { task, spec, dueMs, notBeforeMs } of looked.scheduler.due(nowMs, jobs.open(), past)) {
      const job = newJob({ spec, startedBy: 'schedule', ...task }, nowMs, { schedule: task.name, dueMs, notBeforeMs });
      if (jobs.add(job)) onChange(job);
    }
  }

  function beginJobs(stopping: AbortSignal): void {
    for (const job of chooseJobs(jobs.open(), now(), plan().rules)) {
      const begun: Job = { ...job, state: 'running', startedMs: now() };
      save(begun);
      const entry: Running = { controller: new AbortController(), account: emptyAccount(), why: undefined, done: Promise.resolve() };
      running.set(job.id, entry);
      entry.done = carryOut(begun, entry, stopping).finally(() => {
        running.delete(job.id);
        wakeUp();
      });
    }
  }

  async function carryOut(job: Job, entry: Running, stopping: AbortSignal): Promise<void> {
    let current = job;
    const log = createLogBuffer(jobs, job.id, now, () => options.onLog(job.id));
    const deadline = new AbortController();
    void clock.sleep(job.deadlineMs, AbortSignal.any([deadline.signal, stopping])).then(() => {
      if (deadline.signal.aborted || stopping.aborted) return;
      entry.why ??= 'deadline';
      entry.controller.abort();
    });
    const watch: Watch = {
      onStart: (process) => {
        current = { ...current, process };
        save(current);
      },
      onLine: (text) => {
        const line = redact(text);
        account(entry.account, line, now());
        if (isProgress(line)) onChange(current);
        else log.add(line);
      },
    };
    let failure: unknown;
    const exitCode = await options.execute(job, watch, AbortSignal.any([entry.controller.signal, stopping])).catch((error: unknown) => {
      failure = error;
      return exitCodes.failed;
    });
    deadline.abort();
    log.flush();
    const ended = judge(current, exitCode, entry, stopping.aborted, failure, now());
    save(ended);
    if (ended.state !== 'queued') await options.onEnded(ended);
  }

  async function sleep(signal: AbortSignal): Promise<void> {
    const nowMs = now();
    const soon = jobs.open().flatMap(({ state, notBeforeMs }) => (state === 'queued' && notBeforeMs > nowMs ? [notBeforeMs - nowMs] : []));
    const nextMs = looked.scheduler.nextMs(nowMs);
    const waitMs = Math.min(longestSleepMs, ...soon, ...(nextMs === undefined ? [] : [nextMs - nowMs]));
    const woken = new AbortController();
    wakeUp = () => woken.abort();
    await clock.sleep(Math.max(1, waitMs), AbortSignal.any([signal, woken.signal]));
    wakeUp = () => {};
  }

  return {
    async run(signal) {
      while (!signal.aborted) {
        makeDueJobs();
        beginJobs(signal);
        await sleep(signal);
      }
      await Promise.allSettled([...running.values()].map(({ done }) => done));
    },
    start(request) {
      const nowMs = now();
      const job = newJob(request, nowMs, { schedule: undefined, dueMs: undefined, notBeforeMs: nowMs });
      jobs.add(job);
      onChange(job);
      wakeUp();
      return job;
    },
    cancel(id) {
      const job = jobs.get(id);
      const entry = running.get(id);
      if (entry !== undefined) {
        entry.why ??= 'cancelled';
        entry.controller.abort();
      } else if (job?.state === 'queued') save({ ...job, state: 'cancelled', endedMs: now() });
      return jobs.get(id);
    },
    progress: (id) => running.get(id)?.account.progress,
    wake: () => wakeUp(),
  };
}

/** Ids sort by time, as those of runs do. */
function newJob(request: JobRequest, nowMs: number, when: Pick<Job, 'schedule' | 'dueMs' | 'notBeforeMs'>): Job {
  const { spec, startedBy, priority, deadlineMs, attempts } = request;
  return {
    id: `${new Date(nowMs).toISOString().replace(/[-:.]/g, '')}-${randomBytes(4).toString('hex')}`,
    spec,
    startedBy,
    priority,
    deadlineMs,
    attempts,
    ...when,
    state: 'queued',
    queuedMs: nowMs,
    attempt: 1,
    startedMs: undefined,
    endedMs: undefined,
    process: undefined,
    exitCode: undefined,
    error: undefined,
    result: undefined,
  };
}

/** What has become of a job when its process has ended. */
function judge(job: Job, exitCode: number, { account: told, why }: Running, stopping: boolean, failure: unknown, nowMs: number): Job {
  const ended: Job = { ...job, process: undefined, exitCode, endedMs: nowMs, result: told.result, error: told.error };
  if (exitCode === exitCodes.done) return { ...ended, state: 'succeeded', error: undefined };
  if (exitCode === exitCodes.incomplete) return { ...ended, state: 'incomplete' };
  if (why === 'cancelled') return { ...ended, state: 'cancelled' };
  if (stopping) return queuedAgain(job, 0);
  if (why === 'deadline') {
    const late = new HoldfastError('deadline', `the job took longer than its deadline allows, and was ended`);
    return { ...ended, state: 'failed', error: errorDocument(late) };
  }
  if (job.attempt < job.attempts && !lasting.includes(exitCode))
    return { ...queuedAgain(job, 1), notBeforeMs: nowMs + waitBefore(job.attempt + 1) };
  return { ...ended, state: 'failed', error: ended.error ?? errorOf(failure, exitCode) };
}

const errorOf = (failure: unknown, exitCode: number): ErrorDocument =>
  errorDocument(failure ?? new HoldfastError('command-failed', `the job's process ended with ${exitCode} and said nothing of why`));

/** As it was before it began. */
export const queuedAgain = (job: Job, moreAttempts: number): Job => ({
  ...job,
  state: 'queued' satisfies JobState,
  attempt: job.attempt + moreAttempts,
  startedMs: undefined,
  process: undefined,
});

/** 1, 4, 16 and then 30 minutes, and up to a fifth more, in milliseconds. */
const waitBefore = (attempt: number): number => Math.min(30, 4 ** (attempt - 2)) * (60_000 + randomInt(12_000));
