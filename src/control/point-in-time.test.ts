import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fc } from '../../test/properties.ts';
import { HoldfastError } from '../model/errors.ts';
import { parsePointInTime } from './point-in-time.ts';

const zone = process.env.TZ;
before(() => {
  process.env.TZ = 'Europe/Zurich';
});
after(() => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

/** Tuesday; 15:30 in Zurich. */
const now = new Date('2026-11-24T14:30:00Z');

const isUsage = (error: unknown) => error instanceof HoldfastError && error.code === 'usage' && error.remedy.length > 0;

test('every way to name a time', () => {
  const expected: Record<string, string> = {
    now: '2026-11-24T14:30:00.000Z',
    '2026-11-22 14:30': '2026-11-22T13:30:00.000Z',
    '2026-11-22T14:30:15': '2026-11-22T13:30:15.000Z',
    '2026-11-22T14:30:15.123456789': '2026-11-22T13:30:15.123Z',
    '2026-11-22T14:30Z': '2026-11-22T14:30:00.000Z',
    '2026-11-22T14:30:00+05:30': '2026-11-22T09:00:00.000Z',
    '2026-11-22 14:30:00 -0800': '2026-11-22T22:30:00.000Z',
    '2026-07-01 12:00': '2026-07-01T10:00:00.000Z',
    '2026-11-22': '2026-11-22T22:59:59.999Z',
    '2026-07-01': '2026-07-01T21:59:59.999Z',
    '2026-11-24': '2026-11-24T14:30:00.000Z',
    today: '2026-11-24T14:30:00.000Z',
    'today 09:00': '2026-11-24T08:00:00.000Z',
    yesterday: '2026-11-23T22:59:59.999Z',
    'Yesterday 14:00': '2026-11-23T13:00:00.000Z',
    'yesterday at 7:05:06': '2026-11-23T06:05:06.000Z',
    '2 hours ago': '2026-11-24T12:30:00.000Z',
    '90m ago': '2026-11-24T13:00:00.000Z',
    '1 day ago': '2026-11-23T14:30:00.000Z',
    '1d 12h ago': '2026-11-23T02:30:00.000Z',
    '1h30m ago': '2026-11-24T13:00:00.000Z',
    'an hour ago': '2026-11-24T13:30:00.000Z',
    '1.5 hours ago': '2026-11-24T13:00:00.000Z',
    '2 weeks ago': '2026-11-10T14:30:00.000Z',
    // The same time of the clock, which was in summer time.
    '2 months ago': '2026-09-24T13:30:00.000Z',
    '1 year ago': '2025-11-24T14:30:00.000Z',
  };
  for (const [text, time] of Object.entries(expected)) assert.equal(parsePointInTime(text, now).toISOString(), time, text);
});

test('a month ago from a day that the month lacks is its last day', () => {
  assert.equal(parsePointInTime('1 month ago', new Date('2026-03-31T10:00:00Z')).toISOString(), '2026-02-28T11:00:00.000Z');
  assert.equal(parsePointInTime('1 year ago', new Date('2028-02-29T10:00:00Z')).toISOString(), '2027-02-28T10:00:00.000Z');
});

test('what is no time is a usage error with examples', () => {
  for (const text of [
    '',
    'soon',
    'ago',
    'hours ago',
    '2 ago',
    '2hoursago',
    '2 fortnights ago',
    '-2 hours ago',
    '2026-02-30',
    '2026-13-01',
    '2026-11-22 24:00',
    '2026-11-22 14:60',
    '2026-11-22T14:30+15:00',
    '2026-11-22Z',
    '22.11.2026',
    '1 2026-11-22',
    'yesterday 25:00',
    '99999999999999 years ago',
  ]) {
    assert.throws(() => parsePointInTime(text, now), isUsage, text);
  }
});

test('the future is a usage error', () => {
  for (const text of ['2026-11-25', '2026-11-24 15:31', '2026-11-24T14:30:01Z', 'today 23:00', '9999-12-31']) {
    assert.throws(
      () => parsePointInTime(text, now),
      (error) => isUsage(error) && /future/.test((error as Error).message),
      text,
    );
  }
});

test('every ISO time is read back, whatever is typed is a time or a usage error', () => {
  fc.assert(
    fc.property(fc.date({ min: new Date('1970-01-01'), max: now, noInvalidDate: true }), (date) => {
      assert.equal(parsePointInTime(date.toISOString(), now).getTime(), date.getTime());
    }),
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9]{1,4}[-: ]?[a-z0-9 :.+-]{0,20}( ago)?$/)), (text) => {
      try {
        assert.ok(parsePointInTime(text, now) <= now);
      } catch (error) {
        assert.ok(isUsage(error), String(error));
      }
    }),
  );
});
