import type { ControlPlane } from '../control-plane.ts';
import type { Job } from '../jobs/job.ts';

/** So many of a schedule's newest jobs are looked at for one that has ended. */
const most = 20;

/** The newest jobs of schedules. They are asked for again when one has changed: history is long, and looks are many. */
export type RecentJobs = {
  /** Of a schedule; without one, jobs that have failed. */
  newest(schedule: string | undefined): readonly Job[];
  /** A job is another one than before. */
  changed(job: Job): void;
};

export function createRecentJobs(jobs: Pick<ControlPlane['jobs'], 'list'>): RecentJobs {
  const known = new Map<string | undefined, readonly Job[]>();
  return {
    newest(schedule) {
      const found = known.get(schedule) ?? jobs.list(schedule === undefined ? { state: 'failed' } : { schedule }, { limit: most });
      known.set(schedule, found);
      return found;
    },
    changed({ schedule }) {
      known.delete(schedule);
      known.delete(undefined);
    },
  };
}
