import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scratchRepository } from '../../test/scratch-repository.ts';
import { lockRepository } from './locks.ts';
import { waitForLock } from './wait-for-lock.ts';

/** A clock that moves only when somebody sleeps, who may do something meanwhile. */
function clockOf(onSleep: (sleptMs: number) => Promise<void> | void) {
  let nowMs = 0;
  return {
    now: () => new Date(nowMs),
    async sleep(durationMs: number, signal?: AbortSignal) {
      // The holder's refreshing sleeps too, until its lock is released.
      if (signal === undefined || durationMs > 30_000)
        return new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()));
      nowMs += durationMs;
      await onSleep(nowMs);
    },
  };
}

const signal = new AbortController().signal;

test('it waits until the holder has finished, and says once for whom', async (t) => {
  const repository = await scratchRepository(t);
  const told: string[] = [];
  const clock = clockOf(async (nowMs) => {
    if (nowMs > 40_000) await held.release();
  });
  const held = await lockRepository(repository, { exclusive: true, clock });
  const options = { exclusive: false, clock, signal, onWait: ({ message }: Error) => told.push(message) };
  await (await waitForLock(repository, { ...options, patienceMs: 60_000 })).release();
  assert.equal(told.length, 1);
  assert.ok(clock.now().getTime() > 40_000);
});

test('it waits no longer than it may, and not at all without patience', async (t) => {
  const repository = await scratchRepository(t);
  for (const patienceMs of [0, 25_000]) {
    const clock = clockOf(() => undefined);
    const held = await lockRepository(repository, { exclusive: true, clock });
    await assert.rejects(waitForLock(repository, { exclusive: false, clock, signal, patienceMs, onWait: () => undefined }), {
      code: 'locked',
    });
    assert.equal(clock.now().getTime(), patienceMs);
    await held.release();
  }
});

test('an interruption ends the waiting', async (t) => {
  const repository = await scratchRepository(t);
  const stop = new AbortController();
  const clock = clockOf(() => stop.abort(new Error('stop')));
  const held = await lockRepository(repository, { exclusive: true, clock });
  const waiting = waitForLock(repository, { exclusive: false, clock, signal: stop.signal, patienceMs: 60_000, onWait: () => undefined });
  await assert.rejects(waiting, /stop/);
  await held.release();
});
