/**
 * A year of the daemon in a few seconds: the real scheduler, runner, evidence, assessment and retention, on a clock that passes by itself, and
 * repositories that are models. Storages fail, hosts are off, volumes cannot be read, files change while they are read. What the daemon says is
 * compared with what is true. HOLDFAST_TEST_YEAR=1 makes it a whole year of 50 volumes (minutes); HOLDFAST_TEST_SEED chooses another one.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDaemon } from '../../src/control/daemon.ts';
import type { Job } from '../../src/control/jobs/job.ts';
import type { Watch } from '../../src/control/jobs/run-job.ts';
import { assess } from '../../src/control/objectives/assess.ts';
import { openState } from '../../src/control/state/state.ts';
import { scratch } from '../peers.ts';
import { createFakeClock } from './fake-clock.ts';
import { createModelRepository, type ModelSnapshot } from './model-repository.ts';
import { aProject } from './plane.ts';

const [minuteMs, hourMs, dayMs] = [60_000, 3_600_000, 86_400_000];
const whole = process.env.HOLDFAST_TEST_YEAR === '1';
const [days, volumeCount, historyDays] = whole ? ([365, 50, 30] as const) : ([24, 10, 7] as const);
const seed = Number(process.env.HOLDFAST_TEST_SEED ?? 1);
const startMs = Date.UTC(2026, 0, 1, 0, 30);
const endMs = startMs + days * dayMs;
const rpoMs = 2 * hourMs;
/** docs/metrics.md: an RPO counts as missed a tenth of it later, and is told of within 15 minutes. */
const breachMs = rpoMs * 1.1;
const toldWithinMs = 15 * minuteMs;

const volumes = Array.from({ length: volumeCount }, (_, i) => `volume-${i}`);
const tearing = new Set(volumes.filter((_, i) => i % 5 === 4));
const configuration = aProject(volumes, {
  objectives: { rpo: '2h' },
  drills: { enabled: false },
  maintenance: { usage: { every: '1h' } },
  daemon: { history: `${historyDays}d` },
});

test(`${days} days of ${volumeCount} volumes: breaches told and none invented, retention exact, state bounded (seed ${seed})`, async (t) => {
  const random = createRandom(seed);
  const clock = createFakeClock(startMs);
  const now = () => clock.now().getTime();
  const state = openState(join(scratch(t), 'state.sqlite'));
  t.after(() => state.close());
  const repository = createModelRepository('shop');
  const outages = spells(random, 6 * dayMs, hourMs / 2, 9 * hourMs);
  const hostOff = spells(random, 9 * dayMs, hourMs, 20 * hourMs);
  const unreadable = new Map(volumes.map((volume) => [volume, spells(random, 30 * dayMs, 3 * hourMs, 30 * hourMs)]));
  const truth = new Map(volumes.map((volume) => [volume, [] as { goodMs: number; thereMs: number }[]]));
  const told = new Map(volumes.map((volume) => [volume, [] as { atMs: number; breached: boolean }[]]));
  let forgotten = 0;

  const execute = async (job: Job, { onLine }: Watch, signal: AbortSignal): Promise<number> => {
    const fromMs = now();
    const { spec } = job;
    if (spec.kind === 'usage') {
      for (const volume of volumes) onLine(JSON.stringify({ volume, usedBytes: 1e9, files: 5_000 }));
      return 0;
    }
    await clock.sleep(minuteMs + random() * 5 * minuteMs, signal);
    if (signal.aborted) return 130;
    if (outages.some(within(now())) || random() < 0.02) return 1;
    if (spec.kind === 'forget') {
      const before = repository.forget(configuration, now());
      forgotten += before.length - repository.snapshots.size;
      requireExact(before, repository.snapshots);
    }
    if (spec.kind !== 'backup') return 0;
    const read = volumes.filter((volume) => !unreadable.get(volume)?.some(within(fromMs)) && random() > 0.005);
    for (const volume of read) {
      const consistency = tearing.has(volume) && random() < 0.1 ? 'torn' : 'crash';
      const { line } = repository.backUp({ volume, run: job.id, fromMs, untilMs: now(), consistency });
      const { id, summary } = line;
      onLine(JSON.stringify({ event: 'snapshot', volume, id, consistency, unreadable: 0, summary }));
      if (consistency !== 'torn') truth.get(volume)?.push({ goodMs: fromMs, thereMs: now() });
    }
    return read.length === volumes.length ? 0 : 1;
  };

  async function* listSnapshots(_: string, known: readonly string[]): AsyncIterable<string> {
    if (outages.some(within(now()))) throw new Error('the storage does not answer');
    const seen = new Set(known);
    for (const [id, { line }] of repository.snapshots) if (!seen.has(id)) yield JSON.stringify(line);
    yield JSON.stringify({ present: [...repository.snapshots.keys()] });
  }

  async function runDaemon(untilMs: number): Promise<void> {
    const daemon = createDaemon({
      version: '1',
      configuration,
      state,
      folder: '/nowhere',
      clock,
      program: { command: ['false'], directory: '/', environment: {} },
      assess,
      execute,
      listSnapshots,
      onFailure: (error) => assert.fail(error as Error),
    });
    daemon.subscribe((event) => {
      if (event.event !== 'assessment') return;
      const { atMs } = event.assessment;
      for (const { volume, reasons } of event.assessment.volumes)
        told.get(volume)?.push({ atMs, breached: reasons.some(({ kind }) => kind === 'rpo-breached') });
    });
    const stop = new AbortController();
    const running = daemon.run(stop.signal);
    await clock.passUntil(untilMs);
    stop.abort();
    await Promise.all([running, clock.passUntil(untilMs)]);
  }

  const sizes: { atMs: number; bytes: number }[] = [];
  const offs = [...hostOff, { fromMs: endMs, untilMs: endMs }];
  for (const { fromMs, untilMs } of offs) {
    for (let atMs = now(); atMs < fromMs; atMs = now()) {
      // A new one every few days, as updates make it.
      await runDaemon(Math.min(fromMs, atMs + 4 * dayMs));
      sizes.push({ atMs: now(), bytes: state.bytes() });
    }
    await clock.passUntil(untilMs);
  }

  const up = (ms: number) => !hostOff.some(within(ms));
  let breaches = 0;
  for (const volume of volumes) breaches += requireTruth(volume, truth.get(volume) ?? [], told.get(volume) ?? [], up);
  assert.ok(breaches > days / 10, `${breaches} breaches: too few to prove anything`);
  assert.ok(forgotten > days * volumeCount, `${forgotten} forgotten`);
  requireBounded(sizes);
  const rows = Object.fromEntries(
    ['jobs', 'job_log', 'usage', 'snapshots', 'facts'].map((table) => [
      table,
      (state.database.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n,
    ]),
  );
  // Hourly ones of the history, and the newest hundred of each kind.
  assert.ok((rows.jobs ?? 0) <= historyDays * 24 * 2.2 + 600, `${rows.jobs} jobs`);
  assert.ok((rows.usage ?? 0) <= volumeCount * (15 * 24 + days), `${rows.usage} measurements`);
  t.diagnostic(`${breaches} breaches, ${forgotten} forgotten, ${(state.bytes() / 1e6).toFixed(1)} MB: ${JSON.stringify(rows)}`);
});

type Spell = { fromMs: number; untilMs: number };
const within =
  (ms: number) =>
  ({ fromMs, untilMs }: Spell): boolean =>
    ms >= fromMs && ms < untilMs;

/** Spells of bad luck, one in about so much time. */
function spells(random: () => number, everyMs: number, leastMs: number, mostMs: number): Spell[] {
  const all: Spell[] = [];
  for (let atMs = startMs + dayMs; ; ) {
    const fromMs = Math.round(atMs + random() * 2 * everyMs);
    const untilMs = Math.round(fromMs + leastMs + random() * (mostMs - leastMs));
    if (untilMs >= endMs) return all;
    all.push({ fromMs, untilMs });
    atMs = untilMs;
  }
}

/** Returns how many breaches there were. */
function requireTruth(
  volume: string,
  good: readonly { goodMs: number; thereMs: number }[],
  told: readonly { atMs: number; breached: boolean }[],
  up: (ms: number) => boolean,
): number {
  const when = (ms: number) => `${volume} at ${new Date(ms).toISOString()}`;
  let place = -1;
  for (const { atMs, breached } of told) {
    while ((good[place + 1]?.thereMs ?? Number.POSITIVE_INFINITY) <= atMs) place++;
    const newest = good[place];
    if (newest === undefined) continue;
    assert.equal(breached, atMs > newest.goodMs + breachMs, `${when(atMs)}, newest good ${new Date(newest.goodMs).toISOString()}`);
  }
  let breaches = 0;
  for (const [i, { goodMs }] of good.entries()) {
    const [fromMs, untilMs] = [goodMs + breachMs, good[i + 1]?.thereMs ?? endMs];
    if (fromMs >= untilMs) continue;
    breaches++;
    // A breach that is over sooner than it is told of, or that a host sleeps through, is nobody's fault.
    let seenMs = fromMs;
    while (!up(seenMs)) seenMs += minuteMs;
    if (seenMs + toldWithinMs >= untilMs || !up(seenMs + toldWithinMs)) continue;
    const tellings = told.filter(({ atMs, breached }) => breached && atMs >= fromMs && atMs <= seenMs + toldWithinMs);
    assert.ok(tellings.length > 0, `the breach of ${when(fromMs)} is not told`);
  }
  return breaches;
}

/** 24 hours, 7 days, 4 weeks, 12 months and the last, reckoned in numbers; of volumes without torn snapshots, by which the brake holds more. */
function requireExact(before: readonly ModelSnapshot[], after: ReadonlyMap<string, ModelSnapshot>): void {
  const day = (ms: number) => Math.floor(ms / dayMs);
  const rules: [count: number, bucket: (ms: number) => number][] = [
    [1, (ms) => ms],
    [24, (ms) => Math.floor(ms / hourMs)],
    [7, day],
    // 1970 began on a Thursday.
    [4, (ms) => Math.floor((day(ms) + 3) / 7)],
    [12, (ms) => new Date(ms).getUTCFullYear() * 12 + new Date(ms).getUTCMonth()],
  ];
  for (const [volume, ofVolume] of Map.groupBy(before, ({ line }) => line.volume)) {
    const newestFirst = ofVolume.map(({ line }) => ({ id: line.id, ms: Date.parse(line.time) })).sort((a, b) => b.ms - a.ms);
    const keep = new Set<string>();
    for (const [count, bucket] of rules) {
      let [left, previous] = [count, Number.NaN];
      for (const [i, { id, ms }] of newestFirst.entries()) {
        const isOldest = i === newestFirst.length - 1;
        if (left === 0 || (bucket(ms) === previous && !isOldest)) continue;
        [left, previous] = [left - 1, bucket(ms)];
        keep.add(id);
      }
    }
    const kept = newestFirst.flatMap(({ id }) => (after.has(id) ? [id] : []));
    const expected = newestFirst.flatMap(({ id }) => (keep.has(id) ? [id] : []));
    if (tearing.has(volume)) assert.ok(new Set(expected).isSubsetOf(new Set(kept)), volume);
    else assert.deepEqual(kept, expected, volume);
  }
}

/** Once history is full, the state grows no more. */
function requireBounded(sizes: readonly { atMs: number; bytes: number }[]): void {
  const fullMs = startMs + (Math.max(historyDays, 14) + 4) * dayMs;
  const early = sizes.find(({ atMs }) => atMs >= fullMs);
  const last = sizes.at(-1);
  assert.ok(early && last);
  assert.ok(last.bytes <= early.bytes * 1.25, `${early.bytes} bytes became ${last.bytes}`);
}

/** mulberry32: the same numbers for a seed, everywhere. */
function createRandom(from: number): () => number {
  let value = from >>> 0;
  return () => {
    value = (value + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(value ^ (value >>> 15), value | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
