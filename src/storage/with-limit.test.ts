import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { SharedLimit, Storage } from './storage.ts';
import { createSharedLimit, withLimit } from './with-limit.ts';

const name = 'ab'.repeat(32);

/** Time passes by sleeping only; of several that sleep, the earliest wakes first. */
function fakeTime() {
  const time = { nowMs: 1000 };
  const sleepers: { atMs: number; wake: () => void }[] = [];
  const clock = {
    sleep: (ms: number) =>
      new Promise<void>((wake) => {
        sleepers.push({ atMs: time.nowMs + ms, wake });
        setImmediate(() => {
          sleepers.sort((a, b) => a.atMs - b.atMs);
          const next = sleepers.shift();
          time.nowMs = Math.max(time.nowMs, next?.atMs ?? 0);
          next?.wake();
        });
      }),
  };
  return { time, clock, nowNs: () => BigInt(Math.round(time.nowMs * 1e6)) };
}

const inner = {
  location: 'somewhere',
  read: async (_: unknown, range?: { length: number }) => Buffer.alloc(range?.length ?? 1_000_000),
  write: async () => undefined,
  begin: async () => ({ append: async () => undefined, commit: async () => undefined, discard: async () => undefined }),
} as unknown as Storage;

const limits = (upload?: SharedLimit, download?: SharedLimit) => ({ ...(upload && { upload }), ...(download && { download }) });

test('writes and reads keep to the rate, each to its own', async () => {
  const { time, ...clock } = fakeTime();
  const storage = withLimit(inner, { ...limits(createSharedLimit(1_000_000), createSharedLimit(2_000_000)), ...clock });
  const startMs = time.nowMs;
  for (let n = 0; n < 10; n++) await storage.write({ kind: 'data', name }, [Buffer.alloc(300_000), Buffer.alloc(700_000)]);
  const writtenMs = time.nowMs - startMs;
  assert.ok(writtenMs >= 9700 && writtenMs <= 10_100, `${writtenMs}`);
  const readingMs = time.nowMs;
  for (let n = 0; n < 5; n++) await storage.read({ kind: 'data', name }, { offset: 0, length: 1_000_000 });
  for (let n = 0; n < 5; n++) await storage.read({ kind: 'index', name });
  const readMs = time.nowMs - readingMs;
  assert.ok(readMs >= 4700 && readMs <= 5100, `${readMs}`);
});

test('several that transfer at once keep to the rate together', async () => {
  const { time, ...clock } = fakeTime();
  const upload = createSharedLimit(1_000_000);
  const startMs = time.nowMs;
  await Promise.all(
    [1, 2, 3, 4].map(async () => {
      const storage = withLimit(inner, { ...limits(upload), ...clock });
      const file = await (storage.begin as NonNullable<Storage['begin']>)();
      for (let n = 0; n < 5; n++) await file.append(Buffer.alloc(500_000));
    }),
  );
  const takenMs = time.nowMs - startMs;
  assert.ok(takenMs >= 9700 && takenMs <= 10_300, `${takenMs}`);
});

test('a little goes at once after a silence, and nothing waits without a limit', async () => {
  const { time, ...clock } = fakeTime();
  const storage = withLimit(inner, { ...limits(createSharedLimit(1_000_000)), ...clock });
  await storage.write({ kind: 'data', name }, [Buffer.alloc(200_000)]);
  await storage.read({ kind: 'data', name });
  assert.equal(time.nowMs, 1000);
});

test('when the run is to end, packs are refused and small files go at once', async () => {
  const { time, ...clock } = fakeTime();
  const storage = withLimit(inner, { ...limits(createSharedLimit(1000)), ...clock, stopped: () => true });
  await assert.rejects(storage.write({ kind: 'data', name }, [Buffer.alloc(1_000_000)]), { code: 'interrupted' });
  await storage.write({ kind: 'snapshots', name }, [Buffer.alloc(10_000)]);
  assert.equal(time.nowMs, 1000);
});

test('a reservation that another thread makes between the look and the change is not lost', async (t) => {
  const limit = createSharedLimit(1_000_000);
  const next = new BigInt64Array(limit.state);
  const beginNs = 1_000_000_000_000n;
  next[0] = beginNs;
  const { load } = Atomics;
  let others = 0;
  t.mock.method(Atomics, 'load', (array: BigInt64Array, index: number) => {
    const seen = load(array, index);
    // Three times in a row, somebody else was quicker.
    if (others < 3) {
      others++;
      Atomics.add(array, index, 7_000_000n);
    }
    return seen;
  });
  const waited: number[] = [];
  const clock = { sleep: async (ms: number) => void waited.push(ms) };
  const storage = withLimit(inner, { ...limits(limit), clock, nowNs: () => beginNs });
  await storage.write({ kind: 'data', name }, [Buffer.alloc(1000)]);
  assert.equal(others, 3);
  assert.equal(next[0], beginNs + 3n * 7_000_000n + 1_000_000n);
  assert.deepEqual(waited, [22], 'who was overtaken waits behind the others');
});

test('threads share one budget', async () => {
  const limit = createSharedLimit(1_000_000);
  const next = new BigInt64Array(limit.state);
  // So far ahead that each reservation follows the one before: the sum is exact.
  const beginNs = process.hrtime.bigint() + 1_000_000_000_000n;
  next[0] = beginNs;
  const barrier = new SharedArrayBuffer(4);
  const code = `
    const { workerData, parentPort } = require('node:worker_threads');
    import(workerData.module).then(async ({ withLimit }) => {
      const storage = withLimit({ write: async () => undefined }, { upload: workerData.limit, clock: { sleep: async () => undefined } });
      const waiting = new Int32Array(workerData.barrier);
      Atomics.add(waiting, 0, 1);
      while (Atomics.load(waiting, 0) < 2);
      for (let n = 0; n < 2000; n++) await storage.write({ kind: 'data', name: '' }, [new Uint8Array(1000)]);
      parentPort.postMessage('done');
    });`;
  const module = new URL('./with-limit.ts', import.meta.url).href;
  const threads = [1, 2].map(() => new Worker(code, { eval: true, workerData: { limit, barrier, module } }));
  await Promise.all(threads.map((thread) => once(thread, 'message')));
  assert.equal(next[0], beginNs + 4000n * 1_000_000n);
});
