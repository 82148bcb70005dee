import { isOver, type Job, type JobResult } from '../jobs/job.ts';
import type { JobTable } from '../state/job-table.ts';
import { kept } from './kept.ts';

/** What the last jobs tell, by volume and by repository. Jobs are newest first, as they are listed. Lists that tell the same are the same. */
export type JobHistory = {
  /** Backups of a volume that have ended, save those that somebody cancelled; without the snapshots that they made. */
  backupsOf(volume: string): readonly Job[];
  /** The backup that is queued or runs. */
  openBackupOf(volume: string): Job | undefined;
  drillsOf(volume: string): readonly Drill[];
  checksOf(repository: string): readonly Job[];
  lastForgetMs(repository: string): number | undefined;
  /** The last that succeeded. */
  lastCopyMs(from: string, to: string): number | undefined;
};

export type Drill = NonNullable<JobResult['drilled']>[number] & { atMs: number };

export type JobSource = Pick<JobTable, 'open' | 'states' | 'get' | 'lastEnded'>;

/** So many of each kind and schedule are looked at. */
const lasts = {
  /** Enough for a trend; each may tell of a thousand volumes. */
  backup: 12,
  drill: 12,
  /** All parts of what is read in a month, hour by hour: what each part's last check found counts. */
  check: 750,
  copy: 24,
} as const;
type Kind = keyof typeof lasts;

/**
 * Returns what reads the history as it is. What has ended does not change, and is read once.
 * @param volumes of the configuration: those that jobs without names mean.
 */
export function createHistoryReader(jobs: JobSource, volumes: readonly string[]): () => JobHistory {
  const endedOf = { backup: endedReader(jobs, 'backup'), drill: endedReader(jobs, 'drill'), check: endedReader(jobs, 'check') };
  const copiesOf = endedReader(jobs, 'copy');
  const backupsOf = whenChanged((ended) => byVolume(ended, volumes));
  const drillsOf = whenChanged(drillsByVolume);
  const checksOf = whenChanged((ended) => Map.groupBy(ended, ({ spec }) => (spec.kind === 'check' ? spec.repository : '')));
  return () => {
    const [backups, drills, checks] = [backupsOf(endedOf.backup()), drillsOf(endedOf.drill()), checksOf(endedOf.check())];
    const copies = copiesOf();
    const open = byVolume(
      jobs.open().filter(({ spec }) => spec.kind === 'backup'),
      volumes,
    );
    return {
      backupsOf: (volume) => backups.get(volume) ?? nothing,
      openBackupOf: (volume) => open.get(volume)?.[0],
      drillsOf: (volume) => drills.get(volume) ?? nothing,
      checksOf: (repository) => checks.get(repository) ?? nothing,
      lastForgetMs: (repository) =>
        jobs.lastEnded('forget', ['succeeded'], ({ spec }) => spec.kind === 'forget' && spec.repository === repository)?.endedMs,
      lastCopyMs: (from, to) =>
        copies.find(({ spec, state }) => state === 'succeeded' && spec.kind === 'copy' && spec.from === from && spec.to === to)?.endedMs,
    };
  };
}

const nothing: readonly never[] = [];

function endedReader(jobs: JobSource, kind: Kind): () => readonly Job[] {
  let known = new Map<string, Job>();
  return () => {
    const ended: Job[] = [];
    for (const { id, state } of jobs.states(kind, lasts[kind])) {
      if (!isOver(state) || state === 'cancelled') continue;
      const job = known.get(id) ?? jobs.get(id);
      if (job?.endedMs !== undefined) ended.push(known.has(id) ? job : withoutSnapshots(job));
    }
    known = new Map(ended.map((job) => [job.id, job]));
    return ended;
  };
}

/** They are known by the repositories, and are most of what there is to remember. */
const withoutSnapshots = (job: Job): Job => (job.result === undefined ? job : { ...job, result: { ...job.result, snapshots: [] } });

/** Makes something of jobs, anew only when they are others. */
function whenChanged<Value>(make: (jobs: readonly Job[]) => Value): (jobs: readonly Job[]) => Value {
  const value = kept<Value>();
  return (jobs) => value(jobs, () => make(jobs));
}

function byVolume(jobs: readonly Job[], volumes: readonly string[]): Map<string, Job[]> {
  const found = new Map<string, Job[]>();
  for (const job of jobs) {
    const named = job.spec.kind === 'backup' ? job.spec.volumes : undefined;
    for (const volume of named ?? volumes) push(found, volume, job);
  }
  return found;
}

function drillsByVolume(jobs: readonly Job[]): Map<string, Drill[]> {
  const drills = new Map<string, Drill[]>();
  for (const job of jobs)
    for (const drilled of job.result?.drilled ?? []) push(drills, drilled.volume, { ...drilled, atMs: job.endedMs as number });
  return drills;
}

function push<Value>(into: Map<string, Value[]>, key: string, value: Value): void {
  const values = into.get(key);
  if (values === undefined) into.set(key, [value]);
  else values.push(value);
}
