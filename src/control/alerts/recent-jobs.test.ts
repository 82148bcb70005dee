import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Job, JobState } from '../jobs/job.ts';
import { createRecentJobs } from './recent-jobs.ts';

const job = (number: number, schedule: string | undefined, state: JobState = 'succeeded'): Job =>
  ({ id: String(number).padStart(6, '0'), schedule, state }) as Job;

/** A table of jobs as the daemon has it: the newest first, by schedule or state. */
function tableOf(all: Job[]) {
  const asked: unknown[] = [];
  const list = (filter: { schedule?: string; state?: JobState }, { limit }: { limit: number }) => {
    asked.push(filter);
    const matches = ({ schedule, state }: Job) =>
      (filter.schedule === undefined || schedule === filter.schedule) && (filter.state === undefined || state === filter.state);
    return all
      .filter(matches)
      .sort((a, b) => (a.id < b.id ? 1 : -1))
      .slice(0, limit);
  };
  return { asked, list: list as Parameters<typeof createRecentJobs>[0]['list'] };
}

test('what has changed is known without asking again, the newest first', () => {
  const all = [job(1, 'hourly'), job(2, 'hourly'), job(3, 'nightly')];
  const table = tableOf(all);
  const recent = createRecentJobs(table);
  const ids = (schedule: string) => recent.newest(schedule).map(({ id, state }) => `${Number(id)} ${state}`);
  assert.deepEqual(ids('hourly'), ['2 succeeded', '1 succeeded']);
  recent.changed(job(4, 'hourly', 'running'));
  recent.changed(job(4, 'hourly', 'failed'));
  recent.changed(job(2, 'hourly', 'lost'));
  assert.deepEqual(ids('hourly'), ['4 failed', '2 lost', '1 succeeded']);
  assert.equal(table.asked.length, 1);
  // Of one that nobody has asked for, the table has what has changed.
  all.push(job(5, 'nightly'));
  recent.changed(job(5, 'nightly'));
  assert.deepEqual(ids('nightly'), ['5 succeeded', '3 succeeded']);
  for (let i = 10; i < 1_000; i++) recent.changed(job(i, 'hourly'));
  assert.equal(ids('hourly').length, 20);
});

test('what somebody asked for and failed is found below the failures of schedules, also when it is given up as lost', () => {
  const scheduled = Array.from({ length: 100 }, (_, i) => job(100 + i, 'hourly', 'failed'));
  const recent = createRecentJobs(tableOf([job(1, undefined, 'failed'), job(2, undefined, 'lost'), job(3, undefined), ...scheduled]));
  const ids = () => recent.newest(undefined).map(({ id }) => Number(id));
  assert.deepEqual(ids(), [2, 1]);
  for (let i = 0; i < 100; i++) recent.changed(job(200 + i, 'hourly', 'failed'));
  recent.changed(job(300, undefined, 'running'));
  assert.deepEqual(ids(), [2, 1]);
  recent.changed(job(300, undefined, 'failed'));
  assert.deepEqual(ids(), [300, 2, 1]);
});
