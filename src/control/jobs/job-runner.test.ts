import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createFakeClock } from '../../../test/control/fake-clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Task } from '../scheduling/tasks.ts';
import { createJobTable, type JobTable } from '../state/job-table.ts';
import { openState } from '../state/state.ts';
import type { Job, JobSpec } from './job.ts';
import { createJobRunner, type JobRunnerOptions } from './job-runner.ts';
import type { Watch } from './run-job.ts';
import { steadyJobTable } from './steady-job-table.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const startMs = 1_000 * hourMs;
const spec: JobSpec = { kind: 'backup', repository: 'local', class: 'scheduled' };
const hourly: Task = {
  name: 'hourly',
  at: { kind: 'every', everyMs: hourMs },
  jitterMs: 0,
  priority: 5,
  deadlineMs: 10 * hourMs,
  attempts: 3,
  specAt: () => spec,
};

type Work = (job: Job, watch: Watch, signal: AbortSignal) => Promise<number>;

/** A runner on a clock of its own, that begins at the first instant of its tasks. */
function aRunner(t: TestContext, execute: Work, more: Partial<JobRunnerOptions> & { table?: (jobs: JobTable) => JobTable } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-runner-'));
  const state = openState(join(folder, 'state.sqlite'));
  t.after(() => {
    state.close();
    rmSync(folder, { recursive: true });
  });
  const clock = createFakeClock(startMs);
  const failures: unknown[] = [];
  const jobs = (more.table ?? ((table) => table))(createJobTable(state));
  const plan = { tasks: [hourly], rules: { jobs: 2, mayBegin: () => true } };
  const runner = createJobRunner({
    jobs,
    clock,
    plan: () => plan,
    past: { doneUntilMs: () => startMs - 1 },
    execute,
    redact: (line) => line.replaceAll('secret', '***'),
    onEnded: async () => {},
    onChange: () => {},
    onLog: () => {},
    onFailure: (error) => failures.push(error),
    ...more,
  });
  const stop = new AbortController();
  // Not before the caller has it.
  const running = Promise.resolve().then(() => runner.run(stop.signal));
  return {
    runner,
    jobs,
    clock,
    failures,
    pass: (ms: number) => clock.passUntil(clock.now().getTime() + ms),
    async stop() {
      stop.abort();
      await clock.passUntil(clock.now().getTime());
      await running;
    },
    all: () => jobs.list({}, { limit: 1_000 }).reverse(),
    states: () => jobs.list({}, { limit: 1_000 }).map(({ state }) => state),
  };
}

const untilAborted: Work = (_, __, signal) =>
  new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(130), { once: true });
  });

test('every hour has one job, and hours that a long one covers come once', async (t) => {
  const begun: number[] = [];
  const work = aRunner(t, async (job) => {
    begun.push(((job.dueMs as number) - startMs) / hourMs);
    await work.clock.sleep(begun.length === 2 ? 3.5 * hourMs : minuteMs);
    return 0;
  });
  await work.pass(6.2 * hourMs);
  await work.stop();
  assert.deepEqual(begun, [0, 1, 4, 5, 6]);
  assert.ok(work.states().every((state) => state === 'succeeded'));
});

test('a failed job is tried again with longer and longer waits, and then has failed; what cannot get better is not', async (t) => {
  const tries: number[] = [];
  const work = aRunner(t, async () => {
    tries.push((work.clock.now().getTime() - startMs) / minuteMs);
    return 1;
  });
  await work.pass(3 * minuteMs);
  assert.deepEqual([work.all()[0]?.state, work.all()[0]?.error?.code], ['queued', 'command-failed']);
  await work.pass(37 * minuteMs);
  const [first] = work.all();
  assert.equal(tries.length, 3);
  const [second, third] = [tries[1] as number, (tries[2] as number) - (tries[1] as number)];
  assert.ok(second >= 1 && second <= 1.2, `${second}`);
  assert.ok(third >= 4 && third <= 4.8, `${third}`);
  assert.deepEqual([first?.state, first?.attempt, first?.error?.code], ['failed', 3, 'command-failed']);
  await work.stop();
  for (const failure of [2, 10, 12]) {
    const hopeless = aRunner(t, async () => failure);
    await hopeless.pass(30 * minuteMs);
    await hopeless.stop();
    assert.deepEqual([hopeless.all()[0]?.state, hopeless.all()[0]?.attempt], ['failed', 1]);
  }
});

test('what a check has found is known at once, and not looked for again; one that could not be done is done again', async (t) => {
  const check: JobSpec = { kind: 'check', repository: 'local', part: 1, parts: 1 };
  const finding = '{"event":"finding","finding":{"severity":"error","kind":"pack-damaged","message":"x","affects":[]}}';
  const broken = '{"event":"error","error":{"code":"storage","message":"it does not answer","remedy":"wait"}}';
  for (const [lines, state, code] of [
    [[finding, finding], 'failed', 'damaged'],
    [[finding, broken], 'queued', 'storage'],
  ] as const) {
    const plan = { tasks: [{ ...hourly, specAt: () => check }], rules: { jobs: 1, mayBegin: () => true } };
    const work = aRunner(
      t,
      async (_, watch) => {
        lines.forEach(watch.onLine);
        return 1;
      },
      { plan: () => plan },
    );
    await work.pass(1_000);
    const [job] = work.all();
    assert.deepEqual([job?.state, job?.error?.code], [state, code]);
    if (state === 'failed')
      assert.deepEqual(
        [job?.result?.findings, job?.error?.message],
        [{ 'pack-damaged': 2 }, 'the repository local is damaged: pack-damaged (2)'],
      );
    await work.stop();
  }
});

test('whatever work does, it ends as a failure of its job: it throws at once, later, or nothing sensible', async (t) => {
  const ways: Work[] = [
    () => {
      throw new Error('at once');
    },
    () => Promise.reject(new Error('later')),
    () => Promise.reject(new HoldfastError('usage', 'there is no repository "gone"')),
    (_, watch) => {
      watch.onLine('{"event":"message"');
      watch.onLine('{"event":"snapshot"}');
      return Promise.resolve(1);
    },
  ];
  for (const way of ways) {
    const work = aRunner(t, way);
    await work.pass(50 * minuteMs);
    await work.stop();
    assert.equal(work.all()[0]?.state, 'failed');
    assert.notEqual(work.all()[0]?.error, undefined);
  }
});

test('what fails after a job has ended, or in the state, does not end the runner', async (t) => {
  let isFull = false;
  const full = <Arguments extends unknown[], Result>(work: (...args: Arguments) => Result) => {
    return (...args: Arguments): Result => {
      if (isFull) throw new Error('database or disk is full');
      return work(...args);
    };
  };
  const failures: unknown[] = [];
  const work = aRunner(
    t,
    async (_, watch) => {
      watch.onLine('{"event":"message","level":"note","message":"x"}');
      return 0;
    },
    {
      onEnded: () => Promise.reject(new Error('not mine')),
      table: (jobs) =>
        steadyJobTable({ ...jobs, add: full(jobs.add), update: full(jobs.update), log: full(jobs.log) }, (error) => failures.push(error)),
    },
  );
  await work.pass(1.5 * hourMs);
  isFull = true;
  await work.pass(3 * hourMs);
  assert.deepEqual(work.jobs.open(), []);
  isFull = false;
  await work.pass(hourMs);
  await work.stop();
  assert.ok(failures.length > 0);
  assert.deepEqual(
    work.all().map(({ dueMs, state }) => `${((dueMs as number) - startMs) / hourMs} ${state}`),
    ['0 succeeded', '1 succeeded', '2 succeeded', '3 succeeded', '4 succeeded', '5 succeeded'],
  );
  assert.equal(work.failures.length, 6, 'of onEnded');
});

test('a deadline ends a job that takes longer, and one of months does not end it at once', async (t) => {
  for (const [deadlineMs, state, code] of [
    [20 * minuteMs, 'failed', 'deadline'],
    [2_000 * hourMs, 'running', undefined],
  ] as const) {
    const plan = { tasks: [{ ...hourly, deadlineMs }], rules: { jobs: 1, mayBegin: () => true } };
    const work = aRunner(t, untilAborted, { plan: () => plan });
    await work.pass(30 * minuteMs);
    assert.deepEqual([work.all()[0]?.state, work.all()[0]?.error?.code], [state, code]);
    await work.stop();
  }
});

test('jobs are cancelled in the queue and at work; what is over stays', async (t) => {
  const work = aRunner(t, untilAborted, { plan: () => ({ tasks: [], rules: { jobs: 1, mayBegin: () => true } }) });
  const request = { spec, startedBy: 'somebody', priority: 8, deadlineMs: hourMs, attempts: 1 };
  const [first, second] = [work.runner.start(request), work.runner.start(request)];
  await work.pass(0);
  assert.deepEqual(work.states().sort(), ['queued', 'running']);
  work.runner.cancel(second.id);
  work.runner.cancel(first.id);
  await work.pass(0);
  assert.deepEqual(work.states(), ['cancelled', 'cancelled']);
  assert.equal(work.runner.cancel(first.id)?.state, 'cancelled');
  assert.equal(work.runner.cancel('none'), undefined);
  await work.stop();
});

test('a process that was killed says so, and what that may have been', async (t) => {
  const work = aRunner(t, async () => 137);
  work.runner.start({ spec, startedBy: 'somebody', priority: 8, deadlineMs: hourMs, attempts: 1 });
  await work.pass(minuteMs);
  const killed = work.all().find(({ state }) => state === 'failed');
  assert.match(killed?.error?.message ?? '', /killed .*memory/);
  await work.stop();
});

test('a stop puts back what is at work, without counting it as an attempt', async (t) => {
  const work = aRunner(t, untilAborted);
  await work.pass(minuteMs);
  await work.stop();
  const [job] = work.all();
  assert.deepEqual([job?.state, job?.attempt, job?.process, job?.startedMs], ['queued', 1, undefined, undefined]);
});

test('when the clock is put back, nobody waits longer', async (t) => {
  let tries = 0;
  const work = aRunner(t, async () => {
    tries++;
    return 1;
  });
  await work.pass(10_000);
  work.clock.set(startMs - 5 * hourMs);
  await work.pass(3 * minuteMs);
  assert.equal(tries, 2);
  await work.stop();
});

test('what an earlier daemon queued by a clock that was ahead is done at once', async (t) => {
  let isDone = false;
  const work = aRunner(t, async () => {
    isDone = true;
    return 0;
  });
  const far = startMs + 900 * hourMs;
  // Before the runner begins.
  work.runner.start({ spec, startedBy: 'somebody', priority: 8, deadlineMs: hourMs, attempts: 1 });
  const [job] = work.jobs.open();
  work.jobs.add({ ...(job as Job), id: 'ahead', queuedMs: far, notBeforeMs: far, schedule: 'hourly', dueMs: far });
  work.runner.cancel(job?.id as string);
  await work.pass(minuteMs);
  await work.stop();
  assert.ok(isDone);
  assert.equal(work.jobs.get('ahead')?.state, 'succeeded');
});

test('what waits for a schedule that is gone is not done', async (t) => {
  const rules = { jobs: 2, mayBegin: () => false };
  let plan = { tasks: [hourly], rules };
  const work = aRunner(t, async () => 0, { plan: () => plan });
  await work.pass(0);
  assert.deepEqual(work.states(), ['queued']);
  plan = { tasks: [], rules };
  await work.pass(2 * minuteMs);
  await work.stop();
  assert.deepEqual(work.states(), ['cancelled']);
});

test('logs and results hold no secrets', async (t) => {
  const work = aRunner(t, async (_, watch) => {
    watch.onLine('{"event":"error","error":{"code":"storage","message":"a secret","remedy":"no"}}');
    return 2;
  });
  await work.pass(minuteMs);
  await work.stop();
  const [job] = work.all();
  assert.equal(job?.error?.message, 'a ***');
  assert.doesNotMatch(JSON.stringify(work.jobs.readLog(job?.id as string, { limit: 10 })), /secret/);
});
