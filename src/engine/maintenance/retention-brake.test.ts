import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc, runs } from '../../../test/properties.ts';
import { aSnapshot, history, noRules, policy as somePolicy, timeOf } from '../../../test/snapshot-histories.ts';
import type { SnapshotId } from '../../model/ids.ts';
import { type Consistency, type SnapshotSummary, type StoredSnapshot, tagsFromIdentity } from '../../model/snapshot.ts';
import { decideRetention, type RetentionPolicy } from './retention.ts';
import { applyBrake, type BrakedDecision } from './retention-brake.ts';
import { type BrakeSettings, confirmedTag, judgeSnapshots } from './snapshot-evidence.ts';
import { groupSnapshots } from './snapshot-groups.ts';

const nowMs = Date.parse('2026-11-22T12:00:00Z');
const dayMs = 86_400_000;
const settings: BrakeSettings = { enabled: true, shrinkPercent: 50, churnPercent: 90, unreadable: 0, torn: true };
const daily = (count: number): RetentionPolicy => ({ ...noRules, daily: count });

const usualFiles = 1000;
const usualBytes = 100 * 1024 * 1024;

type Look = {
  files?: number;
  bytes?: number;
  changed?: number;
  added?: number;
  problems?: number;
  consistency?: Consistency;
  tags?: string[];
};

/** A volume's snapshots, one a day, the last of them today. */
function dailySnapshots(looks: readonly Look[]): StoredSnapshot[] {
  return looks.map((look, place) => {
    const timeMs = nowMs - (looks.length - place) * dayMs;
    const { files = usualFiles, bytes = usualBytes, changed = 5, added = 5_000, consistency = 'crash', tags = [] } = look;
    const identity = { project: 'shop', volume: 'data', run: String(place), class: 'scheduled', consistency } as const;
    return aSnapshot({
      id: (place + 1).toString(16).padStart(64, '0') as SnapshotId,
      time: timeOf(timeMs),
      parent: place === 0 ? undefined : (place.toString(16).padStart(64, '0') as SnapshotId),
      tags: [...tagsFromIdentity(identity), ...tags],
      summary: {
        filesChanged: changed,
        filesNew: 0,
        dataAdded: added,
        totalFilesProcessed: files,
        totalBytesProcessed: bytes,
        backupStart: timeOf(timeMs),
        backupEnd: timeOf(timeMs),
      } as SnapshotSummary,
      ...(look.problems === undefined ? {} : { problems: look.problems }),
    });
  });
}

const good: Look = {};
const times = (count: number, look: Look): Look[] => Array.from({ length: count }, () => look);

/** What looks wrong, oldest first; empty for what looks good. */
function suspicions(looks: readonly Look[], given: Partial<BrakeSettings> = {}): string[] {
  const snapshots = dailySnapshots(looks);
  const evidence = judgeSnapshots(snapshots.toReversed(), { ...settings, ...given }, new Date(nowMs));
  return snapshots.map((snapshot) => evidence.get(snapshot)?.kind ?? '');
}

const evidenceOf = (snapshots: readonly StoredSnapshot[]) =>
  new Map(groupSnapshots(snapshots).flatMap((group) => [...judgeSnapshots(group.snapshots, settings, new Date(nowMs))]));

function braked(snapshots: readonly StoredSnapshot[], policy: RetentionPolicy, evidence = evidenceOf(snapshots)): BrakedDecision[] {
  const now = new Date(nowMs);
  return applyBrake(
    decideRetention(snapshots, () => policy, now),
    evidence,
    () => policy,
    now,
  );
}
const kept = (decisions: readonly BrakedDecision[]) => decisions.filter(({ keep }) => keep).map(({ snapshot }) => snapshot);

test('what is empty, shrunken, torn or lacks files looks wrong', () => {
  const shrunkenBytes = { bytes: usualBytes * 0.49 };
  const shrunkenFiles = { files: usualFiles * 0.49 };
  assert.deepEqual(
    suspicions([good, { files: 0, bytes: 0 }, shrunkenBytes, good, shrunkenFiles, { consistency: 'torn' }, { problems: 1 }, good]),
    ['', 'empty', 'shrunken', '', 'shrunken', 'torn', 'unreadable', ''],
  );
});

const empty: Look = { files: 0, bytes: 0 };

test('only what held something before is suspicious when it is empty, however long ago that was', () => {
  assert.deepEqual(suspicions([empty, ...times(8, empty), good]), ['', ...times(9, {}).map(() => '')], 'nor is what fills it');
  assert.deepEqual(
    suspicions([empty, good, ...times(90, empty)]).slice(1),
    ['', ...times(90, {}).map(() => 'empty')],
    'that more followed is no reason to believe them',
  );
  assert.deepEqual(suspicions([...times(7, good), empty, good]).slice(7), ['empty', ''], 'what is back has not grown');
  assert.deepEqual(suspicions([good, empty, { ...empty, tags: [confirmedTag] }, empty, good, empty]).slice(1), [
    'empty',
    '',
    '',
    '',
    'empty',
  ]);
  // What an old restic has stored may have held something.
  const [before, after] = dailySnapshots([good, empty]) as [StoredSnapshot, StoredSnapshot];
  const unknown = { ...before, summary: undefined };
  assert.equal(judgeSnapshots([after, unknown], settings, new Date(nowMs)).get(after)?.kind, 'empty');
});

test('run day after day, empty snapshots of what was always empty go as others do; the last with content stays when it is wiped', () => {
  const always = dailySnapshots(times(40, empty));
  const wiped = dailySnapshots([...times(20, empty), good, ...times(120, empty)]);
  const run = (all: readonly StoredSnapshot[]) => {
    let left: StoredSnapshot[] = [];
    for (const snapshot of all) left = kept(braked([...left, snapshot], daily(7))).toReversed();
    return left;
  };
  assert.deepEqual(run(always), always.slice(-7));
  assert.deepEqual(run(wiped), [...wiped.slice(14, 21), ...wiped.slice(-7)]);
});

test('thresholds are those of the settings, and each can be switched off', () => {
  const half = { files: usualFiles / 2, bytes: usualBytes / 2 };
  assert.deepEqual(suspicions([good, half]), ['', '']);
  assert.deepEqual(suspicions([good, half], { shrinkPercent: 51 }), ['', 'shrunken']);
  assert.deepEqual(suspicions([good, { files: 20 }], { shrinkPercent: undefined }), ['', '']);
  assert.deepEqual(suspicions([good, { problems: 2 }, { problems: 3 }], { unreadable: 2 }), ['', '', 'unreadable']);
  assert.deepEqual(suspicions([good, { problems: 2 }], { unreadable: undefined }), ['', '']);
  assert.deepEqual(suspicions([good, { consistency: 'torn' }], { torn: false }), ['', '']);
  assert.deepEqual(suspicions([good, { files: 0 }, { consistency: 'torn' }], { enabled: false }), ['', '', '']);
});

test('what is compared with is the median of the good ones: neither one huge snapshot nor wrong ones move it', () => {
  assert.deepEqual(suspicions([...times(3, good), { bytes: usualBytes * 100 }, good]), ['', '', '', '', '']);
  assert.deepEqual(
    suspicions([...times(3, good), ...times(20, { bytes: usualBytes / 10 })]).slice(3),
    times(20, {}).map(() => 'shrunken'),
  );
});

test('small volumes may shrink', () => {
  assert.deepEqual(
    suspicions([
      { files: 9, bytes: 60_000 },
      { files: 1, bytes: 10 },
    ]),
    ['', ''],
  );
});

test('nearly everything new looks wrong in a volume that changes little, and so does what follows', () => {
  const everything = { changed: usualFiles, added: usualBytes };
  assert.deepEqual(suspicions([...times(5, good), everything, good, good]).slice(5), ['churn', 'churn', 'churn']);
  const offBy = { changed: usualFiles * 0.89, added: usualBytes };
  assert.deepEqual(suspicions([...times(5, good), offBy]).at(-1), '');
  // Read anew as a whole, with --force: no new bytes.
  assert.equal(suspicions([...times(5, good), { changed: usualFiles, added: 900 }]).at(-1), '');
  // A folder of dumps is new every day; and nobody knows the habits of a young volume.
  assert.deepEqual(
    suspicions([good, ...times(5, everything)]),
    times(6, {}).map(() => ''),
  );
  assert.equal(suspicions([...times(5, good), everything], { churnPercent: undefined }).at(-1), '');
});

test('who confirms a snapshot says what is usual from now on', () => {
  const small = { bytes: usualBytes / 10 };
  const confirmed = { ...small, tags: [confirmedTag] };
  assert.deepEqual(suspicions([...times(4, good), small, confirmed, small, small]).slice(4), ['shrunken', '', '', '']);
  const everything = { changed: usualFiles, added: usualBytes };
  assert.deepEqual(suspicions([...times(5, good), { ...everything, tags: [confirmedTag] }, good]).slice(5), ['', '']);
  assert.deepEqual(suspicions([...times(5, good), everything, { tags: [confirmedTag] }, good]).slice(5), ['churn', '', '']);
});

test('a snapshot without a summary, as of an old restic, is taken for good', () => {
  const snapshots = [aSnapshot(), aSnapshot({ time: '2026-11-23T00:00:00Z' })];
  assert.equal(judgeSnapshots(snapshots, settings, new Date(nowMs * 2)).size, 0);
});

test('a mount that is gone for a month pushes out no good snapshot', () => {
  const before = dailySnapshots([...times(40, good)]);
  const all = dailySnapshots([...times(40, good), ...times(30, { files: 0, bytes: 0 })]);
  const keptBefore = kept(decideRetentionOnly(before, daily(7)));
  assert.equal(keptBefore.length, 7);
  const decisions = braked(all, daily(7));
  const keptGood = kept(decisions).filter(({ summary }) => summary?.totalFilesProcessed === usualFiles);
  assert.deepEqual(
    keptGood.map(({ id }) => id),
    keptBefore.map(({ id }) => id),
  );
  const held = decisions.filter(({ held: isHeld }) => isHeld);
  assert.equal(held.length, 7);
  assert.match(held[0]?.reasons.join() ?? '', /^held: the newest good snapshot,held: daily 2026-10-22, without those that look wrong$/);
  assert.match(held[1]?.reasons.join() ?? '', /^held: daily 2026-10-21, without/);
});

const decideRetentionOnly = (snapshots: readonly StoredSnapshot[], policy: RetentionPolicy) =>
  decideRetention(snapshots, () => policy, new Date(nowMs)).map((decision) => ({
    ...decision,
    suspicion: undefined,
    held: false,
    heldByClock: false,
  }));

test('a torn snapshot of the same day does not take the place of the good one', () => {
  const snapshots = dailySnapshots([good, good]);
  const [first, second] = snapshots as [StoredSnapshot, StoredSnapshot];
  const tornId = 'f'.repeat(64) as SnapshotId;
  const torn = {
    ...second,
    id: tornId,
    time: timeOf(Date.parse(second.time) + 3_600_000),
    tags: second.tags.map((tag) => tag.replace('crash', 'torn')),
  };
  assert.deepEqual(
    kept(braked([first, second, torn], daily(2))).map(({ id }) => id),
    [tornId, second.id, first.id],
  );
  assert.deepEqual(
    kept(decideRetentionOnly([first, second, torn], daily(2))).map(({ id }) => id),
    [tornId, first.id],
  );
});

test('the newest good snapshot stays whatever the policy says; if none is good, the newest', () => {
  const tagged = { ...daily(0), tags: ['release'] };
  const snapshots = dailySnapshots([good, good, { files: 0 }]);
  const decisions = braked(snapshots, tagged);
  assert.deepEqual(
    kept(decisions).map(({ id }) => id),
    [snapshots[1]?.id],
  );
  assert.deepEqual(
    decisions.map(({ held }) => held),
    [false, true, false],
  );
  const empties = dailySnapshots(times(3, { files: 0 }));
  assert.deepEqual(
    kept(braked(empties, tagged)).map(({ id }) => id),
    [empties[2]?.id],
  );
});

for (const [what, look] of Object.entries<Look>({
  empty: { files: 0, bytes: 0 },
  shrunken: { bytes: usualBytes / 3 },
  torn: { consistency: 'torn' },
  incomplete: { problems: 1 },
})) {
  test(`run day after day, the brake keeps the good ones while all that comes is ${what}`, () => {
    const all = dailySnapshots([...times(20, good), ...times(60, look)]);
    let left: StoredSnapshot[] = [];
    for (const snapshot of all) left = kept(braked([...left, snapshot], daily(7))).toReversed();
    assert.deepEqual(left, [...all.slice(13, 20), ...all.slice(-7)]);
  });
}

test('run day after day, the brake keeps what was before an implausible change for as long as nobody confirms it', () => {
  const everything = { changed: usualFiles, added: usualBytes };
  const all = dailySnapshots([...times(10, good), everything, ...times(100, good)]);
  const before = new Set(all.slice(0, 10));
  let left = all.slice(0, 10);
  for (const snapshot of all.slice(10)) left = kept(braked([...left, snapshot], daily(2))).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  assert.deepEqual(
    left.filter((snapshot) => before.has(snapshot)).map(({ id }) => id),
    [all[8]?.id, all[9]?.id],
  );
  assert.equal(left.length, 5, 'two before, two of now, and the one by which they are judged');
  const [confirmed] = left.slice(-1) as [StoredSnapshot];
  const after = [...left.slice(0, -1), { ...confirmed, tags: [...confirmed.tags, confirmedTag] }];
  // Of the two that would have stayed of the good ones, the older is from before; it goes with the next good one.
  assert.deepEqual(
    kept(braked(after, daily(2))).map(({ id }) => id),
    [all[110]?.id, all[109]?.id, all[9]?.id],
  );
});

const someLook = fc.constantFrom<Look>(
  good,
  good,
  good,
  { files: 0, bytes: 0 },
  { bytes: usualBytes / 10 },
  { consistency: 'torn' },
  { problems: 4 },
);
const someHistory = fc.array(someLook, { minLength: 1, maxLength: 40, size: 'max' }).map(dailySnapshots);

test('with the brake nothing good goes that would have stayed without the wrong ones, and nothing stays less than without the brake', () => {
  fc.assert(
    fc.property(someHistory, fc.integer({ min: 1, max: 9 }), (snapshots, count) => {
      const stays = new Set(kept(braked(snapshots, daily(count))));
      const isWrong = judgeSnapshots(snapshots.toReversed(), settings, new Date(nowMs));
      const onlyGood = snapshots.filter((snapshot) => !isWrong.has(snapshot));
      for (const snapshot of kept(decideRetentionOnly(onlyGood, daily(count)))) assert.ok(stays.has(snapshot));
      for (const snapshot of kept(decideRetentionOnly(snapshots, daily(count)))) assert.ok(stays.has(snapshot));
      assert.ok(stays.size <= 2 * count + 1, 'what the brake holds is bounded');
      assert.ok(stays.has((onlyGood.at(-1) ?? snapshots.at(-1)) as StoredSnapshot));
    }),
  );
});

test('with the brake, too, what was kept once is kept again, as long as it is judged alike', () => {
  fc.assert(
    fc.property(someHistory, fc.integer({ min: 1, max: 9 }), (snapshots, count) => {
      const evidence = evidenceOf(snapshots);
      const first = kept(braked(snapshots, daily(count), evidence));
      assert.deepEqual(kept(braked(first, daily(count), evidence)), first);
    }),
  );
});

/** The same snapshot at another time. */
const at = (snapshot: StoredSnapshot | undefined, ms: number): StoredSnapshot => ({
  ...(snapshot as StoredSnapshot),
  time: timeOf(ms),
});

test('a snapshot of the future lets no good one go, and is not the newest', () => {
  const snapshots = dailySnapshots(times(6, good));
  const [first] = snapshots;
  const wrong = at(first, nowMs + 365 * dayMs);
  const policy = { ...daily(0), last: 2 };
  const expected = kept(braked(snapshots.slice(1), policy));
  const decisions = braked([wrong, ...snapshots.slice(1)], policy);
  assert.equal(decisions.find(({ snapshot }) => snapshot === wrong)?.suspicion?.kind, 'future');
  assert.deepEqual(new Set(kept(decisions)), new Set([wrong, ...expected]), 'nor are those held that have it for a parent');
  const [newest] = expected;
  assert.ok(kept(braked([wrong, ...snapshots.slice(1)], { ...daily(0), last: 1 })).includes(newest as StoredSnapshot));
  // Clocks are never quite the same.
  const soon = at(first, nowMs + 30 * 60_000);
  assert.deepEqual(kept(braked([soon, ...snapshots.slice(1)], policy)).length, 2);
});

test('what was taken by a clock that was behind stays as long as its parent', () => {
  const snapshots = dailySnapshots(times(6, good));
  const behind = at(snapshots[5], nowMs - 300 * dayMs);
  const others = snapshots.slice(0, 5);
  const decisions = braked([...others, behind], daily(2));
  assert.ok(kept(decisions).includes(behind));
  assert.match(decisions.find(({ snapshot }) => snapshot === behind)?.reasons.join() ?? '', /older than its parent/);
  const withoutParent = braked([...others.slice(0, 4), behind], daily(2));
  assert.ok(!kept(withoutParent).includes(behind));
});

/** Snapshots of one volume at the moments of a history up to now, all alike. */
const somePast = history({ nowMs }).map((moments) =>
  moments
    .filter(({ time }) => Date.parse(time) <= nowMs)
    .map(({ time, tags }, number) => {
      const [look] = dailySnapshots([{ tags }]) as [StoredSnapshot];
      return stored({ ...look, id: number.toString(16).padStart(64, '0') as SnapshotId, time }, Date.parse(time));
    }),
);

/** The same, stored at another time than its own. */
const stored = (snapshot: StoredSnapshot, ms: number): StoredSnapshot => ({
  ...snapshot,
  summary: { ...(snapshot.summary as SnapshotSummary), backupStart: timeOf(ms), backupEnd: timeOf(ms) },
});

/** What may stand in a history where it does not belong: each with a wrong time, or imported. */
const somethingMisplaced = (past: readonly StoredSnapshot[]): fc.Arbitrary<StoredSnapshot> => {
  const of = (ms: number, given: Partial<StoredSnapshot>, look: Look = {}) => {
    const [snapshot] = dailySnapshots([look]) as [StoredSnapshot];
    return stored({ ...snapshot, id: 'f'.repeat(64) as SnapshotId, time: timeOf(ms), ...given }, nowMs - dayMs);
  };
  const [parent] = past;
  const someLookAtAll = fc.constantFrom<Look>(good, { files: 20, bytes: 70_000 }, { files: 90_000, bytes: usualBytes * 50 });
  const manual = (snapshot: StoredSnapshot) => ({ ...snapshot, tags: snapshot.tags.map((tag) => tag.replace('scheduled', 'manual')) });
  const future = fc.tuple(fc.integer({ min: 2, max: 24 * 365 * 73 }), someLookAtAll);
  const past73Years = fc.tuple(fc.integer({ min: 2, max: 24 * 365 * 50 }), someLookAtAll);
  return fc.oneof(
    future.map(([hours, look]) => of(nowMs + hours * 3_600_000, {}, look)),
    past73Years.map(([hours, look]) => of(Date.parse(parent?.time ?? timeOf(nowMs)) - hours * 3_600_000, { parent: parent?.id }, look)),
    past73Years.map(([hours, look]) => manual(of(nowMs - hours * 3_600_000, {}, look))),
  );
};

for (const [what, given, force] of [
  ['with the brake', {}, false],
  ['with the brake off', { enabled: false }, false],
  ['with --force', {}, true],
] as const) {
  test(`one snapshot of the future, of a clock that was behind, or of an old archive lets none go that would stay (${what})`, () => {
    const judged = (snapshots: readonly StoredSnapshot[]) =>
      new Map(
        groupSnapshots(snapshots).flatMap((group) => [...judgeSnapshots(group.snapshots, { ...settings, ...given }, new Date(nowMs))]),
      );
    const stays = (snapshots: readonly StoredSnapshot[], by: RetentionPolicy) => {
      const decisions = braked(snapshots, by, judged(snapshots));
      return new Set(
        decisions.filter(({ keep, held, heldByClock }) => keep && (!held || !force || heldByClock)).map(({ snapshot }) => snapshot.id),
      );
    };
    const someCase = somePast
      .filter((past) => past.length > 0)
      .chain((past) => fc.record({ past: fc.constant(past), misplaced: somethingMisplaced(past), by: somePolicy() }));
    fc.assert(
      fc.property(someCase, ({ past, misplaced, by }) => {
        const before = stays(past, by);
        const after = stays([...past, misplaced], by);
        assert.deepEqual(
          [...before].filter((id) => !after.has(id)),
          [],
        );
      }),
      { numRuns: runs(400) },
    );
  });
}

test('an archive that is imported stays as long as a manual snapshot that is made now, and says nothing of what is usual', () => {
  const [snapshot] = dailySnapshots([{ files: 20, bytes: 70_000 }]) as [StoredSnapshot];
  const manual = { ...snapshot, time: '2019-05-01T00:00:00Z', tags: snapshot.tags.map((tag) => tag.replace('scheduled', 'manual')) };
  const policy = daily(2);
  const [imported] = braked([stored(manual, nowMs - 89 * dayMs)], policy);
  assert.deepEqual([imported?.keep, imported?.held, imported?.reasons], [true, false, ['manual, stored in the last 90d']]);
  const others = dailySnapshots(times(3, good));
  const old = { ...stored(manual, nowMs - 91 * dayMs), id: 'e'.repeat(64) as SnapshotId };
  assert.ok(!kept(braked([...others, old], policy)).includes(old));
  const archives = [1, 2, 3, 4, 5].map((year) => ({
    ...stored(manual, nowMs),
    id: String(year).repeat(64) as SnapshotId,
    time: `201${year}-05-01T00:00:00Z`,
  }));
  const shrunken = at(dailySnapshots([good, good, { bytes: usualBytes / 10 }]).at(-1), nowMs - 3_600_000);
  assert.equal(evidenceOf([...archives, ...others, shrunken]).get(shrunken)?.kind, 'shrunken');
});
