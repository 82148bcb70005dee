import { randomBytes } from 'node:crypto';
import type { Effort } from '../configuration/configuration.ts';
import { createScheduler, type Past } from '../scheduling/scheduler.ts';
import type { Task } from '../scheduling/tasks.ts';
import { type CarryOutOptions, carryOut, type Underway } from './carry-out.ts';
import type { Job, JobProgress, JobResult, JobSpec } from './job.ts';
import { emptyAccount } from './job-events.ts';
import { chooseJobs, type QueueRules } from './queue.ts';

/** What may change while the runner runs: a new configuration takes effect at the next look. */
export type RunnerPlan = { tasks: readonly Task[]; rules: QueueRules };

export type JobRunnerOptions = Omit<CarryOutOptions, 'now' | 'save' | 'onEnded'> & {
  plan(): RunnerPlan;
  past: Pick<Past, 'doneUntilMs'>;
  /** Told when an attempt has ended, whatever comes next, and of what it did. No job waits for that; the runner ends after it. */
  onEnded(job: Job, result: JobResult): Promise<void>;
  /** What should not have failed: it concerns no job. */
  onFailure(error: unknown): void;
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
/** Clocks are put right by so much without anybody having been wrong. */
const slightMs = 10 * 60_000;
type Running = Underway & { done: Promise<void> };

export function createJobRunner(options: JobRunnerOptions): JobRunner {
  const { jobs, clock, plan, onChange } = options;
  const running = new Map<string, Running>();
  /** What is done after attempts. */
  const afterwards = new Set<Promise<void>>();
  let wakeUp = () => {};
  let lookedMs = Number.NEGATIVE_INFINITY;
  let looked = { tasks: plan().tasks, scheduler: createScheduler(plan().tasks) };

  const now = () => clock.now().getTime();
  const save = (job: Job) => {
    jobs.update(job);
    onChange(job);
  };

  function onEnded(job: Job, result: JobResult): void {
    const work = options
      .onEnded(job, result)
      .catch(options.onFailure)
      .finally(() => afterwards.delete(work));
    afterwards.add(work);
  }

  function makeDueJobs(nowMs: number): void {
    const { tasks } = plan();
    if (tasks !== looked.tasks) {
      looked = { tasks, scheduler: createScheduler(tasks) };
      dropForeign(tasks);
    }
    const past: Past = { ...options.past, lastDueMs: (task) => jobs.lastDueMs(task, nowMs) };
    for (const { task, spec, dueMs, notBeforeMs } of looked.scheduler.due(nowMs, jobs.open(), past)) {
      const job = newJob({ spec, startedBy: 'schedule', ...task }, nowMs, { schedule: task.name, dueMs, notBeforeMs });
      if (jobs.add(job)) onChange(job);
    }
  }

  /** What waits for a schedule that is not there any more is not done. */
  function dropForeign(tasks: readonly Task[]): void {
    const names = new Set(tasks.map(({ name }) => name));
    for (const job of jobs.open())
      if (job.state === 'queued' && job.schedule !== undefined && !names.has(job.schedule))
        save({ ...job, state: 'cancelled', endedMs: now() });
  }

  /** When the clock is put back, waits don't become longer. */
  function followClock(nowMs: number): void {
    const backMs = lookedMs - nowMs;
    lookedMs = nowMs;
    if (backMs <= 0) return;
    if (backMs > slightMs) jobs.freeInstants(nowMs + slightMs);
    for (const job of jobs.open())
      if (job.state === 'queued' && job.notBeforeMs > nowMs) save({ ...job, notBeforeMs: Math.max(nowMs, job.notBeforeMs - backMs) });
  }

  /** What an earlier time queued by a clock that was ahead does not wait until then. */
  function forgetFuture(nowMs: number): void {
    jobs.freeInstants(nowMs + slightMs);
    for (const job of jobs.open())
      if (job.state === 'queued' && job.queuedMs > nowMs && job.notBeforeMs > nowMs) save({ ...job, notBeforeMs: nowMs });
  }

  function beginJobs(stopping: AbortSignal): void {
    for (const job of chooseJobs(jobs.open(), now(), plan().rules)) {
      const begun: Job = { ...job, state: 'running', startedMs: now() };
      const entry: Running = { controller: new AbortController(), account: emptyAccount(), why: undefined, done: Promise.resolve() };
      running.set(job.id, entry);
      save(begun);
      entry.done = carryOut(begun, entry, { ...options, now, save, onEnded }, stopping)
        .catch(options.onFailure)
        .finally(() => {
          running.delete(job.id);
          wakeUp();
        });
    }
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
      // What the last plan of an earlier time had, this one may not have.
      dropForeign(looked.tasks);
      forgetFuture(now());
      while (!signal.aborted) {
        const nowMs = now();
        followClock(nowMs);
        makeDueJobs(nowMs);
        beginJobs(signal);
        await sleep(signal);
      }
      await Promise.allSettled([...running.values()].map(({ done }) => done));
      await Promise.allSettled(afterwards);
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
