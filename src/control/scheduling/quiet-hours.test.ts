import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QuietHours } from '../configuration/configuration.ts';
import { quietAt } from './quiet-hours.ts';

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
