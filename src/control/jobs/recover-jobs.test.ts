import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { createFakeClock } from '../../../test/control/fake-clock.ts';
import type { SnapshotEvidence } from '../state/evidence-table.ts';
import { createJobTable } from '../state/job-table.ts';
import { openState } from '../state/state.ts';
import type { Job } from './job.ts';
import { identityOf } from './process-identity.ts';
import { chooseJobs } from './queue.ts';
import { recoverJobs, settleJobs } from './recover-jobs.ts';

const left: Job = {
  id: 'j',
  spec: { kind: 'backup', repository: 'local', class: 'scheduled' },
  state: 'running',
  priority: 5,
  schedule: 'hourly',
  dueMs: 0,
  startedBy: 'schedule',
  queuedMs: 0,
  notBeforeMs: 0,
  deadlineMs: 1,
  startedMs: 1_000,
  endedMs: undefined,
  attempt: 2,
  attempts: 3,
  process: undefined,
  exitCode: undefined,
  error: undefined,
  result: undefined,
};
const made = (volume: string, run = 'r', more: Partial<SnapshotEvidence> = {}) =>
  ({
    volume,
    run,
    class: 'scheduled',
    unreadable: 0,
    id: `${run} ${volume}`,
    timeMs: 2_000,
    durationMs: 1_500,
    ...more,
  }) as SnapshotEvidence;

/** A job that was left with a log, taken back at 5,000 ms. */
async function takenBack(lines: readonly object[], more: Partial<Job> = {}) {
  const state = openState(':memory:');
  const jobs = createJobTable(state);
  jobs.add({ ...left, ...more });
  jobs.log(
    'j',
    lines.map((line) => ({ atMs: 4_000, line: JSON.stringify(line) })),
  );
  const clock = createFakeClock(5_000);
  const { signal } = new AbortController();
  const [job] = await recoverJobs({ jobs, clock, signal });
  const settle = async (snapshots: readonly SnapshotEvidence[] | undefined) => {
    clock.set(9_000);
    const snapshotsSince = async (_: string, sinceMs: number) => {
      assert.equal(sinceMs, 1_000);
      return snapshots;
    };
    const told: Job[] = [];
    await settleJobs({ jobs, clock, snapshotsSince, allVolumes: () => ['one', 'two'], signal }, (job) => told.push(job));
    return told;
  };
  return { state, jobs, job: job as Job, settle };
}

/** What becomes of it, with snapshots since it began. */
async function settled(lines: readonly object[], snapshots: readonly SnapshotEvidence[], more: Partial<Job> = {}): Promise<Job> {
  const { state, jobs, job, settle } = await takenBack(lines, more);
  const [now] = await settle(snapshots);
  assert.deepEqual(jobs.get('j'), JSON.parse(JSON.stringify(now ?? job)));
  assert.deepEqual(await settle([made('one'), made('two')]), [], 'it is settled once');
  state.close();
  return now ?? job;
}

const begun = { event: 'run-started', run: 'r' };
const finished = (exitCode: number) => ({ event: 'run-finished', exitCode });

test('work that had been done counts, by its log or by the snapshots of a whole run', async () => {
  assert.equal((await settled([begun, finished(0)], [])).state, 'succeeded');
  assert.equal((await settled([begun, finished(3)], [])).state, 'incomplete');
  const by = await settled([begun], [made('one'), made('two')]);
  assert.deepEqual([by.state, by.exitCode, by.result?.snapshots.map(({ id }) => id)], ['succeeded', 0, ['r one', 'r two']]);
  assert.equal((await settled([], [made('one'), made('two')])).state, 'succeeded', 'its first words did not come through');
  assert.equal((await settled([begun], [made('one'), made('two', 'r', { unreadable: 1 })])).state, 'incomplete');
});

test('what an attempt before failed of is not said of one that was done', async () => {
  const error = { code: 'storage', message: 'it did not answer', remedy: 'wait' } as const;
  assert.equal((await settled([begun, finished(0)], [], { error })).error, undefined);
  assert.equal((await settled([begun], [made('one'), made('two')], { error })).error, undefined);
  assert.deepEqual((await settled([begun], [], { error })).error, error, 'it is done again');
});

test('anything else is done again, and is no attempt: half a run, another class, what an attempt before said', async () => {
  for (const [lines, snapshots] of [
    [[], []],
    [[begun], [made('one')]],
    [[begun], [made('one'), made('two', 'other')]],
    [[begun], [made('one', 'r', { class: 'manual' }), made('two', 'r', { class: 'manual' })]],
    [[begun, finished(0), begun], []],
    [[begun, finished(1)], []],
  ] as const) {
    const job = await settled(lines, snapshots);
    assert.deepEqual([job.state, job.attempt, job.losses, job.startedMs], ['queued', 2, 1, undefined]);
  }
  assert.equal((await settled([], [], { losses: 4 })).state, 'lost');
});

test('a backup that may have been done waits until its repository can be asked', async () => {
  const { state, jobs, job, settle } = await takenBack([begun]);
  const rules = { jobs: 9, mayBegin: () => true };
  assert.deepEqual([job.state, job.losses, job.unsettled], ['queued', 1, { sinceMs: 1_000, untilMs: 5_000 }]);
  for (let i = 0; i < 9; i++) {
    assert.deepEqual(await settle(undefined), []);
    assert.deepEqual(chooseJobs(jobs.open(), 9_000, rules), [], 'it does not begin');
  }
  // Nor is it lost once more by a daemon that dies meanwhile.
  assert.deepEqual(await recoverJobs({ jobs, clock: createFakeClock(9_000), signal: new AbortController().signal }), []);
  const [now] = await settle([made('one'), made('two')]);
  assert.deepEqual([now?.state, now?.startedMs, now?.endedMs, now?.unsettled], ['succeeded', 1_000, 3_500, undefined]);
  state.close();
});

test('a backup that was not done begins when its repository has been asked, and what others did later is not taken for its', async () => {
  for (const snapshots of [[], [made('one', 'r', { timeMs: 6_000 }), made('two', 'r', { timeMs: 6_000 })]]) {
    const { state, jobs, settle } = await takenBack([begun]);
    const [now] = await settle(snapshots);
    assert.deepEqual([now?.state, now?.losses, now?.unsettled], ['queued', 1, undefined]);
    assert.deepEqual(
      chooseJobs(jobs.open(), 9_000, { jobs: 9, mayBegin: () => true }).map(({ id }) => id),
      ['j'],
    );
    state.close();
  }
});

test('what was cancelled while its repository was asked stays cancelled', async () => {
  const { state, jobs } = await takenBack([begun]);
  const snapshotsSince = async () => {
    jobs.update({ ...(jobs.get('j') as Job), state: 'cancelled', endedMs: 6_000 });
    return [];
  };
  const { signal } = new AbortController();
  const clock = createFakeClock(9_000);
  await settleJobs({ jobs, clock, snapshotsSince, allVolumes: () => ['one'], signal }, () => assert.fail('it is not settled'));
  assert.equal(jobs.get('j')?.state, 'cancelled');
  state.close();
});

test('what is still at work is ended before it is judged; another process with its id is left alone', async (t) => {
  const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  const gone = once(child, 'exit');
  const process = identityOf(child.pid as number) as { pid: number; startTicks: string };
  const state = openState(':memory:');
  const jobs = createJobTable(state);
  jobs.add({ ...left, process: { ...process, startTicks: '1' } });
  const clock = createFakeClock(0);
  const options = { jobs, clock, signal: new AbortController().signal };
  assert.equal((await recoverJobs(options))[0]?.state, 'queued');
  assert.equal(identityOf(process.pid)?.startTicks, process.startTicks);

  jobs.update({ ...left, process });
  const recovering = recoverJobs(options);
  await clock.passUntil(11_000);
  const [, signal] = await gone;
  assert.equal(signal, 'SIGTERM');
  await clock.passUntil(12_000);
  assert.equal((await recovering)[0]?.process, undefined);
  state.close();
});
