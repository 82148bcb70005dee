import { randomInt } from 'node:crypto';
import type { Clock } from '../../model/clock.ts';
import { type ErrorDocument, errorDocument, exitCodes, HoldfastError } from '../../model/errors.ts';
import type { JobTable } from '../state/job-table.ts';
import type { Job, JobResult, JobState } from './job.ts';
import { account, isProgress, type JobAccount } from './job-events.ts';
import { createLogBuffer } from './log-buffer.ts';
import type { Watch } from './run-job.ts';

/** A job that runs: how to end it, why it was ended, and what it has told so far. */
export type Underway = { controller: AbortController; account: JobAccount; why: 'cancelled' | 'deadline' | undefined };

export type CarryOutOptions = {
  jobs: JobTable;
  clock: Clock;
  now(): number;
  /** Does a job's work; returns the exit code. Ends soon after the abort. */
  execute(job: Job, watch: Watch, signal: AbortSignal): Promise<number>;
  /** Takes secrets out of a line. */
  redact(line: string): string;
  save(job: Job): void;
  /** Told when an attempt has ended, whatever comes next, and of what it did. Nothing that this does is part of the job. */
  onEnded(job: Job, result: JobResult): void;
  /** Told of its progress. */
  onChange(job: Job): void;
  /** A new line in a job's log. */
  onLog(job: string): void;
};

/** Failures that trying again doesn't mend. */
const lasting: readonly number[] = [exitCodes.usage, exitCodes.noRepository, exitCodes.wrongPassword];

/** Carries a job out to its end, or to its place in the queue for another attempt. */
export async function carryOut(job: Job, entry: Underway, options: CarryOutOptions, stopping: AbortSignal): Promise<void> {
  const { jobs, clock, now, save, redact, onChange } = options;
  let current = job;
  const log = createLogBuffer(jobs, job.id, now, () => options.onLog(job.id));
  const over = new AbortController();
  void elapsed(clock, job.deadlineMs, AbortSignal.any([over.signal, stopping])).then((isElapsed) => {
    if (!isElapsed) return;
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
  let exitCode: number;
  try {
    exitCode = await options.execute(job, watch, AbortSignal.any([entry.controller.signal, stopping]));
  } catch (error) {
    failure = error;
    exitCode = error instanceof HoldfastError ? error.exitCode : exitCodes.failed;
  }
  over.abort();
  log.flush();
  const ended = judge(current, exitCode, entry, stopping.aborted, failure, now());
  save(ended);
  options.onEnded(ended, entry.account.result);
}

/** Timers take no more than 2^31 - 1 ms. */
const longestTimerMs = 86_400_000;

/** Whether the time went by; false as soon as the signal aborts. */
async function elapsed(clock: Clock, durationMs: number, signal: AbortSignal): Promise<boolean> {
  for (let leftMs = durationMs; leftMs > 0 && !signal.aborted; leftMs -= longestTimerMs)
    await clock.sleep(Math.min(leftMs, longestTimerMs), signal);
  return !signal.aborted;
}

/** What has become of a job when its process has ended. */
function judge(job: Job, exitCode: number, { account: told, why }: Underway, stopping: boolean, failure: unknown, nowMs: number): Job {
  const ended: Job = { ...job, process: undefined, exitCode, endedMs: nowMs, result: told.result, error: told.error };
  if (exitCode === exitCodes.done) return { ...ended, state: 'succeeded', error: undefined };
  if (exitCode === exitCodes.incomplete) return { ...ended, state: 'incomplete' };
  if (why === 'cancelled') return { ...ended, state: 'cancelled' };
  if (stopping) return queuedAgain(job, 0);
  if (why === 'deadline') {
    const late = new HoldfastError('deadline', `the job took longer than its deadline allows, and was ended`);
    return { ...ended, state: 'failed', error: errorDocument(late) };
  }
  const found = findingsOf(ended);
  // It has come to its end, and is known at once: to read everything again would tell the same.
  if (found !== undefined && exitCode === exitCodes.failed && ended.error === undefined) return { ...ended, state: 'failed', error: found };
  const error = ended.error ?? errorOf(failure, exitCode);
  if (job.attempt < job.attempts && !lasting.includes(exitCode))
    return { ...queuedAgain(job, 1), notBeforeMs: nowMs + waitBefore(job.attempt + 1), error };
  return { ...ended, state: 'failed', error };
}

function findingsOf({ spec, result }: Job): ErrorDocument | undefined {
  if (spec.kind !== 'check' || result?.findings === undefined) return undefined;
  const found = Object.entries(result.findings).map(([kind, times]) => `${kind} (${times})`);
  return errorDocument(new HoldfastError('damaged', `the repository ${spec.repository} is damaged: ${found.join(', ')}`));
}

function errorOf(failure: unknown, exitCode: number): ErrorDocument {
  if (failure !== undefined) return errorDocument(failure);
  // 128 and SIGKILL, which nothing here sends unasked.
  if (exitCode === 137)
    return errorDocument(
      new HoldfastError('command-failed', "the job's process was killed (SIGKILL), as the kernel does when memory runs out", {
        remedy: "look for `oom` in the kernel's log; give the daemon more memory, or fewer `daemon.jobs` at a time",
      }),
    );
  return errorDocument(new HoldfastError('command-failed', `the job's process ended with ${exitCode} and said nothing of why`));
}

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
