import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import type { Configuration, When } from '../configuration/configuration.ts';
import type { Job } from '../jobs/job.ts';
import { instantsOf } from './instants.ts';
import { createScheduler, type Past } from './scheduler.ts';
import { partOf, type Task, tasksOf } from './tasks.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

const task = (name: string, everyMs = hourMs, jitterMs = 0): Task => ({
  name,
  at: { kind: 'every', everyMs },
  jitterMs,
  priority: 5,
  deadlineMs: 1,
  attempts: 1,
  specAt: () => ({ kind: 'usage' }),
});
const openJob = (schedule: string) => ({ schedule, state: 'queued' }) as Job;
/** A past that remembers what was due. */
function remembering(doneUntilMs = Number.NEGATIVE_INFINITY): Past & { did(task: string, dueMs: number): void } {
  const last = new Map<string, number>();
  return { lastDueMs: (name) => last.get(name), doneUntilMs: () => doneUntilMs, did: (name, dueMs) => void last.set(name, dueMs) };
}

test('of instants that were missed the newest comes, once', () => {
  const scheduler = createScheduler([task('hourly')]);
  const past = remembering();
  past.did('hourly', 10 * hourMs);
  const [due, ...more] = scheduler.due(20.5 * hourMs, [], past);
  assert.deepEqual([due?.dueMs, more.length], [20 * hourMs, 0]);
  past.did('hourly', 20 * hourMs);
  assert.deepEqual(scheduler.due(20.5 * hourMs, [], past), []);
  assert.equal(scheduler.due(21 * hourMs, [], past)[0]?.dueMs, 21 * hourMs, 'at the instant itself');
});

test('while a job of the task is open nothing is due, and then the newest is', () => {
  const scheduler = createScheduler([task('a'), task('b')]);
  const past = remembering();
  const due = scheduler.due(10 * hourMs, [openJob('a')], past);
  assert.deepEqual(
    due.map(({ task: { name } }) => name),
    ['b'],
  );
});

test('a task without any job starts after what is known to be done', () => {
  const scheduler = createScheduler([task('a')]);
  assert.equal(scheduler.due(10.5 * hourMs, [], remembering(10.2 * hourMs)).length, 0);
  assert.equal(scheduler.due(10.5 * hourMs, [], remembering(9.9 * hourMs)).length, 1);
  // Never done: however rare it is, once at first.
  assert.equal(createScheduler([task('rare', 100 * 365 * dayMs)]).due(50 * 365 * dayMs, [], remembering()).length, 1);
});

test('clocks that are put forward and back lead to one instant each, and what is known of the instants around follows', () => {
  const scheduler = createScheduler([task('a')]);
  const past = remembering(0);
  const came = (nowMs: number) => {
    const due = scheduler.due(nowMs, [], past)[0]?.dueMs;
    if (due !== undefined) past.did('a', due);
    return due;
  };
  assert.equal(came(5.5 * hourMs), 5 * hourMs);
  assert.equal(came(100.5 * hourMs), 100 * hourMs);
  past.did('a', 5 * hourMs); // The state knows of none that is not in the future.
  assert.equal(scheduler.nextMs(6.2 * hourMs), 7 * hourMs);
  assert.equal(came(6.2 * hourMs), 6 * hourMs);
});

test('over days of looks at any moments, every instant comes at most once, and the last one always', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.integer({ min: 60_000, max: 3 * hourMs }), (seed, everyMs) => {
      const scheduler = createScheduler([task('a', everyMs)]);
      const past = remembering(0);
      const seen = new Set<number>();
      let state = seed;
      for (let nowMs = dayMs; nowMs < 2 * dayMs; ) {
        for (const { dueMs } of scheduler.due(nowMs, [], past)) {
          assert.ok(!seen.has(dueMs));
          seen.add(dueMs);
          past.did('a', dueMs);
        }
        assert.ok(seen.has(Math.floor(nowMs / everyMs) * everyMs));
        state = (state * 48_271) % 2_147_483_647;
        nowMs += 1 + (state % (2 * everyMs));
      }
    }),
    { numRuns: 50 },
  );
});

test('jitter is added once, to the instant', () => {
  const scheduler = createScheduler([task('a', hourMs, 60_000)], (below) => below - 1);
  const [due] = scheduler.due(10.5 * hourMs, [], remembering());
  assert.equal(due?.notBeforeMs, 10 * hourMs + 60_000);
});

test('over the time in which all is to be read, every part comes exactly once, whenever it began', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 0, max: 20_000 }),
      fc.integer({ min: 0, max: dayMs - 1 }),
      (days, start, offset) => {
        const parts = Array.from({ length: days }, (_, day) => partOf((start + day) * dayMs + offset, days * dayMs, dayMs));
        assert.deepEqual(
          parts.map(({ part }) => part).sort((a, b) => a - b),
          Array.from({ length: days }, (_, part) => part + 1),
        );
        assert.ok(parts.every(({ parts: of }) => of === days));
      },
    ),
  );
  assert.deepEqual(partOf(5 * dayMs, hourMs, dayMs), { part: 1, parts: 1 });
});

test('however rarely or oddly checks come, all is read in the time that was asked for', () => {
  const crons = ['42 5 * * *', '0 5 * * 0', '0 5 * * mon-fri', '0 5 1,15 * *', '0 */6 * * *'];
  const ways: When['at'][] = [
    ...crons.map((cron) => ({ kind: 'cron', cron, timeZone: 'UTC' }) as const),
    { kind: 'every', everyMs: 36 * hourMs },
  ];
  for (const at of ways) {
    for (const days of [14, 28, 30, 60]) {
      const check = { at, jitterMs: 0, priority: 5, deadlineMs: 1, attempts: 1, rereadMs: days * dayMs };
      const configuration = { schedules: [], repositories: [{ name: 'local', maintenance: true }], maintenance: { check } };
      const [task] = tasksOf(configuration as unknown as Configuration);
      const instants = instantsOf(at);
      const read = new Set<unknown>();
      let parts: unknown;
      // Spans are counted from 1970: one may be cut at either end.
      const [fromMs, mostSpans] = [20_000 * dayMs, 2 * 17];
      for (
        let dueMs = instants.after(fromMs) as number;
        dueMs < fromMs + (days + mostSpans) * dayMs;
        dueMs = instants.after(dueMs) as number
      ) {
        const spec = task?.specAt(dueMs);
        if (spec?.kind !== 'check') throw new assert.AssertionError({ message: 'no check' });
        read.add(spec.part);
        parts = spec.parts;
      }
      assert.equal(read.size, parts, `${JSON.stringify(at)} in ${days} days`);
    }
  }
});
