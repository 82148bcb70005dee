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
import { recoverJobs } from './recover-jobs.ts';

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
  ({ volume, run, class: 'scheduled', unreadable: 0, id: `${run} ${volume}`, ...more }) as SnapshotEvidence;

/** What becomes of a job that was left with a log, and snapshots since it began. */
async function settled(lines: readonly object[], snapshots: readonly SnapshotEvidence[], more: Partial<Job> = {}): Promise<Job> {
  const state = openState(':memory:');
  const jobs = createJobTable(state);
  jobs.add({ ...left, ...more });
  jobs.log(
    'j',
    lines.map((line) => ({ atMs: 0, line: JSON.stringify(line) })),
  );
  const asked: number[] = [];
  const snapshotsSince = async (_: string, sinceMs: number) => {
    asked.push(sinceMs);
    return snapshots;
  };
  const { signal } = new AbortController();
  const [job] = await recoverJobs({ jobs, clock: createFakeClock(5_000), snapshotsSince, allVolumes: ['one', 'two'], signal });
  assert.deepEqual(jobs.get('j'), JSON.parse(JSON.stringify(job)));
  assert.ok(asked.every((sinceMs) => sinceMs === 1_000));
  state.close();
  return job as Job;
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

test('what is still at work is ended before it is judged; another process with its id is left alone', async (t) => {
  const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  const gone = once(child, 'exit');
  const process = identityOf(child.pid as number) as { pid: number; startTicks: string };
  const state = openState(':memory:');
  const jobs = createJobTable(state);
  jobs.add({ ...left, process: { ...process, startTicks: '1' } });
  const clock = createFakeClock(0);
  const options = { jobs, clock, snapshotsSince: async () => [], allVolumes: [], signal: new AbortController().signal };
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
