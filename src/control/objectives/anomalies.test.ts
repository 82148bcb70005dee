import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brake, dayMs, hourMs, inputsOf, nowMs, snapshotOf } from '../../../test/assessed-project.ts';
import { fc, runs } from '../../../test/properties.ts';
import { judgeHistory } from '../../engine/maintenance/snapshot-evidence.ts';
import type { SnapshotEvidence } from '../state/evidence-table.ts';
import { assess } from './assess.ts';
import type { VolumeAssessment } from './assessment.ts';
import { anomalyOf, judgeEvidence } from './judge-evidence.ts';

const MiB = 2 ** 20;
const yearDays = 365;
const volume = { cut: 'auto', source: { kind: 'by-name' }, retention: { brake } } as unknown as Parameters<typeof judgeEvidence>[1];
const none = new Map();

/** A generator of its own (Park and Miller's), so that a seed makes a year. */
function chance(seed: number): () => number {
  let state = (Math.abs(seed) % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

type Day = { bytes: number; files: number; changedFiles: number; addedBytes: number; ratio: number };
/** What a volume was like at a day of the year. */
type Kind = (day: number, random: () => number, before: Day | undefined) => Day;

const start: Day = { bytes: 1024 * MiB, files: 10_000, changedFiles: 10_000, addedBytes: 1024 * MiB, ratio: 0.4 };

/** Grows by up to a fifth of a percent a day, changes by up to 8%, as text does. */
const gradual: Kind = (_, random, before = start) => {
  const grown = Math.round(before.bytes * 0.002 * random());
  const changed = Math.round(before.files * 0.08 * random());
  return {
    bytes: before.bytes + grown,
    files: before.files + Math.round(20 * random()),
    changedFiles: changed,
    addedBytes: grown + Math.round(before.bytes * 0.08 * random()),
    ratio: 0.3 + 0.2 * random(),
  };
};
/** Little at weekends; on Sundays, a job rewrites a third of it. */
const weekly: Kind = (day, random, before = start) => {
  const rewritten = day % 7 === 0 ? 0.33 : day % 7 === 6 ? 0 : 0.05 * random();
  const { bytes, files } = before;
  return {
    bytes: Math.round(bytes * 1.0005),
    files,
    changedFiles: Math.round(files * rewritten),
    addedBytes: Math.round(bytes * rewritten),
    ratio: 0.3 + 0.15 * random(),
  };
};
/** Photographs come in: they don't compress, now and then many at once. */
const uploads: Kind = (_, random, before = start) => {
  const many = random() < 0.03 ? 300 : 5 * random();
  const grown = Math.round(many * MiB);
  return {
    bytes: before.bytes + grown,
    files: before.files + Math.ceil(many),
    changedFiles: 3,
    addedBytes: grown + 100_000,
    ratio: 0.6 + 0.39 * random(),
  };
};
/** Logs, which are compressed and removed every week. */
const logs: Kind = (day, random) => {
  const days = (day % 7) + 1;
  const aDay = (20 + 10 * random()) * MiB;
  const isRotation = day % 7 === 0;
  return {
    bytes: Math.round(400 * MiB + days * aDay),
    files: 60 + days,
    changedFiles: 5,
    addedBytes: Math.round(isRotation ? 20 * MiB : aDay),
    ratio: isRotation ? 0.99 : 0.1,
  };
};
/** A folder of dumps: all of it is new every night. */
const dumps: Kind = (_, random, before = start) => {
  const bytes = Math.round(before.bytes * (0.98 + 0.05 * random()));
  return { bytes, files: 40, changedFiles: 40, addedBytes: bytes, ratio: 0.99 };
};
const kinds = { gradual, weekly, uploads, logs, dumps };

function year(kind: Kind, seed: number, disaster?: { day: number; strike(day: Day): Day; after?: Kind }): SnapshotEvidence[] {
  const random = chance(seed);
  let before: Day | undefined;
  return Array.from({ length: yearDays }, (_, day) => {
    const ordinary = (disaster?.after !== undefined && day > disaster.day ? disaster.after : kind)(day, random, before);
    before = day === disaster?.day ? disaster.strike(ordinary) : ordinary;
    const { bytes, files, changedFiles, addedBytes, ratio } = before;
    return snapshotOf({
      ...{ bytes, files, addedBytes },
      id: String(day),
      ...(day === 0 ? {} : { parent: String(day - 1) }),
      timeMs: nowMs - (yearDays - day) * dayMs,
      filesChanged: changedFiles,
      addedPackedBytes: Math.round(addedBytes * ratio),
    });
  });
}

const anomaliesOf = (snapshots: SnapshotEvidence[]) => judgeEvidence(snapshots, volume, none, nowMs).flatMap((one) => anomalyOf(one) ?? []);

for (const [name, kind] of Object.entries(kinds)) {
  test(`a year of ordinary life raises nothing: ${name}`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), (seed) => {
        assert.deepEqual(anomaliesOf(year(kind, seed)), []);
      }),
      { numRuns: runs(40) },
    );
  });
}

const disasters = {
  entropy: (day: Day) => ({ ...day, changedFiles: 3_500, addedBytes: Math.round(day.bytes * 0.35), ratio: 1.001 }),
  churn: (day: Day) => ({ ...day, changedFiles: day.files, addedBytes: day.bytes, ratio: 1.001 }),
  grown: (day: Day) => ({ ...day, bytes: day.bytes * 3, addedBytes: day.bytes * 2, ratio: 0.05 }),
  shrunken: (day: Day) => ({ ...day, bytes: Math.round(day.bytes * 0.2), addedBytes: 0 }),
  'files-lost': (day: Day) => ({ ...day, files: Math.round(day.files * 0.3), addedBytes: 0 }),
  emptied: (day: Day) => ({ ...day, files: 0, bytes: 0, changedFiles: 0, addedBytes: 0 }),
};
for (const [expected, strike] of Object.entries(disasters)) {
  test(`found on its day, whatever the year was like: ${expected}`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.constantFrom(gradual, weekly), (seed, kind) => {
        const [first] = anomaliesOf(year(kind, seed, { day: 200, strike }));
        assert.deepEqual([first?.kind, first?.snapshot], [expected, '200']);
      }),
      { numRuns: runs(20) },
    );
  });
}

test('what follows an encryption is wrong too, until somebody confirms it', () => {
  const quiet: Kind = (_, __, before = start) => ({ ...before, changedFiles: 0, addedBytes: 0 });
  const snapshots = year(gradual, 1, { day: 200, strike: disasters.entropy, after: quiet });
  assert.deepEqual(
    anomaliesOf(snapshots).map(({ snapshot }) => Number(snapshot)),
    Array.from({ length: yearDays - 200 }, (_, index) => 200 + index),
  );
  const confirmed = snapshots.map((snapshot) => (snapshot.id === '210' ? { ...snapshot, tags: ['brake=good'] } : snapshot));
  assert.equal(anomaliesOf(confirmed).length, 10);
});

test('growth is out of the ordinary once: what stays large is good again', () => {
  assert.deepEqual(
    anomaliesOf(year(gradual, 1, { day: 200, strike: disasters.grown })).map(({ snapshot }) => snapshot),
    ['200'],
  );
});

/** Nothing in it, so many days ago. */
const emptyOne = (daysAgo: number, more: Partial<SnapshotEvidence> = {}) =>
  snapshotOf({ timeMs: nowMs - daysAgo * dayMs, bytes: 0, files: 0, filesChanged: 0, addedBytes: 0, addedPackedBytes: 0, ...more });

test('a volume that was always empty is as it should be from its first backup on, and needs no drill to be', () => {
  const snapshots = [emptyOne(0)];
  const [found] = assess(inputsOf({ snapshots, scheduled: true })).volumes as [VolumeAssessment];
  assert.deepEqual([found.condition, found.reasons, found.anomalies, found.size.files], ['good', [], [], 0]);
  assert.equal(found.newestGood?.id, snapshots[0]?.id);
});

test('a volume that was wiped is known as such by all repositories, also by one that has seen it empty only', () => {
  const full = snapshotOf({ timeMs: nowMs - 90 * dayMs });
  const wiped = Array.from({ length: 80 }, (_, i) => [emptyOne(80 - i), emptyOne(80 - i, { repository: 'away' })]).flat();
  assert.equal(anomaliesOf([full, ...wiped]).length, wiped.length);
  assert.equal(anomaliesOf(wiped).length, 0, 'nobody knows better');
  const [found] = assess(inputsOf({ snapshots: [full, ...wiped] })).volumes as [VolumeAssessment];
  assert.deepEqual([found.condition, found.newestGood?.id], ['broken', full.id]);
  const confirmed = [full, ...wiped.slice(0, -1), { ...(wiped.at(-1) as SnapshotEvidence), tags: ['brake=good'] }];
  assert.equal(anomaliesOf(confirmed).length, wiped.length - 1);
});

test('of few snapshots nothing is thought', () => {
  const snapshots = year(gradual, 1, { day: 3, strike: disasters.entropy }).slice(0, 4);
  assert.deepEqual(anomaliesOf(snapshots), []);
});

test('what status calls out of the ordinary is what the brake holds', () => {
  const snapshots = year(gradual, 7, { day: 200, strike: disasters.entropy });
  const facts = snapshots.map((snapshot) => ({ ...snapshot, time: '', parent: snapshot.parent, begunMs: snapshot.begunMs, torn: false }));
  const held = [...judgeHistory(facts, brake, nowMs).keys()].map(({ id }) => id);
  assert.deepEqual(
    anomaliesOf(snapshots).map(({ snapshot }) => snapshot),
    held,
  );
});

test('a volume whose newest snapshot is out of the ordinary is at risk, names the command, and the one before counts', () => {
  const snapshots = year(gradual, 1, { day: 364, strike: disasters.emptied }).map((one) => ({
    ...one,
    timeMs: one.timeMs + dayMs - hourMs / 2,
  }));
  const [found] = assess(inputsOf({ snapshots, scheduled: false })).volumes as [VolumeAssessment];
  assert.equal(
    found.reasons.find(({ kind }) => kind === 'anomaly')?.remedy,
    'holdfast diff 363 364; if it is as it should be: holdfast tag 364 --add brake=good',
  );
  assert.deepEqual([found.newest?.id, found.newestGood?.id], ['364', '363']);
  assert.equal(found.anomalies[0]?.kind, 'emptied');
});
