import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, test } from 'node:test';
import { fc } from '../../test/properties.ts';
import { HoldfastError } from '../model/errors.ts';
import { formatTime, localOffset, parseTime, timeFormatter } from './time.ts';

const zoneOfProcess = process.env.TZ;
afterEach(() => {
  if (zoneOfProcess === undefined) delete process.env.TZ;
  else process.env.TZ = zoneOfProcess;
});

/** What restic 0.19.1 wrote as mtime of files with these times, run with TZ set to these zones. */
const vectors = JSON.parse(readFileSync(new URL('../../test/vectors/times.json', import.meta.url), 'utf8')) as Record<
  string,
  [number, number, string][]
>;

test('times are written as restic writes them in any zone: daylight saving, local mean time, clamped years', () => {
  for (const [zone, instants] of Object.entries(vectors)) {
    process.env.TZ = zone;
    const format = timeFormatter(localOffset);
    for (const [sec, nsec, text] of instants) assert.equal(format(sec, nsec), text, zone);
    // Again, now that everything is remembered.
    for (const [sec, nsec, text] of instants) assert.equal(format(sec, nsec), text, zone);
  }
});

test('the offset loses its seconds, and Z is for exactly zero', () => {
  const at = (offset: number) => timeFormatter(() => offset)(0, 0);
  assert.equal(at(0), '1970-01-01T00:00:00Z');
  assert.equal(at(59), '1970-01-01T00:00:59+00:00');
  assert.equal(at(-59), '1969-12-31T23:59:01+00:00');
  assert.equal(at(-60), '1969-12-31T23:59:00-00:01');
  assert.equal(at(20_700), '1970-01-01T05:45:00+05:45');
  assert.equal(at(-12_600), '1969-12-31T20:30:00-03:30');
});

test('an offset that changes within a quarter of an hour is exact on both sides', () => {
  const change = 1_000_000_123;
  const format = timeFormatter((sec) => (sec < change ? 3600 : 7200));
  assert.equal(format(change - 1, 0), '2001-09-09T02:48:42+01:00');
  assert.equal(format(change, 0), '2001-09-09T03:48:43+02:00');
});

test('a fraction has no trailing zeros', () => {
  const format = timeFormatter(() => 0);
  assert.equal(format(0, 1), '1970-01-01T00:00:00.000000001Z');
  assert.equal(format(0, 100), '1970-01-01T00:00:00.0000001Z');
  assert.equal(format(0, 120_000_000), '1970-01-01T00:00:00.12Z');
  assert.equal(format(-1, 999_999_999), '1969-12-31T23:59:59.999999999Z');
});

test('what is formatted is parsed to the same instant, with any offset of whole minutes', () => {
  const sec = fc.integer({ min: -62_100_000_000, max: 253_402_000_000 });
  const nsec = fc.integer({ min: 0, max: 999_999_999 });
  fc.assert(
    fc.property(sec, nsec, fc.integer({ min: -1439, max: 1439 }), (s, n, minutes) => {
      assert.deepEqual(parseTime(timeFormatter(() => minutes * 60)(s, n)), { sec: s, nsec: n });
      assert.deepEqual(parseTime(formatTime(s, n)).nsec, n);
      assert.equal(timeFormatter(() => 0)(s, 0), new Date(s * 1000).toISOString().replace('.000', ''));
    }),
  );
});

test('years are clamped to 0 and 9999, however far', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 63), max: 2 ** 63 }), (sec) => {
      assert.match(timeFormatter(localOffset)(Math.floor(sec), 5), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000000005(?:Z|[+-]\d\d:\d\d)$/);
    }),
  );
});

test('what is not a time is damaged', () => {
  const refused = [
    '',
    '2026',
    '2026-01-01',
    '2026-01-01T00:00:00',
    '2026-01-01 00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2026-01-32T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:60:00Z',
    '2026-01-01T00:00:60Z',
    '2026-01-01T00:00:00.Z',
    '2026-01-01T00:00:00.1234567890Z',
    '2026-01-01T00:00:00+24:00',
    '2026-01-01T00:00:00+0100',
    '2026-01-01T00:00:00Z ',
    '+2026-01-01T00:00:00Z',
    '2026-0x-01T00:00:00Z',
  ];
  for (const text of refused)
    assert.throws(
      () => parseTime(text),
      (error) => error instanceof HoldfastError && error.code === 'damaged',
      text,
    );
  assert.deepEqual(parseTime('2000-02-29T23:59:59.5-01:30'), { sec: 951_874_199, nsec: 500_000_000 });
  fc.assert(fc.property(fc.string(), (text) => assert.throws(() => parseTime(text), HoldfastError)));
});
