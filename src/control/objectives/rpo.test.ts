import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf, hourMs, inputsOf, jobOf, minuteMs, nowMs, snapshotOf } from '../../../test/assessed-project.ts';
import { fc } from '../../../test/properties.ts';
import { assess } from './assess.ts';
import type { VolumeAssessment } from './assessment.ts';
import { breachOf } from './rpo.ts';

const rpoMs = hourMs;
const volumeOf = (...[more]: Parameters<typeof inputsOf>): VolumeAssessment => assess(inputsOf(more)).volumes[0] as VolumeAssessment;
const kinds = ({ reasons }: VolumeAssessment) => reasons.map(({ kind }) => kind);

/** Snapshots of any age up to a day, good and bad ones. */
const histories = fc.array(
  fc.record({
    ageMs: fc.integer({ min: 0, max: 24 * hourMs }),
    consistency: fc.constantFrom('crash' as const, 'torn' as const, 'paused' as const),
    repaired: fc.boolean(),
    unreadable: fc.constantFrom(0, 0, 1),
  }),
  { maxLength: 12 },
);
const snapshotsOf = (history: { ageMs: number }[]) =>
  history
    .toSorted((a, b) => b.ageMs - a.ageMs)
    .map(({ ageMs, ...more }, index) => snapshotOf({ id: String(index), timeMs: nowMs - ageMs, ...more }));
type Some = ReturnType<typeof snapshotsOf>[number];
const isGood = ({ consistency, repaired, unreadable }: Some) => consistency !== 'torn' && !repaired && unreadable === 0;

test('broken for its RPO is who has no good snapshot that is young enough, and nobody else', () => {
  fc.assert(
    fc.property(histories, fc.boolean(), (history, scheduled) => {
      const snapshots = snapshotsOf(history);
      const volume = volumeOf({ snapshots, scheduled });
      const newestGoodMs = Math.max(...snapshots.filter(isGood).map(({ timeMs }) => timeMs));
      const isBroken = volume.reasons.some(({ kind, condition }) => kind.startsWith('rpo-') && condition === 'broken');
      if (nowMs - newestGoodMs <= rpoMs) assert.equal(isBroken, false);
      if (snapshots.length > 0 && nowMs > breachOf(newestGoodMs, rpoMs)) assert.ok(isBroken);
      assert.equal(kinds(volume).includes('never-backed-up'), snapshots.length === 0);
      assert.equal(volume.newestGood?.timeMs ?? Number.NEGATIVE_INFINITY, newestGoodMs);
    }),
  );
});

test('another good snapshot, newer than all, never makes it worse', () => {
  const rank = { good: 0, 'at-risk': 1, broken: 2 };
  const rpoRank = ({ reasons }: VolumeAssessment) =>
    Math.max(0, ...reasons.filter(({ kind }) => /^rpo-|never/.test(kind)).map(({ condition }) => rank[condition]));
  fc.assert(
    fc.property(histories, (history) => {
      const snapshots = snapshotsOf(history);
      const more = [...snapshots, snapshotOf({ id: 'new', timeMs: nowMs })];
      const [before, after] = [volumeOf({ snapshots }), volumeOf({ snapshots: more })];
      assert.ok(rpoRank(after) <= rpoRank(before));
      assert.equal(after.newestGood?.id, 'new');
    }),
  );
});

test('between the objective and its tolerance a volume is at risk, unless a backup is under way', () => {
  const snapshots = [snapshotOf({ timeMs: nowMs - 63 * minuteMs })];
  assert.deepEqual(kinds(volumeOf({ snapshots, scheduled: false })), ['rpo-at-risk']);
  const running = jobOf({ state: 'running', startedMs: nowMs - minuteMs });
  assert.equal(volumeOf({ snapshots, jobs: [running] }).condition, 'good');
});

test('the next backup that would end too late is told of before', () => {
  // At 12:30; the next one is at 13:00.
  const nextMs = nowMs + 30 * minuteMs;
  const snapshots = [snapshotOf({ timeMs: nextMs - hourMs })];
  const taking = (ms: number, count = 12) =>
    Array.from({ length: count }, (_, index) =>
      jobOf({
        id: `job-${99 - index}`,
        state: 'succeeded',
        startedMs: nowMs - (index + 1) * hourMs,
        endedMs: nowMs - (index + 1) * hourMs + ms,
      }),
    );
  assert.equal(volumeOf({ snapshots, jobs: taking(2 * minuteMs) }).condition, 'good');
  const late = volumeOf({ snapshots, jobs: taking(10 * minuteMs) });
  assert.deepEqual(kinds(late), ['rpo-at-risk']);
  assert.match(late.reasons[0]?.message ?? '', /begins in 30m.*takes up to 10m/);
  assert.match(volumeOf({ snapshots, configuration: configurationOf({ schedules: [] }) }).reasons[0]?.message ?? '', /no schedule/);
});

test('backups that take longer and longer are told of before one is too late', () => {
  const snapshots = [snapshotOf({ timeMs: nowMs - 30 * minuteMs })];
  const growing = Array.from({ length: 10 }, (_, index) => {
    const startedMs = nowMs - (10 - index) * hourMs;
    return jobOf({ id: `job-${10 + index}`, state: 'succeeded', startedMs, endedMs: startedMs + (1 + index * 0.5) * minuteMs });
  });
  assert.deepEqual(kinds(volumeOf({ snapshots, jobs: growing })), ['rpo-at-risk']);
  assert.equal(volumeOf({ snapshots, jobs: growing.slice(0, 4) }).condition, 'good');
});

test('a backup that fails is told of, with its error, until one succeeds', () => {
  const snapshots = [snapshotOf({ timeMs: nowMs - minuteMs })];
  const error = { code: 'storage-full' as const, message: 'no room on disk', remedy: 'make room' };
  const failed = jobOf({ id: 'job-1', state: 'failed', startedMs: nowMs - 9, endedMs: nowMs - 2, error });
  const [reason] = volumeOf({ snapshots, jobs: [failed] }).reasons;
  assert.deepEqual([reason?.kind, reason?.remedy], ['job-failing', 'make room']);
  assert.match(reason?.message ?? '', /no room on disk/);
  const old = [snapshotOf({ timeMs: nowMs - 900 * minuteMs })];
  const again = jobOf({ id: 'job-1', state: 'queued', queuedMs: nowMs - 9, notBeforeMs: nowMs + minuteMs });
  assert.match(volumeOf({ snapshots: old, jobs: [again] }).reasons[0]?.remedy ?? '', /^a backup is under way/);
  assert.match(volumeOf({ snapshots: old, jobs: [{ ...again, error }] }).reasons[0]?.remedy ?? '', /^holdfast backup/);
  assert.equal(volumeOf({ snapshots, jobs: [failed, jobOf({ id: 'job-2', state: 'succeeded', endedMs: nowMs - 1 })] }).condition, 'good');
});

test('a snapshot that was taken while all ran does not count where the configuration asks for more', () => {
  const snapshots = [snapshotOf({ timeMs: nowMs - minuteMs })];
  const volumes = (cut: 'pause' | 'auto') => configurationOf({ volume: { cut, source: { kind: 'by-name' } } });
  assert.equal(volumeOf({ snapshots, configuration: volumes('auto') }).condition, 'good');
  assert.deepEqual(kinds(volumeOf({ snapshots, configuration: volumes('pause') })), ['rpo-breached']);
  const paused = [snapshotOf({ timeMs: nowMs - minuteMs, consistency: 'paused' })];
  assert.equal(volumeOf({ snapshots: paused, configuration: volumes('pause') }).condition, 'good');
});
