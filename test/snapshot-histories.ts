/** Made-up histories of snapshots, and policies for them: what retention has to cope with. */

import type { RetentionPolicy } from '../src/engine/maintenance/retention.ts';
import { formatTime, timeFormatter } from '../src/format/time.ts';
import type { BlobId, SnapshotId } from '../src/model/ids.ts';
import type { StoredSnapshot } from '../src/model/snapshot.ts';
import type { Span } from '../src/model/span.ts';
import { fc } from './properties.ts';

/** A snapshot of which only what is given matters. */
export function aSnapshot(given: Partial<StoredSnapshot> = {}): StoredSnapshot {
  return {
    id: '00'.repeat(32) as SnapshotId,
    time: '2026-11-22T00:00:00Z',
    parent: undefined,
    tree: '11'.repeat(32) as BlobId,
    paths: ['/data'],
    hostname: 'host',
    username: 'someone',
    uid: 0,
    gid: 0,
    excludes: [],
    tags: [],
    original: undefined,
    programVersion: 'test',
    summary: undefined,
    root: undefined,
    unknown: undefined,
    ...given,
  };
}

export type Moment = { time: string; tags: string[] };

const hour = 3600;
/** Offsets in seconds; zones with a change of clocks among them, as a zone that switches at the end of October. */
const offsets: ((sec: number) => number)[] = [
  () => 0,
  () => 5.5 * hour,
  () => -11 * hour,
  () => 14 * hour,
  (sec) => (new Date(sec * 1000).getUTCMonth() >= 3 && new Date(sec * 1000).getUTCMonth() < 9 ? 2 : 1) * hour,
];
const steps = [0, 1, 60, 1800, hour, 6 * hour, 24 * hour, 7 * 24 * hour, 31 * 24 * hour, 400 * 24 * hour];

/**
 * One history: up to 40 moments with steps from nothing to more than a year between them, in a zone or, sometimes, in many; some in the
 * future. At one instant all are alike.
 */
export function history({ nowMs }: { nowMs: number }): fc.Arbitrary<Moment[]> {
  const step = fc.tuple(fc.constantFrom(...steps), fc.integer({ min: 1, max: 3 }), fc.constantFrom(0, 0, 1, 500_000_000));
  const moment = fc.record({ step, offset: fc.nat(offsets.length - 1), tags: fc.constantFrom([], [], ['a'], ['b'], ['a', 'b']) });
  return fc
    .record({
      moments: fc.array(moment, { minLength: 1, maxLength: 40, size: 'max' }),
      zone: fc.nat(offsets.length - 1),
      mixedZones: fc.constantFrom(false, false, false, true),
      // From half a year in the past to two days in the future.
      newestHours: fc.oneof(fc.integer({ min: -24 * 180, max: -1 }), fc.constantFrom(24, 48)),
    })
    .map(({ moments, zone, mixedZones, newestHours }) => {
      let sec = Math.floor(nowMs / 1000 / hour) * hour + newestHours * hour;
      let previous: Moment | undefined;
      return moments.map(({ step: [length, times, nsec], offset, tags }) => {
        sec -= length * times;
        if (length === 0 && previous !== undefined) return { ...previous };
        const format = timeFormatter(offsets[mixedZones ? offset : zone] ?? (() => 0));
        previous = { time: format(sec, nsec), tags: [...tags] };
        return previous;
      });
    });
}

const count = fc.constantFrom(0, 0, 0, 1, 2, 5, 12, -1);
const span: fc.Arbitrary<Span | undefined> = fc.option(
  fc
    .record(
      { years: fc.constantFrom(0, 0, 1, 3), months: fc.nat(14), days: fc.nat(40), hours: fc.constantFrom(0, 1, 36) },
      { noNullPrototype: true },
    )
    .filter(({ years, months, days, hours }) => years + months + days + hours > 0),
  { nil: undefined, freq: 1 },
);

/** A policy that keeps something. Without `manualMs`, which is not restic's: manual snapshots of these histories are not told apart. */
export function policy(): fc.Arbitrary<RetentionPolicy> {
  return fc
    .record(
      {
        last: count,
        hourly: count,
        daily: count,
        weekly: count,
        monthly: count,
        yearly: count,
        within: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: span }),
        withinHourly: span,
        withinDaily: span,
        withinWeekly: span,
        withinMonthly: span,
        withinYearly: span,
        manualMs: fc.constant(0),
        tags: fc.constantFrom([], [], ['a'], ['a,b', 'b']),
      },
      { noNullPrototype: true },
    )
    .filter((made) => made.last + made.hourly + made.daily + made.weekly + made.monthly + made.yearly !== 0);
}

/** A policy without any rule, to be given some: only manual snapshots stay, for 90 days. */
export const noRules: RetentionPolicy = {
  last: 0,
  hourly: 0,
  daily: 0,
  weekly: 0,
  monthly: 0,
  yearly: 0,
  within: undefined,
  withinHourly: undefined,
  withinDaily: undefined,
  withinWeekly: undefined,
  withinMonthly: undefined,
  withinYearly: undefined,
  manualMs: 90 * 24 * hour * 1000,
  tags: [],
};

/** Milliseconds since 1970 as snapshots write them, in UTC. */
export const timeOf = (ms: number): string => formatTime(Math.floor(ms / 1000), 0);
