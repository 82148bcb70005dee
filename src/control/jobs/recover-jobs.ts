import type { Clock } from '../../model/clock.ts';
import type { SnapshotEvidence } from '../state/evidence-table.ts';
import { allLines, type JobTable } from '../state/job-table.ts';
import { queuedAgain } from './carry-out.ts';
import { type Job, type JobResult, type JobSpec, repositoriesOf } from './job.ts';
import { account, emptyAccount } from './job-events.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';

/**
 * How long what is left of a job has to end soundly: at first by itself, since nobody reads its output any more, then because it is asked to;
 * and how often it is looked at.
 */
const patienceMs = 10_000;
const graceMs = 180_000;
const lookMs = 50;

export type Recovery = {
  jobs: JobTable;
  clock: Clock;
  /** Scheduled and manual snapshots that a repository holds of runs since an instant, read anew; undefined when it cannot be asked. */
  snapshotsSince(repository: string, sinceMs: number): Promise<readonly SnapshotEvidence[] | undefined>;
  /** What a backup that names no volumes is of. */
  allVolumes(): readonly string[];
  /** What is not settled at the abort stays for the next time. */
  signal: AbortSignal;
};

/**
 * Takes back the jobs that were running when the control plane died, before anything else runs. What lives of them is ended: nobody reads its
 * words any more. A job that had done its work by its log counts as done. Any other is queued again, and does not count as an attempt, since
 * it did not fail; but not for ever. A backup may have been done all the same: it is marked as unsettled, and does not begin until
 * `settleJobs` has looked.
 */
export async function recoverJobs({ jobs, clock, signal }: Pick<Recovery, 'jobs' | 'clock' | 'signal'>): Promise<Job[]> {
  const left = jobs.open().filter(({ state }) => state === 'running');
  await Promise.all(left.map(({ process }) => (process === undefined ? undefined : endProcess(process, clock, signal))));
  if (signal.aborted) return [];
  return left.map((job) => {
    const now = takenBack(job, jobs, clock.now().getTime());
    jobs.update(now);
    return now;
  });
}

/**
 * Looks for the snapshots of backups whose end nobody knows: one that had made them counts as done, any other may begin again. Those of a
 * repository that cannot be asked stay as they are, and keep those of others from nothing. `onSettled` is told of each as soon as it is settled.
 */
export async function settleJobs(recovery: Recovery, onSettled: (job: Job) => void): Promise<void> {
  const { jobs, signal } = recovery;
  const left = jobs.open().filter(({ unsettled }) => unsettled !== undefined);
  const settleThese = async (ids: readonly string[]) => {
    for (const id of ids) {
      const job = jobs.get(id);
      if (signal.aborted) return;
      const now = job && (await settle(job, recovery));
      // Meanwhile somebody may have cancelled it.
      if (now === undefined || jobs.get(id)?.state !== 'queued') continue;
      jobs.update(now);
      onSettled(now);
    }
  };
  const byRepository = Map.groupBy(left, ({ spec }) => repositoriesOf(spec)[0]?.name);
  await Promise.all([...byRepository.values()].map((ofOne) => settleThese(ofOne.map(({ id }) => id))));
}

async function endProcess(identity: ProcessIdentity, clock: Clock, signal: AbortSignal): Promise<void> {
  const goneIn = async (mostMs: number) => {
    for (let waitedMs = 0; isAlive(identity) && waitedMs < mostMs && !signal.aborted; waitedMs += lookMs) await clock.sleep(lookMs, signal);
    return !isAlive(identity) || signal.aborted;
  };
  if (await goneIn(patienceMs)) return;
  send(identity.pid, 'SIGTERM');
  if (await goneIn(graceMs)) return;
  // With what it has started: it leads a group.
  send(-identity.pid, 'SIGKILL');
  await goneIn(patienceMs);
}

function send(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch {
    // It has ended meanwhile.
  }
}

/** So often a job may take the control plane along before it is given up. */
const mostLosses = 5;

function takenBack(job: Job, jobs: JobTable, nowMs: number): Job {
  const { exitCode, endedMs, result } = toldBy(job, jobs);
  if (exitCode === 0 || exitCode === 3) return done(job, exitCode, result, endedMs);
  const again: Job = { ...queuedAgain(job, 0), losses: (job.losses ?? 0) + 1 };
  if (job.spec.kind !== 'backup') return unlessTooOften(again, nowMs);
  return { ...again, unsettled: { sinceMs: job.startedMs ?? nowMs, untilMs: nowMs } };
}

const settleEveryMs = 60_000;

/** Settles jobs that were taken back, again and again until nothing is left. */
export async function settleLeft(recovery: Recovery, onSettled: (job: Job) => void, onFailure: (error: unknown) => void): Promise<void> {
  const { jobs, clock, signal } = recovery;
  while (!signal.aborted && jobs.open().some(({ unsettled }) => unsettled !== undefined)) {
    try {
      await settleJobs(recovery, onSettled);
    } catch (error) {
      onFailure(error);
    }
    await clock.sleep(settleEveryMs, signal);
  }
}

/** Undefined: its repository cannot be asked. */
async function settle(job: Job, { jobs, clock, snapshotsSince, allVolumes }: Recovery): Promise<Job | undefined> {
  const { unsettled, ...again } = job;
  if (unsettled === undefined || again.spec.kind !== 'backup') return again;
  const snapshots = await snapshotsSince(again.spec.repository, unsettled.sinceMs);
  if (snapshots === undefined) return undefined;
  const { sinceMs, untilMs } = unsettled;
  // What came later is another job's; unless the clock was put back meanwhile, and nobody knows what is later.
  const its = snapshots.filter(({ timeMs }) => untilMs < sinceMs || timeMs <= untilMs);
  const made = wholeRun(its, again.spec, allVolumes());
  if (made === undefined) return unlessTooOften(again, clock.now().getTime());
  const result = { ...toldBy(job, jobs).result, snapshots: made.map(summaryOf) };
  const endedMs = Math.max(sinceMs, ...made.map(({ timeMs, durationMs }) => timeMs + durationMs));
  return done({ ...again, startedMs: sinceMs }, made.some(({ unreadable }) => unreadable > 0) ? 3 : 0, result, endedMs);
}

const done = (job: Job, exitCode: 0 | 3, result: JobResult, endedMs: number): Job => ({
  ...job,
  state: exitCode === 0 ? 'succeeded' : 'incomplete',
  endedMs,
  process: undefined,
  result,
  exitCode,
  error: undefined,
});

const unlessTooOften = (job: Job, endedMs: number): Job =>
  (job.losses ?? 0) < mostLosses ? job : { ...job, state: 'lost', endedMs, process: undefined };

/** What the log of its last attempt tells, and the exit code, if it had come to its end. */
function toldBy(job: Job, jobs: JobTable): { result: JobResult; exitCode: number | undefined; endedMs: number } {
  let told = emptyAccount();
  let exitCode: number | undefined;
  let endedMs = 0;
  for (const { line, atMs } of allLines(jobs, job.id)) {
    if (line.startsWith('{"event":"run-started"')) [told, exitCode] = [emptyAccount(), undefined];
    account(told, line, atMs);
    exitCode = finishedWith(line) ?? exitCode;
    endedMs = atMs;
  }
  return { result: told.result, exitCode, endedMs };
}

/**
 * The snapshots of a run of this class that has all volumes: a run's are written one after the other when all is stored, so that a killed one
 * may have some. Its name may not have come through before the control plane died; since no two backups of a volume run at a time, one that
 * began after the job did is its.
 */
function wholeRun(
  snapshots: readonly SnapshotEvidence[],
  { volumes, class: wanted }: Extract<JobSpec, { kind: 'backup' }>,
  allVolumes: readonly string[],
): SnapshotEvidence[] | undefined {
  const runs = Map.groupBy(
    snapshots.filter((snapshot) => snapshot.class === wanted),
    ({ run }) => run,
  );
  return [...runs.values()].find((made) => (volumes ?? allVolumes).every((name) => made.some(({ volume }) => volume === name)));
}

function finishedWith(line: string): number | undefined {
  if (!line.startsWith('{"event":"run-finished"')) return undefined;
  return (JSON.parse(line) as { exitCode: number }).exitCode;
}

const summaryOf = ({ volume, id, consistency, unreadable, bytes, files, addedPackedBytes, downtimeMs }: SnapshotEvidence) => ({
  volume,
  id,
  consistency,
  unreadable,
  bytes,
  files,
  addedBytes: addedPackedBytes,
  ...(downtimeMs === undefined ? {} : { downtimeMs }),
});
