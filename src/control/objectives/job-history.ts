import type { Job, JobResult } from '../jobs/job.ts';
import type { JobTable } from '../state/job-table.ts';

/** What the last jobs tell, by volume and by repository. Jobs are newest first, as they are listed. */
export type JobHistory = {
  /** Backups of a volume that have ended, save those that somebody cancelled. */
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

/** Enough for a trend; each may tell of a thousand volumes. */
const lastBackups = 24;
const lastDrills = 12;
/** All parts of what is read in a month, and the repositories beside it. */
const lastChecks = 100;
const lastCopies = 24;

/** @param volumes of the configuration: those that jobs without names mean. */
export function jobHistory(jobs: Pick<JobTable, 'open' | 'list' | 'lastEnded'>, volumes: readonly string[]): JobHistory {
  const ended = (kind: 'backup' | 'drill' | 'check' | 'copy', limit: number) =>
    jobs.list({ kind }, { limit }).filter(({ endedMs, state }) => endedMs !== undefined && state !== 'cancelled' && state !== 'queued');
  const backups = byVolume(ended('backup', lastBackups), volumes);
  const open = byVolume(
    jobs.open().filter(({ spec }) => spec.kind === 'backup'),
    volumes,
  );
  const drills = new Map<string, Drill[]>();
  for (const job of ended('drill', lastDrills))
    for (const drilled of job.result?.drilled ?? []) push(drills, drilled.volume, { ...drilled, atMs: job.endedMs as number });
  const checks = Map.groupBy(ended('check', lastChecks), ({ spec }) => (spec.kind === 'check' ? spec.repository : ''));
  const copies = ended('copy', lastCopies);
  return {
    backupsOf: (volume) => backups.get(volume) ?? [],
    openBackupOf: (volume) => open.get(volume)?.[0],
    drillsOf: (volume) => drills.get(volume) ?? [],
    checksOf: (repository) => checks.get(repository) ?? [],
    lastForgetMs: (repository) =>
      jobs.lastEnded('forget', ['succeeded'], ({ spec }) => spec.kind === 'forget' && spec.repository === repository)?.endedMs,
    lastCopyMs: (from, to) =>
      copies.find(({ spec, state }) => state === 'succeeded' && spec.kind === 'copy' && spec.from === from && spec.to === to)?.endedMs,
  };
}

function byVolume(jobs: readonly Job[], volumes: readonly string[]): Map<string, Job[]> {
  const found = new Map<string, Job[]>();
  for (const job of jobs) {
    const named = job.spec.kind === 'backup' ? job.spec.volumes : undefined;
    for (const volume of named ?? volumes) push(found, volume, job);
  }
  return found;
}

function push<Value>(into: Map<string, Value[]>, key: string, value: Value): void {
  const values = into.get(key);
  if (values === undefined) into.set(key, [value]);
  else values.push(value);
}
