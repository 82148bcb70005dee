import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requireOrdinaryUser, scratch } from '../../test/peers.ts';
import { sha256Hex } from '../format/kernel/sha256.ts';
import { createLocalStorage } from './local.ts';
import type { FileKind, FileRef, Storage } from './storage.ts';
import { trimCaches } from './trim-caches.ts';
import { withCache } from './with-cache.ts';

async function setting(t: TestContext) {
  const root = scratch(t);
  const local = createLocalStorage(join(root, 'repository'));
  await local.create();
  const asked: string[] = [];
  const counting: Storage = {
    ...local,
    read: (file, range) => {
      asked.push(`${file.kind}${range ? ' range' : ''}`);
      return local.read(file, range);
    },
  };
  const folder = join(root, 'cache', 'ab'.repeat(32));
  const open = () => withCache(counting, folder);
  const put = async (kind: FileKind, bytes: Buffer, holds?: 'trees'): Promise<FileRef> => {
    const file: FileRef = { kind, name: sha256Hex(bytes), ...(holds ? { holds } : {}) };
    await local.write(file, [bytes]);
    return file;
  };
  const cached = ({ kind, name }: FileRef) => join(folder, kind, name);
  return { root, folder, local, asked, open, put, cached };
}

const range = { offset: 100, length: 50 };

test('index files and snapshots are read once, from then on here, by every process', async (t) => {
  const { asked, open, put, cached } = await setting(t);
  for (const kind of ['index', 'snapshots'] as const) {
    const bytes = randomBytes(1000);
    const file = await put(kind, bytes);
    for (const storage of [open(), open()]) for (let n = 0; n < 2; n++) assert.deepEqual(await storage.read(file), bytes);
    assert.deepEqual(asked.splice(0), [kind]);
    assert.equal(statSync(cached(file)).mode & 0o777, 0o600);
    assert.equal(statSync(join(cached(file), '..')).mode & 0o777, 0o700);
  }
});

test('a range of a pack of trees brings the whole pack, once, however many want it', async (t) => {
  const { asked, open, put } = await setting(t);
  const pack = randomBytes(300_000);
  const file = await put('data', pack, 'trees');
  const storage = open();
  const into = Buffer.alloc(100);
  const reads = [1, 2, 3].map((n) => storage.read(file, { offset: n * 1000, length: 70, ...(n === 2 ? { into } : {}) }));
  const results = await Promise.all(reads);
  for (const [i, bytes] of results.entries()) assert.deepEqual(bytes, pack.subarray((i + 1) * 1000, (i + 1) * 1000 + 70));
  assert.equal(results[1]?.buffer, into.buffer);
  assert.deepEqual(await open().read(file, range), pack.subarray(100, 150));
  assert.deepEqual(asked, ['data']);
});

test('packs of data, keys, locks and the configuration are never cached', async (t) => {
  const { folder, asked, open, put } = await setting(t);
  const storage = open();
  const pack = await put('data', randomBytes(1000));
  await storage.read(pack, range);
  await storage.read(pack);
  for (const kind of ['keys', 'locks', 'config'] as const) {
    const file = await put(kind, randomBytes(100));
    await storage.read(file);
    await storage.write(file, [randomBytes(100)]);
  }
  await storage.write(pack, [randomBytes(1000)]);
  assert.equal(asked.length, 5);
  assert.equal(existsSync(folder), false);
});

test('what is written is here already; what is removed, or gone from the storage, is here no more', async (t) => {
  const { local, asked, open, cached } = await setting(t);
  const storage = open();
  const contents = [randomBytes(100), randomBytes(100), randomBytes(100)];
  const files = contents.map((bytes): FileRef => ({ kind: 'snapshots', name: sha256Hex(bytes) }));
  for (const [i, file] of files.entries()) await storage.write(file, [contents[i] as Buffer]);
  const trees: FileRef = { kind: 'data', name: sha256Hex(contents[0] as Buffer), holds: 'trees' };
  await storage.write(trees, [contents[0] as Buffer]);
  await storage.read(files[0] as FileRef);
  await storage.read(trees, { offset: 0, length: 10 });
  assert.deepEqual(asked, []);
  await storage.remove(files[0] as FileRef);
  await local.remove(files[1] as FileRef);
  for await (const _ of storage.list('snapshots'));
  assert.deepEqual(
    files.map((file) => existsSync(cached(file))),
    [false, false, true],
  );
  await assert.rejects(storage.read(files[1] as FileRef), { code: 'file-missing' });
});

test('whatever happened to a cached file, what is read is what was stored', async (t) => {
  const { open, put, cached } = await setting(t);
  const bytes = randomBytes(50_000);
  const damages: ((path: string) => void)[] = [
    (path) => truncateSync(path, 120),
    (path) => truncateSync(path, 0),
    (path) => writeFileSync(path, randomBytes(50_000)),
    (path) => writeFileSync(path, Buffer.concat([bytes.subarray(0, 49_999), randomBytes(1)])),
  ];
  for (const file of [await put('index', bytes), await put('data', bytes, 'trees')]) {
    const read = (storage: Storage) => (file.kind === 'index' ? storage.read(file) : storage.read(file, range));
    const expected = file.kind === 'index' ? bytes : bytes.subarray(100, 150);
    await read(open());
    for (const damage of damages) {
      damage(cached(file));
      // Not deepEqual: it takes minutes to say how two long buffers differ.
      assert.ok((await read(open())).equals(expected));
      assert.ok(readFileSync(cached(file)).equals(bytes));
    }
  }
});

test('what the storage has damaged is not kept, and told as it is', async (t) => {
  const { local, asked, open, cached } = await setting(t);
  const index: FileRef = { kind: 'index', name: '12'.repeat(32) };
  const pack: FileRef = { kind: 'data', name: '34'.repeat(32), holds: 'trees' };
  const bytes = randomBytes(1000);
  for (const file of [index, pack]) await local.write(file, [bytes]);
  const storage = open();
  assert.deepEqual(await storage.read(index), bytes);
  for (let n = 0; n < 3; n++) assert.deepEqual(await storage.read(pack, range), bytes.subarray(100, 150));
  await assert.rejects(storage.read(pack, { offset: 990, length: 20 }), { code: 'damaged' });
  assert.deepEqual([existsSync(cached(index)), existsSync(cached(pack))], [false, false]);
  // Fetched as a whole in vain once only.
  assert.deepEqual(asked, ['index', 'data', 'data range', 'data range', 'data range']);
});

test('a cache that cannot be written is no obstacle', async (t) => {
  const { root, open, put } = await setting(t);
  writeFileSync(join(root, 'cache'), 'a file is in the way');
  const bytes = randomBytes(1000);
  const storage = open();
  for (const file of [await put('index', bytes), await put('data', bytes, 'trees')]) {
    assert.deepEqual(
      await storage.read(file, file.kind === 'index' ? undefined : range),
      file.kind === 'index' ? bytes : bytes.subarray(100, 150),
    );
  }
});

test('nor is one that may not be read', async (t) => {
  if (!requireOrdinaryUser(t)) return;
  const { folder, open, put } = await setting(t);
  const bytes = randomBytes(1000);
  const file = await put('index', bytes);
  await open().read(file);
  chmodSync(join(folder, 'index'), 0);
  assert.deepEqual(await open().read(file), bytes);
});

test('caches of repositories that are not used go, and the packs that are longest unused', async (t) => {
  const root = scratch(t);
  const [old, current, left] = ['01'.repeat(32), '02'.repeat(32), 'fresh-xyz'];
  const nowMs = Date.now();
  const days = (n: number) => new Date(nowMs - n * 86_400_000);
  for (const name of [old, current, left, 'something-else']) mkdirSync(join(root, name, 'data'), { recursive: true });
  for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) {
    const path = join(root, current, 'data', name.repeat(64));
    writeFileSync(path, Buffer.alloc(100));
    utimesSync(path, days(4 - i), days(4 - i));
  }
  const stray = join(root, current, 'data', `${'e'.repeat(64)}-tmp-0123`);
  writeFileSync(stray, '');
  utimesSync(stray, days(2), days(2));
  for (const name of [old, left, 'something-else']) utimesSync(join(root, name), days(31), days(31));
  await trimCaches(root, { nowMs, maxBytes: 250 });
  assert.deepEqual(readdirSync(root).sort(), [current, 'something-else']);
  assert.deepEqual(readdirSync(join(root, current, 'data')).sort(), ['c'.repeat(64), 'd'.repeat(64)]);
  await trimCaches(join(root, 'nowhere'), { nowMs });
});
