import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../src/model/clock.ts';

/** Timers of more wake at once (https://nodejs.org/api/timers.html). */
const longestTimerMs = 2 ** 31 - 1;

/** A clock that stands still until it is told to go on. */
export type FakeClock = Clock & {
  /** Lets time go by until an instant; who sleeps wakes at their instants, one after the other. */
  passUntil(untilMs: number): Promise<void>;
  /** Puts it right, without time going by. */
  set(ms: number): void;
};

export function createFakeClock(startMs: number): FakeClock {
  let nowMs = startMs;
  /** What has gone by, whatever the clock was put to. */
  let elapsedMs = 0;
  const sleepers = new Set<{ atMs: number; wake: () => void }>();
  return {
    now: () => new Date(nowMs),
    sleep: (durationMs, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const wake = () => {
          sleepers.delete(sleeper);
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        const sleeper = { atMs: elapsedMs + (durationMs > longestTimerMs ? 1 : durationMs), wake };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', wake, { once: true });
      }),
    async passUntil(untilMs) {
      const endMs = elapsedMs + Math.max(0, untilMs - nowMs);
      for (;;) {
        await settled();
        let nextMs = endMs;
        for (const { atMs } of sleepers) nextMs = Math.min(nextMs, atMs);
        nowMs += nextMs - elapsedMs;
        elapsedMs = nextMs;
        for (const { atMs, wake } of [...sleepers]) if (atMs <= elapsedMs) wake();
        if (elapsedMs >= endMs) break;
      }
      await settled();
    },
    set(ms) {
      nowMs = ms;
    },
  };
}

/** So often it is looked, in case that something never rests. */
const mostTurns = 1_000;

/** What is under way without waiting for the clock has come to rest: work that lets others have their turn meanwhile, too. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3 || (turn < mostTurns && process.getActiveResourcesInfo().includes('Immediate')); turn++) await setImmediate();
}
