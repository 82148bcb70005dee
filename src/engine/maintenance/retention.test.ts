import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import { aSnapshot, history, type Moment, noRules as none, policy, timeOf } from '../../../test/snapshot-histories.ts';
import type { SnapshotId } from '../../model/ids.ts';
import { type SnapshotClass, type StoredSnapshot, tagsFromIdentity } from '../../model/snapshot.ts';
import { parseSpan } from '../../model/span.ts';
import { type Decision, decideRetention, keepsNothing, type RetentionPolicy } from './retention.ts';

const nowMs = Date.parse('2026-11-22T12:00:00Z');
const now = new Date(nowMs);
const dayMs = 86_400_000;
const idOf = (number: number) => number.toString(16).padStart(64, '0') as SnapshotId;
const ofMoments = (moments: readonly Moment[]) => moments.map((moment, number) => aSnapshot({ ...moment, id: idOf(number) }));
const kept = (decisions: readonly Decision[]) => decisions.filter(({ keep }) => keep).map(({ snapshot }) => snapshot);
const keep = (snapshots: readonly StoredSnapshot[], by: RetentionPolicy) => kept(decideRetention(snapshots, () => by, now));

function ofVolume(volume: string, timeMs: number, taken: SnapshotClass = 'scheduled', more: Partial<StoredSnapshot> = {}): StoredSnapshot {
  const tags = tagsFromIdentity({ project: 'shop', volume, run: String(timeMs), class: taken, consistency: 'crash' });
  return aSnapshot({ id: idOf(timeMs), time: timeOf(timeMs), ...more, tags: [...tags, ...(more.tags ?? [])] });
}

const someHistory = history({ nowMs }).map(ofMoments);

test('what was kept once is kept again: nothing more goes', () => {
  fc.assert(
    fc.property(someHistory, policy(), (snapshots, by) => {
      const first = keep(snapshots, by);
      assert.deepEqual(keep(first, by), first);
    }),
  );
});

test('who asks for more keeps no less', () => {
  const counts = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
  fc.assert(
    fc.property(someHistory, policy(), fc.constantFrom(...counts), fc.integer({ min: 1, max: 9 }), (snapshots, by, rule, more) => {
      const greater = { ...by, [rule]: by[rule] === -1 ? -1 : by[rule] + more };
      const ids = new Set(keep(snapshots, greater).map(({ id }) => id));
      for (const { id } of keep(snapshots, by)) assert.ok(ids.has(id));
    }),
  );
});

test('the newest stays, and a rule keeps no more than its count', () => {
  const only = fc.constantFrom('last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly');
  fc.assert(
    fc.property(someHistory, policy(), only, fc.integer({ min: 1, max: 12 }), (snapshots, by, rule, count) => {
      const [newest] = decideRetention(snapshots, () => by, now);
      assert.ok(newest?.keep);
      assert.ok(keep(snapshots, { ...none, [rule]: count }).length <= count);
    }),
  );
});

test('every decision says why, and the order of what comes in does not matter', () => {
  fc.assert(
    fc.property(someHistory, policy(), (snapshots, by) => {
      const decisions = decideRetention(snapshots, () => by, now);
      assert.equal(decisions.length, snapshots.length);
      for (const { reasons } of decisions) assert.ok(reasons.length > 0);
      assert.deepEqual(
        decideRetention(snapshots.toReversed(), () => by, now),
        decisions,
      );
    }),
  );
});

test('reasons name the hour, day, week, month and year', () => {
  const snapshots = [ofVolume('data', Date.parse('2026-11-20T14:05:00Z')), ofVolume('data', Date.parse('2026-01-01T00:00:00Z'))];
  const by = { ...none, last: 1, hourly: 1, daily: 2, weekly: 2, monthly: 2, yearly: 2, within: parseSpan('7d') };
  assert.deepEqual(
    decideRetention(snapshots, () => by, now).map(({ reasons }) => reasons),
    [
      ['within 7d', 'last', 'hourly 2026-11-20 14h', 'daily 2026-11-20', 'weekly 2026-W47', 'monthly 2026-11', 'yearly 2026'],
      ['daily 2026-01-01', 'weekly 2026-W01', 'monthly 2026-01', 'oldest yearly 2026'],
    ],
  );
});

test('a volume is one history, whatever host and path; two volumes are two', () => {
  const snapshots = [
    ofVolume('data', nowMs - 3 * dayMs, 'scheduled', { hostname: 'container-1', paths: ['/old'] }),
    ofVolume('data', nowMs - 2 * dayMs, 'scheduled', { hostname: 'container-2', paths: ['/new'] }),
    ofVolume('other', nowMs - 4 * dayMs),
  ];
  const decisions = decideRetention(snapshots, () => ({ ...none, last: 1 }), now);
  assert.deepEqual(
    decisions.map(({ group, keep: stays, reasons }) => [group.label, stays, reasons]),
    [
      ['shop/data', true, ['last']],
      ['shop/data', false, ['no rule keeps it']],
      ['shop/other', true, ['last']],
    ],
  );
});

test('snapshots of restic are grouped by host and paths, or as asked', () => {
  const snapshots = ['a', 'b'].flatMap((hostname, host) =>
    ['/x', '/y'].map((path, place) => aSnapshot({ id: idOf(host * 2 + place), hostname, paths: [path], tags: [path] })),
  );
  const labels = (host: boolean, paths: boolean, tags: boolean) => [
    ...new Set(decideRetention(snapshots, () => ({ ...none, last: 1 }), now, { host, paths, tags }).map(({ group }) => group.label)),
  ];
  assert.deepEqual(labels(true, true, false), ['a /x', 'a /y', 'b /x', 'b /y']);
  assert.deepEqual(labels(true, false, false), ['a', 'b']);
  assert.deepEqual(labels(false, false, true), ['/x', '/y']);
  assert.deepEqual(labels(false, false, false), ['all snapshots']);
});

test('manual and guard snapshots go by age alone, and take no place of the scheduled ones', () => {
  const snapshots = [
    ofVolume('data', nowMs - 1 * dayMs, 'manual'),
    ofVolume('data', nowMs - 2 * dayMs, 'scheduled'),
    ofVolume('data', nowMs - 3 * dayMs, 'guard'),
    ofVolume('data', nowMs - 4 * dayMs, 'scheduled'),
    ofVolume('data', nowMs - 100 * dayMs, 'guard'),
    ofVolume('data', nowMs - 101 * dayMs, 'manual', { tags: ['release'] }),
  ];
  const by = { ...none, daily: 2, withinHourly: parseSpan('1d'), tags: ['release'] };
  assert.deepEqual(
    decideRetention(snapshots, () => by, now).map(({ keep: stays, reasons }) => [stays, reasons.join('; ')]),
    [
      [true, 'manual, at most 90d old'],
      [true, 'daily 2026-11-20; hourly 2026-11-20 12h within 1d'],
      [true, 'manual, at most 90d old'],
      [true, 'daily 2026-11-18'],
      [false, 'manual, older than 90d'],
      [true, 'tag release'],
    ],
  );
});

test('days are those of the zone in which a snapshot was taken', () => {
  const times = ['2026-11-21T00:30:00+02:00', '2026-11-20T23:30:00+02:00', '2026-11-20T23:59:00Z'];
  const snapshots = times.map((time, number) => aSnapshot({ id: idOf(number), time }));
  const decisions = decideRetention(snapshots, () => ({ ...none, daily: 9 }), now);
  assert.deepEqual(
    decisions.map(({ snapshot, keep: stays }) => [snapshot.time, stays]),
    // The instants in order; 20 November occurs twice, as in restic.
    [
      ['2026-11-20T23:59:00Z', true],
      ['2026-11-21T00:30:00+02:00', true],
      ['2026-11-20T23:30:00+02:00', true],
    ],
  );
});

test('what nobody has a policy for stays', () => {
  const snapshots = [ofVolume('data', nowMs), ofVolume('data', nowMs - dayMs)];
  assert.ok(decideRetention(snapshots, () => undefined, now).every(({ keep: stays }) => stays));
});

test('a policy without any rule is known', () => {
  assert.ok(keepsNothing(none));
  assert.ok(keepsNothing({ ...none, within: parseSpan('0d') }));
  assert.ok(!keepsNothing({ ...none, tags: ['a'] }) && !keepsNothing({ ...none, withinDaily: parseSpan('1d') }));
  assert.ok(!keepsNothing({ ...none, yearly: -1 }));
});
