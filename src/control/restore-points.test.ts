import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HoldfastError } from '../model/errors.ts';
import type { SnapshotId } from '../model/ids.ts';
import { type StoredSnapshot, tagsFromIdentity } from '../model/snapshot.ts';
import { chooseAt, restorePoints, snapshotsOfProject, withoutReplacements } from './restore-points.ts';

let made = 0;
function snapshot(run: string, volume: string, time: string, project = 'p'): StoredSnapshot {
  const tags = tagsFromIdentity({ project, volume, run, class: 'manual', consistency: 'crash' });
  return {
    id: (++made).toString(16).padStart(64, '0') as SnapshotId,
    time,
    tags: [...tags, 'another'],
    paths: [],
  } as unknown as StoredSnapshot;
}

/** Two whole restore points, and a third in which a volume failed. */
const snapshots = [
  snapshot('r1', 'a', '2024-01-01T00:00:00Z'),
  snapshot('r1', 'b', '2024-01-01T00:00:05Z'),
  snapshot('r2', 'b', '2024-01-02T05:45:00+05:45'),
  snapshot('r2', 'a', '2024-01-02T00:00:09.5Z'),
  snapshot('r3', 'a', '2024-01-03T00:00:00Z'),
  snapshot('rx', 'a', '2024-01-04T00:00:00Z', 'another project'),
];
const points = restorePoints(snapshots, 'p');
const at = (time: string) => Date.parse(time);

test('a restore point is what has the same run, at the time of its last snapshot; in order of time', () => {
  for (const order of [snapshots, [...snapshots].reverse()]) {
    const described = restorePoints(order, 'p').map(({ run, timeMs, snapshots: of }) => [run, timeMs, [...of.keys()].sort().join()]);
    assert.deepEqual(described, [
      ['r1', at('2024-01-01T00:00:05Z'), 'a,b'],
      ['r2', at('2024-01-02T00:00:09.5Z'), 'a,b'],
      ['r3', at('2024-01-03T00:00:00Z'), 'a'],
    ]);
  }
});

test("other projects' snapshots and other programs' are not a project's", () => {
  const foreign = { ...snapshot('r', 'a', '2024-01-01T00:00:00Z'), tags: ['volume=a'] };
  assert.equal(snapshotsOfProject([...snapshots, foreign], 'p').length, 5);
  assert.deepEqual(restorePoints([foreign], 'p'), []);
});

function chosen(volumes: string[], timeMs: number): string[] {
  return chooseAt(points, volumes, timeMs).map(({ volume, snapshot: { id }, fromEarlierPoint }) => {
    const run = points.find((point) => point.snapshots.get(volume)?.id === id)?.run;
    return `${volume} of ${run}${fromEarlierPoint ? ', earlier' : ''}`;
  });
}

test('the newest at or before the time; a volume that it lacks comes from the newest before, and that is said', () => {
  assert.deepEqual(chosen(['a', 'b'], Number.POSITIVE_INFINITY), ['a of r3', 'b of r2, earlier']);
  assert.deepEqual(chosen(['b'], Number.POSITIVE_INFINITY), ['b of r2']);
  assert.deepEqual(chosen(['a', 'b'], at('2024-01-02T12:00:00Z')), ['a of r2', 'b of r2']);
});

test('a restore point counts from when it is complete', () => {
  assert.deepEqual(chosen(['a', 'b'], at('2024-01-02T00:00:09.5Z')), ['a of r2', 'b of r2']);
  assert.deepEqual(chosen(['a', 'b'], at('2024-01-02T00:00:09.4Z')), ['a of r1', 'b of r1']);
});

test('volumes that no restore point has are named', () => {
  const failing = (volumes: string[], timeMs: number, message: RegExp) =>
    assert.throws(
      () => chooseAt(points, volumes, timeMs),
      (error) => error instanceof HoldfastError && error.code === 'snapshot-missing' && message.test(error.message),
    );
  failing(['a', 'c', 'd'], Number.POSITIVE_INFINITY, /of c, d$/);
  failing(['a'], at('2023-12-31T00:00:00Z'), /at or before 2023-12-31T00:00:00\.000Z of a$/);
});

/** What a repair makes of a snapshot. */
const repaired = (damaged: StoredSnapshot): StoredSnapshot => ({
  ...damaged,
  id: (++made).toString(16).padStart(64, '0') as SnapshotId,
  tags: damaged.tags.includes('repaired') ? damaged.tags : [...damaged.tags, 'repaired'],
  original: damaged.id,
});

test('a damaged snapshot goes before the one that a repair made of it, as long as it is there', () => {
  const damaged = snapshot('r1', 'a', '2024-01-01T00:00:00Z');
  const once = repaired(damaged);
  const twice = repaired(once);
  const restored = (...there: StoredSnapshot[]) =>
    [there, there.toReversed()].map((order) => restorePoints(order, 'p').map(({ snapshots: of }) => of.get('a')));
  assert.deepEqual(restored(damaged, once, twice), [[damaged], [damaged]]);
  assert.deepEqual(restored(once, twice), [[once], [once]]);
  assert.deepEqual(restored(twice), [[twice], [twice]]);
});

test('a damaged snapshot whose tags were changed since, and with them its id, is still known', () => {
  const damaged = snapshot('r1', 'a', '2024-01-01T00:00:00Z');
  const retagged = { ...damaged, id: 'ff'.repeat(32) as SnapshotId, tags: [...damaged.tags, 'keep'], original: damaged.id };
  assert.deepEqual(withoutReplacements([repaired(damaged), retagged]), [retagged]);
});

test("other programs' repaired snapshots; those of other volumes and times stay", () => {
  const foreign = { ...snapshot('r', 'a', '2024-01-01T00:00:00Z'), tags: [], hostname: 'h', paths: ['/x'] };
  const elsewhere = { ...repaired(foreign), original: undefined, paths: ['/y'] };
  const later = { ...repaired(foreign), original: undefined, time: '2024-01-01T00:00:01Z' };
  assert.deepEqual(withoutReplacements([foreign, repaired(foreign), elsewhere, later]), [foreign, elsewhere, later]);
});
