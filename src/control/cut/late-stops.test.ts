import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../model/clock.ts';
import type { ContainerDetails } from '../../platform/containers.ts';
import type { JournalEntry } from './journal.ts';
import { findLateStops, startAfterLateStops } from './late-stops.ts';

const startMs = 1_000_000;
const stop = (id: string, timeoutMs?: number): JournalEntry => ({
  id,
  name: id,
  action: 'stop',
  ...(timeoutMs === undefined ? {} : { timeoutMs }),
});

/** An engine whose containers end at instants, by a clock that passes by sleeping alone. */
function engineOf(endsMs: Record<string, number>) {
  let nowMs = startMs;
  const started: string[] = [];
  const clock: Clock = {
    now: () => new Date(nowMs),
    sleep: async (ms) => {
      nowMs += ms;
    },
  };
  const stateOf = (id: string): ContainerDetails['state'] => ((endsMs[id] ?? 0) > nowMs ? 'running' : 'stopped');
  const containers = {
    inspect: async (id: string) => (id in endsMs ? { state: stateOf(id), health: undefined, removedWhenStopped: false } : undefined),
    start: async (id: string) => {
      started.push(id);
      endsMs[id] = Number.POSITIVE_INFINITY;
    },
  };
  return { containers, clock, signal: new AbortController().signal, started, nowMs: () => nowMs };
}

test('what is still ending when a killed run is undone is started when it has ended, and not before', async () => {
  const engine = engineOf({ web: 0, db: startMs + 20_000, cache: Number.POSITIVE_INFINITY });
  const late = await findLateStops([[stop('web')], [stop('db', 60_000)], [stop('cache')]], startMs - 1000, engine);
  assert.deepEqual(
    late.stops.map(({ id }) => id),
    ['db'],
    'what has ended is started at once, and of later groups none was begun',
  );
  assert.equal(await startAfterLateStops(late, engine), true);
  assert.deepEqual(engine.started, ['db']);
  assert.ok(engine.nowMs() >= startMs + 20_000);
});

test('one that nobody had asked to end is waited for no longer than it would have had; not at all when that is over', async () => {
  const engine = engineOf({ web: 0, db: Number.POSITIVE_INFINITY });
  const groups = [[stop('web', 10_000)], [stop('db', 20_000)]];
  assert.equal(await startAfterLateStops(await findLateStops(groups, startMs, engine), engine), true);
  assert.deepEqual([engine.started, Math.ceil((engine.nowMs() - startMs) / 1000)], [[], 35]);
  const before = engine.nowMs();
  await startAfterLateStops(await findLateStops(groups, startMs - 60_000, engine), engine);
  assert.equal(engine.nowMs(), before);
});

test('paused containers and those that are gone are nobody to wait for; an abort leaves it for the next time', async () => {
  const engine = engineOf({ db: Number.POSITIVE_INFINITY });
  assert.deepEqual((await findLateStops([[{ id: 'db', name: 'db', action: 'pause' }], [stop('gone')]], startMs, engine)).stops, []);
  const late = await findLateStops([[stop('db')]], startMs, engine);
  assert.equal(await startAfterLateStops(late, { ...engine, signal: AbortSignal.abort() }), false);
});
