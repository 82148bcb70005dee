/** A daemon dies in a backup, and the next one cannot ask the repository what became of it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createDaemon } from '../../src/control/daemon.ts';
import { createJobTable } from '../../src/control/state/job-table.ts';
import { createFacts } from '../../src/control/state/log-tables.ts';
import { openState } from '../../src/control/state/state.ts';
import { scratch } from '../peers.ts';
import { createFakeClock } from './fake-clock.ts';
import { createModelRepository } from './model-repository.ts';
import { aJob, aProject } from './plane.ts';

const [minuteMs, hourMs] = [60_000, 3_600_000];
const beganMs = Date.UTC(2026, 0, 1, 12);
const volumes = ['database', 'uploads'];
const configuration = aProject(volumes, {
  drills: { enabled: false },
  maintenance: { usage: { enabled: false }, check: { enabled: false }, forget: { enabled: false } },
});

/** What an hour without a repository comes to, and what is after it. @param wasDone whether the backup had made its snapshots. */
async function afterAnOutage(t: TestContext, wasDone: boolean) {
  const clock = createFakeClock(beganMs + 2 * minuteMs);
  const state = openState(join(scratch(t), 'state.sqlite'));
  t.after(() => state.close());
  const repository = createModelRepository('shop');
  const backUp = (run: string, fromMs: number) =>
    volumes.forEach((volume) => void repository.backUp({ volume, run, fromMs, untilMs: fromMs + minuteMs, consistency: 'crash' }));
  if (wasDone) backUp('the-run', beganMs);
  const jobs = createJobTable(state);
  const left = { ...aJob({ volumes: [] }), state: 'running' as const, endedMs: undefined, exitCode: undefined, result: undefined };
  jobs.add({ ...left, schedule: 'schedule hourly', dueMs: beganMs, startedMs: beganMs });
  createFacts(state).set('task schedule hourly', { atMs: beganMs });
  let isReachable = false;
  const begun: string[] = [];
  const daemon = createDaemon({
    version: '1',
    configuration,
    state,
    folder: '/nowhere',
    clock,
    program: { command: ['false'], directory: '/', environment: {} },
    async execute(job) {
      begun.push(job.id);
      backUp(job.id, clock.now().getTime());
      return 0;
    },
    async *listSnapshots() {
      if (!isReachable) throw new Error('the storage does not answer');
      for (const { line } of repository.snapshots.values()) yield JSON.stringify(line);
      yield JSON.stringify({ present: [...repository.snapshots.keys()] });
    },
    onFailure: (error) => assert.fail(error as Error),
  });
  const stop = new AbortController();
  const running = daemon.run(stop.signal);
  // Until before the next instant of the schedule.
  await clock.passUntil(beganMs + hourMs / 2);
  const during = { begun: begun.length, state: jobs.get(left.id)?.state, seen: repository.snapshots.size };
  isReachable = true;
  await clock.passUntil(beganMs + hourMs - minuteMs);
  const after = { begun: begun.length, state: jobs.get(left.id)?.state, seen: repository.snapshots.size };
  stop.abort();
  await Promise.all([running, clock.passUntil(beganMs + hourMs)]);
  return { during, after };
}

test('a backup that was done while its daemon died is not made again, however long its repository cannot be asked', async (t) => {
  const { during, after } = await afterAnOutage(t, true);
  assert.deepEqual(during, { begun: 0, state: 'queued', seen: 2 });
  assert.deepEqual(after, { begun: 0, state: 'succeeded', seen: 2 });
});

test('one that was not done is made as soon as its repository has been asked', async (t) => {
  const { during, after } = await afterAnOutage(t, false);
  assert.deepEqual(during, { begun: 0, state: 'queued', seen: 0 });
  assert.deepEqual(after, { begun: 1, state: 'succeeded', seen: 2 });
});
