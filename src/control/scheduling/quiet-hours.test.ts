import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QuietHours } from '../configuration/configuration.ts';
import { quietAt, quietUntilMs } from './quiet-hours.ts';

const hours = (from: number, to: number, more: Partial<QuietHours> = {}): QuietHours => ({
  fromMinute: from * 60,
  toMinute: to * 60,
  days: [0, 1, 2, 3, 4, 5, 6],
  timeZone: 'Europe/Berlin',
  backups: true,
  ...more,
});
const isQuiet = (quiet: QuietHours, time: string): boolean => quietAt([quiet], Date.parse(time)) !== undefined;

test('the begin belongs to quiet hours and the end does not, in the zone that was named', () => {
  const day = hours(8, 18);
  assert.deepEqual(
    ['2026-06-01T05:59:59Z', '2026-06-01T06:00Z', '2026-06-01T15:59:59Z', '2026-06-01T16:00Z'].map((time) => isQuiet(day, time)),
    [false, true, true, false],
  );
  assert.equal(isQuiet(day, '2026-12-01T06:30Z'), false, 'winter');
});

test('what goes over midnight belongs to the day on which it begins', () => {
  // The night of Friday.
  const night = hours(22, 6, { days: [5] });
  assert.equal(isQuiet(night, '2026-06-05T21:00Z'), true);
  assert.equal(isQuiet(night, '2026-06-06T03:00Z'), true, 'early on Saturday');
  assert.equal(isQuiet(night, '2026-06-06T21:00Z'), false, 'late on Saturday');
  assert.equal(isQuiet(night, '2026-06-05T03:00Z'), false, 'early on Friday');
});

test('from a time to the same one is a whole day; the hour that comes twice is quiet both times', () => {
  assert.equal(isQuiet(hours(3, 3, { days: [1] }), '2026-06-02T00:30Z'), true);
  assert.deepEqual(
    ['2026-10-25T00:30Z', '2026-10-25T01:30Z', '2026-10-25T02:30Z'].map((time) => isQuiet(hours(2, 3), time)),
    [true, true, false],
  );
});

test('it is quiet until the hours end, and those that follow them, also where clocks are put forward or back', () => {
  const until = (time: string, ...all: QuietHours[]) => {
    const ms = quietUntilMs(all, Date.parse(time));
    return ms === undefined ? undefined : new Date(ms).toISOString().slice(5, 16);
  };
  assert.equal(until('2026-06-01T06:00:30Z', hours(8, 18)), '06-01T16:00');
  assert.equal(until('2026-06-01T16:00Z', hours(8, 18)), undefined);
  assert.equal(until('2026-06-01T06:00Z', hours(8, 18), hours(18, 23)), '06-01T21:00');
  // The nights in which clocks change.
  assert.equal(until('2026-03-28T22:00Z', hours(22, 6)), '03-29T04:00');
  assert.equal(until('2026-10-24T21:00Z', hours(22, 6)), '10-25T05:00');
  assert.equal(until('2026-10-25T00:30Z', hours(2, 3)), '10-25T02:00');
  assert.equal(until('2026-06-01T06:00Z', hours(0, 0)), '06-14T22:00');
});
