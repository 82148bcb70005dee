import type { ControlPlane } from '../control-plane.ts';
import type { Job } from '../jobs/job.ts';

/** So many of a schedule's newest jobs are looked at for one that has ended. */
const mostOfSchedule = 20;
/** So many that somebody asked for and that failed. */
const mostFailed = 200;

/** The newest jobs first, of schedules and of people. They are read once and kept up to date: history is long, and looks are many. */
export type RecentJobs = {
  /** Of a schedule; without one, jobs that somebody asked for and that have failed for good. */
  newest(schedule: string | undefined): readonly Job[];
  /** A job is new, or another one than before. */
  changed(job: Job): void;
};

export function createRecentJobs(jobs: Pick<ControlPlane['jobs'], 'list'>): RecentJobs {
  const known = new Map<string | undefined, Job[]>();
  const read = (schedule: string | undefined): Job[] =>
    schedule === undefined
      ? failures.flatMap((state) => jobs.list({ state }, { limit: mostFailed })).filter((job) => job.schedule === undefined)
      : jobs.list({ schedule }, { limit: mostOfSchedule });
  const keep = (schedule: string | undefined, all: Job[]): Job[] => {
    const newest = all.sort(byAge).slice(0, schedule === undefined ? mostFailed : mostOfSchedule);
    known.set(schedule, newest);
    return newest;
  };
  return {
    newest: (schedule) => known.get(schedule) ?? keep(schedule, read(schedule)),
    changed(job) {
      const { id, schedule, state } = job;
      const before = known.get(schedule);
      if (before === undefined) return;
      const others = before.filter((other) => other.id !== id);
      keep(schedule, schedule !== undefined || failures.some((one) => one === state) ? [...others, job] : others);
    },
  };
}

const failures = ['failed', 'lost'] as const;

/** Ids sort by the time of their making. */
const byAge = (a: Job, b: Job): number => (a.id < b.id ? 1 : -1);
