import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { configurationOf, dayMs, hourMs, inputsOf, jobOf, minuteMs, nowMs, snapshotOf } from '../../../test/assessed-project.ts';
import { createEvidenceTable } from '../state/evidence-table.ts';
import { createJobTable } from '../state/job-table.ts';
import { createFacts, createUsageTable } from '../state/log-tables.ts';
import { openState } from '../state/state.ts';
import { assess } from './assess.ts';
import type { RepositoryAssessment, VolumeAssessment } from './assessment.ts';
import { predictRto } from './rto.ts';

type Known = Parameters<typeof inputsOf>[0];
const young = () => snapshotOf({ id: 'young', timeMs: nowMs - minuteMs });
const volumeOf = (known: Known): VolumeAssessment => assess(inputsOf({ snapshots: [young()], ...known })).volumes[0] as VolumeAssessment;
const repositoryOf = (known: Known) => assess(inputsOf({ snapshots: [young()], ...known })).repositories[0] as RepositoryAssessment;
const kinds = ({ reasons }: { reasons: { kind: string }[] }) => reasons.map(({ kind }) => kind);

const check = (part: number, findings: Record<string, number> | undefined, more: object = {}, affected?: string[]) =>
  jobOf({
    spec: { kind: 'check', repository: 'local', part, parts: 30 },
    state: findings === undefined ? 'succeeded' : 'failed',
    result: { snapshots: [], warnings: 0, ...(findings && { findings }), ...(affected && { affected }) },
    endedMs: nowMs - hourMs,
    ...more,
  });

test('damage stands until the part that has it was read again, whatever other parts are like', () => {
  const [bad, other, again] = [
    check(3, { 'blob-damaged': 2 }, { id: 'a' }),
    check(4, undefined, { id: 'b' }),
    check(3, undefined, { id: 'c' }),
  ];
  for (const jobs of [[bad], [bad, other]]) {
    const found = repositoryOf({ jobs });
    assert.deepEqual([found.condition, kinds(found), found.lastCheck?.ok], ['broken', ['check-failed'], false]);
  }
  assert.equal(repositoryOf({ jobs: [bad, other, again] }).condition, 'good');
  const all = check(1, undefined, { id: 'd', spec: { kind: 'check', repository: 'local', part: 1, parts: 1 } });
  assert.equal(repositoryOf({ jobs: [bad, all] }).condition, 'good');
});

test('a check that could not look says nothing of what is stored', () => {
  const unreachable = check(3, {}, { id: 'b', state: 'failed' });
  assert.deepEqual(kinds(repositoryOf({ jobs: [check(3, { 'blob-damaged': 1 }, { id: 'a' }), unreachable] })), ['check-failed']);
  assert.equal(repositoryOf({ jobs: [unreachable] }).condition, 'good');
});

test('a snapshot that damage affects does not count; where a check does not say which, none that it saw does', () => {
  const older = snapshotOf({ id: 'older', timeMs: nowMs - 30 * minuteMs });
  const at = (affected: string[] | undefined, endedMs: number) =>
    volumeOf({ snapshots: [older, young()], jobs: [check(1, { 'blob-damaged': 1 }, { endedMs }, affected)] }).newestGood?.id;
  assert.equal(at(['young'], nowMs), 'older');
  assert.equal(at(['older'], nowMs), 'young');
  assert.equal(at(undefined, nowMs), undefined);
  assert.equal(at(undefined, nowMs - 2 * minuteMs), 'young');
  const elsewhere = { ...young(), repository: 'offsite', id: 'elsewhere' };
  const configuration = configurationOf({ repositories: [{ name: 'local' }, { name: 'offsite' }] as never });
  const found = volumeOf({ configuration, snapshots: [young(), elsewhere], jobs: [check(1, { 'blob-damaged': 1 }, { endedMs: nowMs })] });
  assert.equal(found.newestGood?.id, 'elsewhere');
});

test('a repository that cannot be reached is at risk, and broken when it lasts', () => {
  const unseen = { atMs: nowMs, message: 'refused' };
  const reached = (agoMs: number) => repositoryOf({ facts: { 'unseen local': unseen, 'seen local': { atMs: nowMs - agoMs } } }).condition;
  assert.equal(reached(10 * minuteMs), 'at-risk');
  assert.equal(reached(2 * hourMs), 'broken');
});

test('for a repository that is not there, what is said depends on whether it was there before', () => {
  const unseen = { atMs: nowMs, message: 'there is no repository', code: 'no-repository', remedy: 'as the catalogue has it' };
  const remedy = (facts: Record<string, unknown>) => repositoryOf({ facts }).reasons[0]?.remedy;
  assert.equal(remedy({ 'unseen local': unseen }), 'holdfast init --repository local');
  assert.match(remedy({ 'unseen local': unseen, 'seen local': { atMs: nowMs } }) ?? '', /^see that its disk is mounted/);
  assert.equal(remedy({ 'unseen local': { ...unseen, code: 'wrong-password' } }), unseen.remedy);
  assert.equal(remedy({ 'unseen local': { ...unseen, code: 'storage-unreachable' } }), 'holdfast snapshots --repository local');
});

test('checks, copies and drills are late when two were due since the last, also of a daemon that is often started; not of one that has just begun, or of a new task', () => {
  const daily = { at: { kind: 'every' as const, everyMs: dayMs }, jitterMs: 0, priority: 1, deadlineMs: hourMs, attempts: 1 };
  const configuration = configurationOf({
    maintenance: { forget: undefined, check: { ...daily, rereadMs: 30 * dayMs }, usage: undefined },
    drills: daily,
    repositories: [{ name: 'local', maintenance: true }, { name: 'offsite' }] as never,
    schedules: [...configurationOf().schedules, { name: 'copy', ...daily, action: { kind: 'copy', from: 'local', to: 'offsite' } }],
  });
  const late = assess(inputsOf({ configuration, snapshots: [young()] }));
  assert.deepEqual([...late.repositories, ...late.volumes].map(kinds), [['check-late'], ['copy-late'], ['drill-late']]);
  const fresh = assess(inputsOf({ configuration, snapshots: [young()], startedMs: nowMs - minuteMs }));
  assert.equal(fresh.condition, 'good');
  const restarted = { configuration, snapshots: [young()], startedMs: nowMs - 3 * hourMs };
  const known = (agoMs: number) => ({ facts: { 'task check local': { atMs: nowMs - agoMs } } });
  assert.deepEqual(kinds(repositoryOf({ ...restarted, ...known(9 * dayMs) })), ['check-late']);
  assert.deepEqual(kinds(repositoryOf({ ...restarted, startedMs: 0, ...known(hourMs) })), []);
  const drilled = { volume: 'data', snapshot: 'young', bytes: 2 ** 30, files: 1_000, durationMs: minuteMs, verified: true };
  const endedMs = nowMs - hourMs;
  const jobs = [
    check(1, undefined, { id: 'a', endedMs }),
    jobOf({ id: 'b', spec: { kind: 'copy', from: 'local', to: 'offsite' }, endedMs }),
    jobOf({ id: 'c', spec: { kind: 'drill', repository: 'local' }, endedMs, result: { snapshots: [], warnings: 0, drilled: [drilled] } }),
  ];
  assert.equal(assess(inputsOf({ configuration, snapshots: [young()], jobs })).condition, 'good');
  const wrong = jobs.with(2, {
    ...(jobs[2] as (typeof jobs)[number]),
    state: 'failed',
    result: { snapshots: [], warnings: 0, drilled: [{ ...drilled, verified: false }] },
  });
  const found = assess(inputsOf({ configuration, snapshots: [young()], jobs: wrong })).volumes[0] as VolumeAssessment;
  assert.deepEqual([found.condition, kinds(found)[0]], ['broken', 'drill-failed']);
});

test('a backup that failed for another volume is no failure of this one, whose snapshot it made', () => {
  const error = { code: 'volume-missing' as const, message: 'volume other: gone', remedy: 'look', volume: 'other' };
  const failed = jobOf({ state: 'failed', exitCode: 1, error, startedMs: nowMs - 10 * minuteMs, endedMs: nowMs - minuteMs });
  const made = (agoMs: number) => volumeOf({ snapshots: [snapshotOf({ timeMs: nowMs - agoMs })], jobs: [failed] });
  assert.deepEqual(kinds(made(5 * minuteMs)), []);
  assert.deepEqual(kinds(made(11 * minuteMs)), ['job-failing']);
  const waiting = { ...failed, state: 'queued' as const, startedMs: undefined, endedMs: undefined, queuedMs: nowMs - 10 * minuteMs };
  const own = { ...waiting, error: { ...error, message: 'volume data: gone', volume: 'data' } };
  const [reason] = volumeOf({ snapshots: [snapshotOf({ timeMs: nowMs - 11 * minuteMs })], jobs: [own] }).reasons;
  assert.deepEqual([reason?.kind, reason?.message], ['volume-missing', 'the last backup failed: volume data: gone']);
  assert.deepEqual(kinds(volumeOf({ snapshots: [snapshotOf({ timeMs: nowMs - 5 * minuteMs })], jobs: [waiting] })), []);
});

test('the prediction of a restore is about what drills measured, and the surer the more there were', () => {
  const size = { bytes: 10 * 2 ** 30, files: 10_000 };
  const drills = Array.from({ length: 8 }, (_, index) => ({ bytes: 2 ** 30, files: 1_000, durationMs: 62_000 + 500 * index }));
  const [one, many] = [predictRto(hourMs, size, drills.slice(0, 1), []), predictRto(hourMs, size, drills, [])];
  for (const { predictedMs = 0, leastMs = 0, mostMs = 0, basis } of [one, many]) {
    assert.equal(basis, 'drills');
    assert.ok(predictedMs > 9.5 * minuteMs && predictedMs < 11 * minuteMs, String(predictedMs));
    assert.ok(leastMs < predictedMs && predictedMs < mostMs);
  }
  assert.ok((one.mostMs ?? 0) - (one.leastMs ?? 0) > (many.mostMs ?? 0) - (many.leastMs ?? 0));
  const guessed = predictRto(hourMs, size, [], drills);
  assert.deepEqual([guessed.basis, (guessed.mostMs ?? 0) >= 4 * (guessed.predictedMs ?? 0)], ['throughput', true]);
  assert.equal(predictRto(hourMs, size, [], []).basis, undefined);
});

test('an RTO is at risk where the upper bound exceeds it, breached where the lower one does, unknown without any measure', () => {
  const first = snapshotOf({ id: 'first', timeMs: nowMs - minuteMs, durationMs: hourMs });
  const found = (rtoMs: number) =>
    kinds(
      volumeOf({
        snapshots: [first],
        scheduled: false,
        configuration: configurationOf({ volume: { objectives: { rpoMs: hourMs, rtoMs } } }),
      }),
    );
  assert.deepEqual(found(5 * hourMs), []);
  assert.deepEqual(found(2 * hourMs), ['rto-at-risk']);
  assert.deepEqual(found(10 * minuteMs), ['rto-breached']);
  const nothingMeasured = { snapshots: [{ ...first, addedBytes: 0, durationMs: minuteMs }] };
  assert.deepEqual(kinds(volumeOf(nothingMeasured)), ['rto-unknown']);
  // Nobody drills by itself there, and nobody keeps what drills found.
  assert.deepEqual(kinds(volumeOf({ ...nothingMeasured, scheduled: false })), []);
});

test('a volume that will be full within days is told of', () => {
  const GiB = 2 ** 30;
  const snapshots = [4, 3, 2, 1, 0].map((days) =>
    snapshotOf({
      id: String(days),
      timeMs: nowMs - days * dayMs - minuteMs,
      bytes: (10 - days) * GiB,
      files: 1_000,
      addedBytes: (10 - days) * GiB,
    }),
  );
  const found = (sizeBytes: number) => volumeOf({ snapshots, configuration: configurationOf({ volume: { sizeBytes } }) });
  assert.deepEqual(kinds(found(13 * GiB)), ['volume-filling']);
  assert.match(found(13 * GiB).reasons[0]?.message ?? '', /full in 3d/);
  assert.deepEqual(kinds(found(40 * GiB)), []);
});

test('a thousand volumes with ten thousand snapshots are judged in a moment', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-assess-'));
  const state = openState(join(folder, 'state.sqlite'));
  try {
    const volumes = Array.from({ length: 1_000 }, (_, index) => `volume-${index}`);
    const [evidence, jobs] = [createEvidenceTable(state), createJobTable(state)];
    evidence.add(
      volumes.flatMap((volume) =>
        Array.from({ length: 10 }, (_, index) =>
          snapshotOf({ id: `${volume}-${index}`, volume, timeMs: nowMs - (10 - index) * 5 * minuteMs }),
        ),
      ),
    );
    const made = volumes.map((volume) => ({
      volume,
      id: `${volume}-9`,
      consistency: 'crash' as const,
      unreadable: 0,
      bytes: 1,
      files: 1,
      addedBytes: 1,
    }));
    const startedMs = nowMs - 10 * minuteMs;
    for (let index = 0; index < 24; index++)
      jobs.add(jobOf({ id: `job-${10 + index}`, startedMs, endedMs: startedMs + minuteMs, result: { snapshots: made, warnings: 0 } }));
    const inputs = {
      ...inputsOf({ configuration: configurationOf({ volumes }) }),
      ...{ evidence, jobs, usage: createUsageTable(state), facts: createFacts(state) },
    };
    assert.equal(assess(inputs).condition, 'good');
    const times = Array.from({ length: 5 }, () => {
      const begun = process.cpuUsage();
      assess(inputs);
      const { user, system } = process.cpuUsage(begun);
      return (user + system) / 1_000;
    });
    // 50 ms of processor time on an idle machine; what grows with the square of either number takes seconds.
    assert.ok(Math.min(...times) < 500, times.map((ms) => ms.toFixed(0)).join(' '));
    if (process.env.HOLDFAST_FIGURES !== undefined) console.log(times);
  } finally {
    state.close();
    rmSync(folder, { recursive: true });
  }
});
