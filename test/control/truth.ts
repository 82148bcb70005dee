import assert from 'node:assert/strict';
import type { Alert, Notice } from '../../src/control/alerts/alert.ts';

const [minuteMs, hourMs] = [60_000, 3_600_000];
/** What is wrong is told within so long. */
const toldWithinMs = 15 * minuteMs;

/** What is true of volumes, against which is held what a daemon says of them. Times are milliseconds since 1970. */
export type Truth = {
  /** A good snapshot of an instant is there from another one on. */
  backedUp(volume: string, goodMs: number, thereMs: number): void;
  /** What an assessment says. */
  assessed(volume: string, atMs: number, breached: boolean): void;
  /** What was told after an assessment, and the alerts that are open then. */
  alerted(atMs: number, notices: readonly Notice[], open: readonly Alert[]): void;
  /** How many times an objective was missed, and how many alerts said so. */
  end(atMs: number): { breaches: number; alerts: number };
};

type Good = { goodMs: number; thereMs: number };
type Known = { goods: Good[]; toldMs: number | undefined };

/** So many are remembered: an assessment may be told of some instants later. */
const remembered = 8;

/**
 * @param breachMs an objective counts as missed when the newest good snapshot is older.
 * @param up whether the host was on, and a daemon ran.
 */
export function createTruth(volumes: readonly string[], breachMs: number, up: (ms: number) => boolean): Truth {
  const known = new Map<string, Known>(volumes.map((volume) => [volume, { goods: [], toldMs: undefined }]));
  let breaches = 0;
  let alerts = 0;
  const of = (volume: string) => known.get(volume) as Known;
  const newestAt = (volume: string, atMs: number) => of(volume).goods.findLast(({ thereMs }) => thereMs <= atMs);
  const isBreached = (volume: string, atMs: number) => {
    const newest = newestAt(volume, atMs);
    return newest !== undefined && atMs > newest.goodMs + breachMs;
  };
  const when = (volume: string, atMs: number) =>
    `${volume} at ${new Date(atMs).toISOString()}, newest good ${new Date(newestAt(volume, atMs)?.goodMs ?? 0).toISOString()}`;

  /** The time of the newest good snapshot is over. */
  function close(volume: string, untilMs: number): void {
    const { goods, toldMs } = of(volume);
    const newest = goods.at(-1);
    const fromMs = newest === undefined ? untilMs : newest.goodMs + breachMs;
    if (fromMs >= untilMs) return;
    breaches++;
    // A breach that is over sooner than it is told of, or that a host sleeps through, is nobody's fault.
    let seenMs = fromMs;
    while (!up(seenMs)) seenMs += minuteMs;
    if (seenMs + toldWithinMs >= untilMs || !up(seenMs + toldWithinMs)) return;
    assert.ok(toldMs !== undefined && toldMs <= seenMs + toldWithinMs, `the breach of ${when(volume, fromMs)} is told at ${toldMs}`);
  }

  return {
    backedUp(volume, goodMs, thereMs) {
      close(volume, thereMs);
      const one = of(volume);
      one.goods = [...one.goods.slice(1 - remembered), { goodMs, thereMs }];
      one.toldMs = undefined;
    },
    assessed(volume, atMs, breached) {
      const newest = newestAt(volume, atMs);
      if (newest === undefined) return;
      assert.equal(breached, isBreached(volume, atMs), when(volume, atMs));
      const one = of(volume);
      if (breached && newest === one.goods.at(-1)) one.toldMs ??= atMs;
    },
    alerted(atMs, notices, open) {
      const told = new Set(open.flatMap(({ state, worst, key }) => (state === 'raised' && worst === 'broken' ? [key] : [])));
      for (const volume of volumes)
        if (isBreached(volume, atMs)) assert.ok(told.has(`volume ${volume} rpo`), `no alert of ${when(volume, atMs)}`);
      for (const { event, alert } of notices) {
        if (alert.subject.kind !== 'volume' || alert.kind !== 'rpo-breached') continue;
        const volume = alert.subject.name;
        if (event !== 'ended') alerts++;
        assert.equal(event !== 'ended', isBreached(volume, atMs), `${event}: ${when(volume, atMs)}`);
      }
    },
    end(atMs) {
      for (const volume of volumes) close(volume, atMs);
      return { breaches, alerts };
    },
  };
}

/** Something that lasts from an instant up to another one. */
export type Spell = { fromMs: number; untilMs: number };

export const within =
  (ms: number) =>
  ({ fromMs, untilMs }: Spell): boolean =>
    ms >= fromMs && ms < untilMs;

/** Spells of bad luck from the second day on, one in about so much time. */
export function spells(
  random: () => number,
  { fromMs: startMs, untilMs: endMs }: Spell,
  everyMs: number,
  leastMs: number,
  mostMs: number,
): Spell[] {
  const all: Spell[] = [];
  for (let atMs = startMs + 24 * hourMs; ; ) {
    const fromMs = Math.round(atMs + random() * 2 * everyMs);
    const untilMs = Math.round(fromMs + leastMs + random() * (mostMs - leastMs));
    if (untilMs >= endMs) return all;
    all.push({ fromMs, untilMs });
    atMs = untilMs;
  }
}

/** mulberry32: the same numbers for a seed, everywhere. */
export function createRandom(from: number): () => number {
  let value = from >>> 0;
  return () => {
    value = (value + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(value ^ (value >>> 15), value | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
