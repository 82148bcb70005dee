import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratchRepository } from '../../test/scratch-repository.ts';
import type { FileKind } from '../storage/storage.ts';
import { lockRepository } from './locks.ts';
import { underLock } from './under-lock.ts';

const fileOf = (kind: FileKind) => ({ kind, name: 'a'.repeat(64) });
const bytes = [Buffer.from('bytes')];

/** A repository, locked by a clock that a test moves and that wakes nobody. */
async function setUp(t: TestContext) {
  const { folder, ...repository } = await scratchRepository(t);
  let nowMs = Date.now();
  const sleep = (_: number, signal?: AbortSignal) => new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()));
  const held = await lockRepository(repository, { exclusive: true, clock: { now: () => new Date(nowMs), sleep } });
  t.after(() => held.release());
  return {
    folder,
    held,
    storage: underLock(repository, held).storage,
    pass: (seconds: number) => {
      nowMs += seconds * 1000;
    },
    rob: () => rmSync(join(folder, 'locks'), { recursive: true }),
    names: (kind: FileKind) => readdirSync(join(folder, kind), { recursive: true, encoding: 'utf8' }).filter((name) => name.length >= 64),
  };
}

test('as long as the lock is there, files are written and removed', async (t) => {
  const { storage, names, pass } = await setUp(t);
  for (const kind of ['data', 'index', 'snapshots'] as const) {
    await storage.write(fileOf(kind), bytes);
    assert.equal(names(kind).length, 1);
    pass(60);
    await storage.remove(fileOf(kind));
    assert.deepEqual(names(kind), []);
  }
});

for (const kind of ['index', 'snapshots'] as const) {
  test(`${kind}: nothing is named or removed once the lock was taken away`, async (t) => {
    const { storage, names, pass, rob, held } = await setUp(t);
    await storage.write(fileOf(kind), bytes);
    await storage.write(fileOf('data'), bytes);
    rob();
    pass(2);
    await assert.rejects(storage.remove(fileOf('data')), { code: 'locked', message: /removed by another process/ });
    await assert.rejects(storage.remove(fileOf(kind)), { code: 'locked' });
    await assert.rejects(storage.write({ kind, name: 'b'.repeat(64) }, bytes), { code: 'locked' });
    assert.deepEqual([names(kind).length, names('data').length], [1, 1]);
    assert.ok(held.lost.aborted);
    await storage.write({ kind: 'data', name: 'b'.repeat(64) }, bytes);
  });
}

test('what was seen is believed for two seconds, and not when the clock was set back', async (t) => {
  const { storage, pass, rob } = await setUp(t);
  await storage.write(fileOf('index'), bytes);
  rob();
  pass(1);
  await storage.remove(fileOf('index'));
  pass(-3600);
  await assert.rejects(storage.remove(fileOf('index')), { code: 'locked' });
});
