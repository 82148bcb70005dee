import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { fc } from '../../test/properties.ts';
import { type ErrorDetails, HoldfastError } from '../model/errors.ts';
import type { FileKind, Storage } from './storage.ts';
import { type Retry, withRetry } from './with-retry.ts';

const file = { kind: 'index', name: 'ab'.repeat(32) } as const;
const broken = (details: ErrorDetails = {}) => new HoldfastError('storage', 'the connection was cut', details);

/** A storage that answers reads and writes with what is given: an error is thrown. Time passes by sleeping only. */
function setting(answer: (nth: number) => string | Error, options: { random?: () => number; proven?: boolean } = {}) {
  const state = { nowMs: 0, asked: 0, stop: false, retries: [] as Retry[], slept: [] as number[] };
  const operation = async (): Promise<Buffer> => {
    const result = answer(state.asked++);
    if (typeof result !== 'string') throw result;
    return Buffer.from(result);
  };
  const inner = { location: 'somewhere', read: operation, write: operation, create: operation } as unknown as Storage;
  const clock = {
    sleep: async (ms: number) => {
      state.slept.push(ms);
      state.nowMs += ms;
      await setImmediate();
    },
  };
  const storage = withRetry(inner, {
    clock,
    nowMs: () => state.nowMs,
    random: () => 0.999_999,
    proven: true,
    stopped: () => state.stop,
    onRetry: (retry) => state.retries.push(retry),
    ...options,
  });
  return { state, storage };
}

test('what may pass is tried again, after waits that double up to 30 seconds', async () => {
  const { state, storage } = setting((nth) => (nth < 9 ? broken() : 'there'));
  assert.equal((await storage.read(file)).toString(), 'there');
  assert.deepEqual(
    state.retries.map(({ waitMs }) => waitMs),
    [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000],
  );
  assert.deepEqual(state.retries[1], {
    what: 'reading index/abababab',
    attempt: 2,
    waitMs: 1000,
    troubleMs: 1500,
    reason: 'the connection was cut',
  });
});

test('a wait is any part of that, and never shorter than what the storage asks for', async () => {
  await fc.assert(
    fc.asyncProperty(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(60_000), async (random, retryAfterMs) => {
      const { state, storage } = setting((nth) => (nth === 0 ? broken({ retryAfterMs }) : 'there'), { random: () => random });
      await storage.read(file);
      assert.equal(state.nowMs, Math.round(Math.max(500 * random, retryAfterMs)));
    }),
  );
});

test('it gives up after 15 minutes, tries once only from then on, and is patient again when something succeeds', async () => {
  const { state, storage } = setting((nth) => (nth === 500 ? 'there' : broken()));
  await assert.rejects(storage.read(file), { code: 'storage' });
  assert.ok(state.nowMs > 14 * 60_000 && state.nowMs <= 15 * 60_000, `${state.nowMs}`);
  const endMs = state.nowMs;
  await assert.rejects(storage.read(file));
  await assert.rejects(storage.write(file, []));
  assert.equal(state.nowMs, endMs);
  state.asked = 500;
  await storage.read(file);
  await assert.rejects(storage.read(file));
  assert.ok(state.nowMs > endMs + 14 * 60_000);
});

test('a storage that never answered is given up after a minute', async () => {
  const { state, storage } = setting(() => broken(), { proven: false });
  await assert.rejects(storage.create());
  assert.ok(state.nowMs > 20_000 && state.nowMs <= 60_000);
});

test('what does not pass is not tried again', async () => {
  const lasting = [
    new HoldfastError('file-missing', 'gone'),
    new HoldfastError('storage-denied', 'no'),
    new HoldfastError('storage-full', 'full'),
    new HoldfastError('interrupted', 'stop'),
    new TypeError('a defect'),
    broken({ cause: Object.assign(new Error('certificate'), { code: 'CERT_HAS_EXPIRED' }) }),
    broken({ cause: new Error('outer', { cause: Object.assign(new Error('read only'), { code: 'EROFS' }) }) }),
  ];
  for (const error of lasting) {
    const { state, storage } = setting(() => error);
    await assert.rejects(storage.read(file), (thrown) => thrown === error);
    assert.equal(state.asked, 1);
  }
});

test('a read that is too short is tried once more, without waiting; a second time it is damage', async () => {
  const short = new HoldfastError('damaged', 'too short');
  const once = setting((nth) => (nth === 0 ? short : 'there'));
  assert.equal((await once.storage.read(file)).toString(), 'there');
  assert.equal(once.state.nowMs, 0);
  const twice = setting(() => short);
  await assert.rejects(twice.storage.read(file), { code: 'damaged' });
  assert.equal(twice.state.asked, 2);
});

test('when the run is to end, waits end within a moment, and what is still to do is tried for three seconds at most', async () => {
  const { state, storage } = setting((nth) => {
    if (nth === 5) state.stop = true;
    return broken();
  });
  await assert.rejects(storage.read(file), { code: 'storage' });
  assert.equal(state.asked, 6);
  const stoppedMs = state.nowMs;
  await assert.rejects(storage.write(file, []));
  assert.ok(state.asked > 7 && state.nowMs - stoppedMs <= 3000);
});

test('a long wait is cut short when the run is to end', async () => {
  const { state, storage } = setting(() => broken({ retryAfterMs: 600_000 }));
  const sleeping = storage.read(file);
  await setImmediate();
  state.stop = true;
  await assert.rejects(sleeping, { code: 'storage' });
  assert.ok(state.nowMs < 5000);
  assert.ok(state.slept.every((ms) => ms <= 250));
});

/** Lists `names`, and breaks off where told. */
function listingStorage(names: readonly string[], breakAt: number[]): Storage {
  async function* list(_: FileKind) {
    const stop = breakAt.shift();
    for (const [at, name] of names.entries()) {
      if (at === stop) throw broken();
      yield { name, sizeBytes: 1 };
    }
  }
  return { location: 'somewhere', list } as unknown as Storage;
}

test('a listing that breaks off, however often, yields every file once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.string()), fc.array(fc.nat(10)), async (names, breakAt) => {
      const clock = { sleep: async () => undefined };
      const storage = withRetry(listingStorage(names, breakAt), { clock, random: () => 0 });
      const found: string[] = [];
      for await (const { name } of storage.list('data')) found.push(name);
      assert.deepEqual(found, names);
    }),
  );
});

test('what a storage does without stays away; what is begun is the storage’s own', () => {
  const without = withRetry({ location: 'x' } as unknown as Storage, { clock: { sleep: async () => undefined } });
  assert.deepEqual([without.begin, without.removeLeftovers, without.close], [undefined, undefined, undefined]);
});

test('a write whose reply was lost, on a storage that never replaces a file, has succeeded', async () => {
  const mine = Buffer.from('mine');
  for (const kind of ['index', 'config'] as const) {
    for (const there of [mine, Buffer.from('else')]) {
      const answers = [broken(), new HoldfastError('storage-denied', 'it is there already')];
      const inner = {
        location: 'somewhere',
        write: async () => Promise.reject(answers.shift()),
        sizeOf: async () => there.length,
        read: async () => there,
      } as unknown as Storage;
      const written = withRetry(inner, { clock: { sleep: async () => undefined }, random: () => 0 }).write({ kind, name: file.name }, [
        mine,
      ]);
      // A configuration of the same length may be somebody else's.
      if (kind === 'config' && there !== mine) await assert.rejects(written, { code: 'storage-denied' });
      else await written;
    }
  }
});

test('a write that is refused from the first has not succeeded', async () => {
  const { storage } = setting(() => new HoldfastError('storage-denied', 'append only'));
  await assert.rejects(storage.write(file, []), { code: 'storage-denied' });
});
