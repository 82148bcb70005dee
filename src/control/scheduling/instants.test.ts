import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc, runs } from '../../../test/properties.ts';
import { instantsOf } from './instants.ts';

const cron = (text: string, timeZone = 'UTC') => instantsOf({ kind: 'cron', cron: text, timeZone });
const at = (text: string) => Date.parse(text);
const shown = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString().slice(0, 16));
/** The next ones after an instant. */
function next(instants: ReturnType<typeof instantsOf>, after: string, count: number): (string | undefined)[] {
  const found: (string | undefined)[] = [];
  for (let ms = at(after) as number | undefined; found.length < count && ms !== undefined; ) {
    ms = instants.after(ms);
    found.push(shown(ms));
  }
  return found;
}

test('where clocks are put forward, what does not exist comes at the change, once', () => {
  const nightly = cron('30 2 * * *', 'Europe/Berlin');
  assert.deepEqual(next(nightly, '2026-03-27T12:00Z', 3), ['2026-03-28T01:30', '2026-03-29T01:00', '2026-03-30T00:30']);
  assert.equal(shown(nightly.atOrBefore(at('2026-03-29T12:00Z'))), '2026-03-29T01:00');
});

test('where clocks are put back, a time of day that comes twice counts once, and every hour is an hour', () => {
  const nightly = cron('30 2 * * *', 'Europe/Berlin');
  assert.deepEqual(next(nightly, '2026-10-24T12:00Z', 2), ['2026-10-25T00:30', '2026-10-26T01:30']);
  assert.equal(shown(nightly.atOrBefore(at('2026-10-25T12:00Z'))), '2026-10-25T00:30');
  const hourly = cron('0 * * * *', 'Europe/Berlin');
  assert.deepEqual(next(hourly, '2026-10-24T23:30Z', 4), ['2026-10-25T00:00', '2026-10-25T01:00', '2026-10-25T02:00', '2026-10-25T03:00']);
});

test('steps from a number, leap days, dates that never come, zones of half hours', () => {
  assert.deepEqual(next(cron('5/15 * * * *'), '2026-01-01T00:00Z', 5), [
    '2026-01-01T00:05',
    '2026-01-01T00:20',
    '2026-01-01T00:35',
    '2026-01-01T00:50',
    '2026-01-01T01:05',
  ]);
  const leap = cron('0 0 29 2 *');
  assert.deepEqual(next(leap, '2026-01-01T00:00Z', 2), ['2028-02-29T00:00', '2032-02-29T00:00']);
  assert.equal(shown(leap.atOrBefore(at('2026-01-01T00:00Z'))), '2024-02-29T00:00');
  assert.equal(cron('0 0 30 2 *').after(0), undefined);
  assert.equal(shown(cron('0 9 * * *', 'Asia/Kolkata').after(at('2026-01-01T00:00Z'))), '2026-01-01T03:30');
});

test('an instant itself counts as come, to the millisecond', () => {
  for (const hourly of [cron('0 * * * *'), instantsOf({ kind: 'every', everyMs: 3_600_000 })]) {
    const noon = at('2026-05-05T12:00Z');
    assert.equal(hourly.atOrBefore(noon), noon);
    assert.equal(hourly.atOrBefore(noon - 1), noon - 3_600_000);
    assert.equal(hourly.atOrBefore(noon + 1), noon);
    assert.equal(hourly.after(noon), noon + 3_600_000);
    assert.equal(hourly.after(noon - 1), noon);
  }
});

test('the one before and the one after enclose every moment, and nothing lies between', () => {
  const all = [
    cron('0 * * * *', 'Europe/Berlin'),
    cron('30 2 * * *', 'Europe/Berlin'),
    cron('30 2 * * *', 'America/New_York'),
    cron('*/7 1-3 * * *', 'Europe/Berlin'),
    cron('0 4 * * 0', 'Australia/Lord_Howe'),
    instantsOf({ kind: 'every', everyMs: 5_000_000 }),
    instantsOf({ kind: 'every', everyMs: 400 * 86_400_000 }),
  ];
  const moments = fc.integer({ min: at('2025-01-01T00:00Z'), max: at('2028-01-01T00:00Z') });
  // Changes of clocks, where reckoning is hardest.
  const changes = fc.constantFrom(at('2026-03-29T01:00Z'), at('2026-10-25T01:00Z'), at('2026-03-08T07:00Z'), at('2026-11-01T06:00Z'));
  const enclosed = (ms: number) => {
    for (const instants of all) {
      const [before, after] = [instants.atOrBefore(ms) as number, instants.after(ms) as number];
      assert.ok(before <= ms && ms < after, `${shown(before)} ${shown(ms)} ${shown(after)}`);
      assert.equal(instants.after(before), after);
      assert.equal(instants.atOrBefore(after), after);
    }
  };
  fc.assert(fc.property(moments, enclosed), { numRuns: runs(200) });
  fc.assert(
    fc.property(changes, fc.integer({ min: -7_200_000, max: 7_200_000 }), (change, offset) => enclosed(change + offset)),
    { numRuns: runs(200) },
  );
});
