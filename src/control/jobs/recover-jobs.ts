import type { Clock } from '../../model/clock.ts';
import type { SnapshotEvidence } from '../state/evidence-table.ts';
import { allLines, type JobTable } from '../state/job-table.ts';
import type { Job, JobResult } from './job.ts';
import { account, emptyAccount } from './job-events.ts';
import { queuedAgain } from './job-runner.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';

/** How long what is left of a job has to end soundly, and how often it is looked at. */
const graceMs = 180_000;
const lookMs = 100;

export type Recovery = {
  jobs: JobTable;
  clock: Clock;
  /** What the repository holds of a run, read anew. */
  snapshotsOfRun(repository: string, run: string): Promise<readonly SnapshotEvidence[]>;
};

/**
 * Settles the jobs that were running when the control plane died, before anything else runs. What lives of them is ended: nobody reads its
 * words any more. A job that had done its work counts as done, by its log or by the snapshots of its run; any other is queued again,
 * and does not count as an attempt, since it did not fail; but not for ever.
 */
export async function recoverJobs(recovery: Recovery): Promise<Job[]> {
  const left = recovery.jobs.open().filter(({ state }) => state === 'running');
  await Promise.all(left.map(({ process }) => (process === undefined ? undefined : endProcess(process, recovery.clock))));
  const settled: Job[] = [];
  for (const job of left) {
    const now = await settle(job, recovery);
    recovery.jobs.update(now);
    settled.push(now);
  }
  return settled;
}

async function endProcess(identity: ProcessIdentity, clock: Clock): Promise<void> {
  const send = (signal: NodeJS.Signals) => {
    try {
      if (isAlive(identity)) process.kill(identity.pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  };
  send('SIGTERM');
  for (let waitedMs = 0; isAlive(identity) && waitedMs < graceMs; waitedMs += lookMs) await clock.sleep(lookMs);
  send('SIGKILL');
}

/** So often a job may take the control plane along before it is given up. */
const mostLosses = 5;

async function settle(job: Job, { jobs, clock, snapshotsOfRun }: Recovery): Promise<Job> {
  const told = emptyAccount();
  let exitCode: number | undefined;
  for (const { line, atMs } of allLines(jobs, job.id)) {
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
  if (job.spec.kind === 'backup' && told.run !== undefined) {
    const made = await snapshotsOfRun(job.spec.repository, told.run);
    // Snapshots are written when all is stored: all of a run, or, for an instant, some.
    if (made.length > 0 && (job.spec.volumes ?? []).every((volume) => made.some((snapshot) => snapshot.volume === volume)))
      return done(made.some(({ unreadable }) => unreadable > 0) ? 'incomplete' : 'succeeded', {
        ...told.result,
        snapshots: made.map(summaryOf),
      });
  }
  const losses = (job.losses ?? 0) + 1;
  if (losses >= mostLosses) return { ...job, state: 'lost', endedMs, process: undefined, losses };
  return { ...queuedAgain(job, 0), losses };
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
