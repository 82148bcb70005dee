import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import { createAlertTable } from '../state/alert-table.ts';
import { openState } from '../state/state.ts';
import type { Alert, AlertCondition, Notice, Observed } from './alert.ts';
import { type Damping, step } from './step.ts';

const minute = 60_000;
const damping: Damping = { atRiskMs: 10 * minute, quietMs: 10 * minute };
const seen = (key: string, condition: AlertCondition): Observed => ({
  key,
  kind: 'rpo-breached',
  subject: { kind: 'volume', name: key },
  condition,
  message: 'm',
  remedy: 'r',
});

type Look = { atMs: number; condition: AlertCondition | 'good' };

/** Whatever is remembered goes through the table, as in a daemon that starts anew every time. */
function notify(looks: readonly Look[]): { event: Notice['event']; atMs: number }[] {
  const state = openState(':memory:');
  const table = createAlertTable(state);
  const out = looks.flatMap(({ atMs, condition }) => {
    const { changed, dropped, notices } = step(table.open(), condition === 'good' ? [] : [seen('v', condition)], atMs, damping);
    table.put(changed);
    table.drop(dropped.map(({ id }) => id));
    return notices.map(({ event }) => ({ event, atMs }));
  });
  state.close();
  return out;
}

/** The same, thought from the episodes: stretches in which the condition is not good, or good for less than the quiet time once they count. */
function expected(looks: readonly Look[]): { event: Notice['event']; atMs: number }[] {
  const out: { event: Notice['event']; atMs: number }[] = [];
  for (let at = 0; at < looks.length; ) {
    const begin = looks.slice(at).findIndex(({ condition }) => condition !== 'good');
    if (begin < 0) break;
    const first = at + begin;
    const untilGood = looks.findIndex(({ condition }, index) => index > first && condition === 'good');
    const run = looks.slice(first, untilGood < 0 ? looks.length : untilGood);
    const firstMs = (looks[first] as Look).atMs;
    const raised = run.findIndex(({ atMs, condition }) => condition === 'broken' || atMs - firstMs >= damping.atRiskMs);
    if (raised < 0) {
      at = first + run.length;
      continue;
    }
    const rest = looks.slice(first + raised);
    out.push({ event: 'raised', atMs: (rest[0] as Look).atMs });
    const ended = rest.findIndex(({ atMs, condition }, index) => {
      if (condition !== 'good') return false;
      const lastBad = rest.slice(0, index).findLastIndex((look) => look.condition !== 'good');
      return atMs - (rest[lastBad + 1] as Look).atMs >= damping.quietMs;
    });
    const worse = rest.findIndex(({ condition }) => condition === 'broken');
    if (worse > 0 && (ended < 0 || worse < ended)) out.push({ event: 'worsened', atMs: (rest[worse] as Look).atMs });
    if (ended < 0) break;
    out.push({ event: 'ended', atMs: (rest[ended] as Look).atMs });
    at = first + raised + ended + 1;
  }
  return out;
}

const looksOf = (steps: readonly (readonly [number, Look['condition']])[]): Look[] => {
  let atMs = 0;
  return steps.map(([minutes, condition]) => {
    atMs += minutes * minute;
    return { atMs, condition };
  });
};
const condition = fc.constantFrom<Look['condition']>('good', 'good', 'at-risk', 'broken');

test('every episode is told of once, and its end once; none is invented', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 8 }), condition), { maxLength: 40 }), (steps) => {
      assert.deepEqual(notify(looksOf(steps)), expected(looksOf(steps)));
    }),
    { numRuns: 300 },
  );
});

test('what flaps is one episode; what is at risk for a moment is none', () => {
  const flapping = looksOf(Array.from({ length: 60 }, (_, index) => [3, index % 2 === 0 ? 'broken' : 'good'] as const));
  assert.deepEqual(
    notify(flapping).map(({ event }) => event),
    ['raised'],
  );
  const moments = looksOf(Array.from({ length: 60 }, (_, index) => [5, index % 2 === 0 ? 'at-risk' : 'good'] as const));
  assert.deepEqual(notify(moments), []);
});

test('a clock that is put back or forward neither repeats nor loses anything', () => {
  const looks: Look[] = [
    { atMs: 1_000 * minute, condition: 'broken' },
    { atMs: 10 * minute, condition: 'broken' },
    { atMs: 11 * minute, condition: 'good' },
    { atMs: 5 * minute, condition: 'good' },
    { atMs: 15 * minute, condition: 'good' },
  ];
  assert.deepEqual(notify(looks), [
    { event: 'raised', atMs: 1_000 * minute },
    { event: 'ended', atMs: 15 * minute },
  ]);
});

test('an acknowledgement stays until it gets worse', () => {
  const state = openState(':memory:');
  const table = createAlertTable(state);
  const look = (atMs: number, condition: AlertCondition) => table.put(step(table.open(), [seen('v', condition)], atMs, damping).changed);
  look(0, 'at-risk');
  const [pending] = table.open();
  assert.equal(table.acknowledge(pending?.id as string, 'anna', 1), undefined, 'nobody was told yet');
  assert.deepEqual(table.list({}, { limit: 9 }), []);
  look(11 * minute, 'at-risk');
  const [alert] = table.list({ open: true }, { limit: 9 });
  assert.equal(table.acknowledge(alert?.id as string, 'anna', 5)?.acknowledged?.by, 'anna');
  look(12 * minute, 'at-risk');
  assert.equal(table.open()[0]?.acknowledged?.by, 'anna');
  look(13 * minute, 'broken');
  assert.equal(table.open()[0]?.acknowledged, undefined);
  state.close();
});

test('pages of alerts go on where the last one ended', () => {
  const state = openState(':memory:');
  const table = createAlertTable(state);
  const keys = Array.from({ length: 7 }, (_, index) => `v${index}`);
  table.put(
    step(
      [],
      keys.map((key) => seen(key, 'broken')),
      1,
      damping,
    ).changed,
  );
  const first = table.list({}, { limit: 4 });
  const second = table.list({}, { limit: 4, before: first.at(-1)?.id as string });
  assert.deepEqual(
    [...first, ...second].map(({ key }) => key),
    keys.toReversed(),
  );
  assert.deepEqual(table.list({ open: false }, { limit: 4 }), []);
  state.close();
});

test('of what is silenced nothing is told until the silence is over, and then what is so', () => {
  const look = (open: readonly Alert[], condition: AlertCondition | undefined, atMs: number, silenced: boolean) =>
    step(open, condition === undefined ? [] : [seen('v', condition)], atMs, damping, () => silenced);
  const begun = look([], 'broken', 0, true);
  assert.deepEqual([begun.notices, begun.changed[0]?.state], [[], 'pending']);
  const later = look(begun.changed, 'broken', 60 * minute, false);
  assert.deepEqual(
    later.notices.map(({ event, alert }) => [event, alert.raisedMs]),
    [['raised', 60 * minute]],
  );
  const [raised] = look([], 'at-risk', 0, false).changed.flatMap((one) => look([one], 'at-risk', 20 * minute, false).changed);
  const worse = look([raised as Alert], 'broken', 30 * minute, true);
  assert.deepEqual([worse.notices, worse.changed[0]?.condition], [[], 'broken']);
  assert.deepEqual(
    look(worse.changed, 'broken', 40 * minute, false).notices.map(({ event }) => event),
    ['worsened'],
  );
  // What passes meanwhile was never there.
  assert.deepEqual(look(begun.changed, undefined, minute, true).dropped.length, 1);
});
