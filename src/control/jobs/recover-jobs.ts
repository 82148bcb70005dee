import type { Clock } from '../../model/clock.ts';
import type { SnapshotEvidence } from '../state/evidence-table.ts';
import { allLines, type JobTable } from '../state/job-table.ts';
import { queuedAgain } from './carry-out.ts';
import type { Job, JobResult, JobSpec } from './job.ts';
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
  /** Scheduled and manual snapshots that a repository holds of runs since an instant, read anew. */
  snapshotsSince(repository: string, sinceMs: number): Promise<readonly SnapshotEvidence[]>;
  /** What a backup that names no volumes is of. */
  allVolumes: readonly string[];
  /** What is not settled at the abort stays for the next time. */
  signal: AbortSignal;
};

/**
 * Settles the jobs that were running when the control plane died, before anything else runs. What lives of them is ended: nobody reads its
 * words any more. A job that had done its work counts as done, by its log or by the snapshots of its run; any other is queued again,
 * and does not count as an attempt, since it did not fail; but not for ever.
 */
export async function recoverJobs(recovery: Recovery): Promise<Job[]> {
  const { jobs, clock, signal } = recovery;
  const left = jobs.open().filter(({ state }) => state === 'running');
  await Promise.all(left.map(({ process }) => (process === undefined ? undefined : endProcess(process, clock, signal))));
  const settled: Job[] = [];
  for (const job of left) {
    if (signal.aborted) break;
    const now = await settle(job, recovery);
    jobs.update(now);
    settled.push(now);
  }
  return settled;
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

async function settle(job: Job, { jobs, clock, snapshotsSince, allVolumes }: Recovery): Promise<Job> {
  let told = emptyAccount();
  let exitCode: number | undefined;
  for (const { line, atMs } of allLines(jobs, job.id)) {
    // Of several attempts, the last counts.
    if (line.startsWith('{"event":"run-started"')) [told, exitCode] = [emptyAccount(), undefined];
    account(told, line, atMs);
    exitCode = finishedWith(line) ?? exitCode;
  }
  const endedMs = clock.now().getTime();
  const done = (state: 'succeeded' | 'incomplete', result: JobResult): Job => ({
    ...job,
    state,
    endedMs,
    process: undefined,
    result,
    exitCode: state === 'succeeded' ? 0 : 3,
  });
  if (exitCode === 0 || exitCode === 3) return done(exitCode === 0 ? 'succeeded' : 'incomplete', told.result);
  if (job.spec.kind === 'backup') {
    const made = wholeRun(await snapshotsSince(job.spec.repository, job.startedMs ?? endedMs), job.spec, allVolumes);
    if (made !== undefined)
      return done(made.some(({ unreadable }) => unreadable > 0) ? 'incomplete' : 'succeeded', {
        ...told.result,
        snapshots: made.map(summaryOf),
      });
  }
  const losses = (job.losses ?? 0) + 1;
  if (losses >= mostLosses) return { ...job, state: 'lost', endedMs, process: undefined, losses };
  return { ...queuedAgain(job, 0), losses };
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
