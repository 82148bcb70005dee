import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { scratchRepository } from '../../test/scratch-repository.ts';
import type { BlobKind } from '../format/pack-header.ts';
import { parseHeaderEntries } from '../format/pack-header.ts';
import type { BlobId, PackId } from '../model/ids.ts';
import type { Storage } from '../storage/storage.ts';
import { BlobIndex } from './blob-index.ts';
import { createBlobReader, hashesTo, openBlob, readAnyCopy } from './blob-reader.ts';
import { PackWriter, type StoredPack, storePack } from './pack-writer.ts';
import type { Repository } from './repository.ts';

const idOf = (plain: Uint8Array) => createHash('sha256').update(plain).digest();
const hexOf = (plain: Uint8Array) => idOf(plain).toString('hex') as BlobId;

/** Stores blobs in one pack and enters them into the index. */
async function store({ storage, seal }: Repository, index: BlobIndex, kind: BlobKind, plains: readonly Buffer[]): Promise<PackId> {
  const stored: StoredPack[] = [];
  const writer = new PackWriter({ storage, seal, formatVersion: 2, level: 1, onStored: (pack) => stored.push(pack) });
  for (const plain of plains) writer.add(kind, idOf(plain), plain);
  // What is small is left to be joined with others.
  for (const partial of await writer.drain()) stored.push(await storePack({ storage, seal }, partial));
  assert.equal(stored.length, 1);
  const { id, entries } = stored[0] as StoredPack;
  const pack = index.addPack(id);
  for (const entry of parseHeaderEntries(entries)) index.add(entry.id, entry.kind, pack, entry.offset, entry.length, entry.plainLength);
  return id;
}

async function damage({ storage }: Repository, pack: PackId, at: number): Promise<void> {
  const bytes = await storage.read({ kind: 'data', name: pack });
  bytes[at] = (bytes[at] as number) ^ 1;
  await storage.write({ kind: 'data', name: pack }, [bytes]);
}

function counted(storage: Storage): { storage: Storage; reads: () => number } {
  let reads = 0;
  return {
    storage: {
      ...storage,
      read: (file, range) => {
        reads++;
        return storage.read(file, range);
      },
    },
    reads: () => reads,
  };
}

const texts = (count: number, size = 50) => Array.from({ length: count }, (_, i) => Buffer.from(`blob ${i} `.repeat(size)));

async function fixture(t: TestContext): Promise<{ repository: Repository; index: BlobIndex }> {
  return { repository: await scratchRepository(t), index: new BlobIndex() };
}

test('blobs of both kinds come back, in any order', async (t) => {
  const { repository, index } = await fixture(t);
  const data = texts(20);
  const trees = texts(30, 2000);
  await store(repository, index, 'data', data);
  await store(repository, index, 'tree', trees);
  const reader = createBlobReader({ ...repository, index });
  for (const plain of data.toReversed()) assert.deepEqual(await reader.read('data', hexOf(plain)), plain);
  for (const plain of trees.toReversed()) assert.deepEqual(await reader.read('tree', hexOf(plain)), plain);
  assert.deepEqual(await Promise.all(trees.map((plain) => reader.read('tree', hexOf(plain)))), trees);
  await assert.rejects(reader.read('tree', hexOf(data[0] as Buffer)), { code: 'damaged' }, 'a data blob is no tree');
});

test('neighbouring trees cost one read', async (t) => {
  const { repository, index } = await fixture(t);
  const trees = texts(50);
  await store(repository, index, 'tree', trees);
  const { storage, reads } = counted(repository.storage);
  const reader = createBlobReader({ ...repository, storage, index });
  for (const plain of trees) await reader.read('tree', hexOf(plain));
  assert.equal(reads(), 1);
});

test('trees that lie across windows, or are larger than one', async (t) => {
  const { repository, index } = await fixture(t);
  const trees = Array.from({ length: 12 }, (_, i) => {
    const plain = Buffer.alloc(100_000 + i * 90_000);
    for (let at = 0; at < plain.length; at += 32) idOf(Buffer.from(`${i} ${at}`)).copy(plain, at);
    return plain;
  });
  await store(repository, index, 'tree', trees);
  const reader = createBlobReader({ ...repository, index, windows: 1 });
  for (const plain of [...trees, ...trees.toReversed()]) assert.ok((await reader.read('tree', hexOf(plain))).equals(plain));
});

test('a reader may keep what it was given: the next read does not change it', async (t) => {
  const { repository, index } = await fixture(t);
  const trees = texts(5);
  await store(repository, index, 'tree', trees);
  const reader = createBlobReader({ ...repository, index });
  const read: Buffer[] = [];
  for (const plain of trees) read.push(await reader.read('tree', hexOf(plain)));
  assert.deepEqual(read, trees);
});

for (const kind of ['data', 'tree'] as const) {
  test(`a damaged copy of a ${kind} blob is replaced by another, and without one it is damage`, async (t) => {
    const { repository, index } = await fixture(t);
    const [plain] = texts(1) as [Buffer];
    const [other] = [Buffer.from('other')];
    const first = await store(repository, index, kind, [plain]);
    const second = await store(repository, index, kind, [other, plain]);
    const [newest] = index.locations(hexOf(plain), kind);
    assert.equal(newest?.pack, second);
    await damage(repository, second, (newest?.offset ?? 0) + 20);
    assert.deepEqual(await createBlobReader({ ...repository, index }).read(kind, hexOf(plain)), plain);
    await repository.storage.remove({ kind: 'data', name: first });
    await assert.rejects(createBlobReader({ ...repository, index }).read(kind, hexOf(plain)), { name: 'HoldfastError' });
    await damage(repository, second, (newest?.offset ?? 0) + 20);
    assert.deepEqual(await readAnyCopy({ ...repository, index }, kind, hexOf(plain)), plain);
  });
}

test('a blob that no index names is damage, with its name', async (t) => {
  const { repository, index } = await fixture(t);
  const id = 'ab'.repeat(32) as BlobId;
  await assert.rejects(createBlobReader({ ...repository, index }).read('data', id), { code: 'damaged', message: new RegExp(id) });
});

test('an index that lies never yields wrong data', async (t) => {
  const { repository, index } = await fixture(t);
  const [plain, other] = texts(2) as [Buffer, Buffer];
  const id = await store(repository, index, 'data', [plain]);
  const place = index.locations(hexOf(plain), 'data')[0];
  assert.ok(place);
  const lies = [
    [hexOf(other), place.offset, place.length, place.plainLength],
    [hexOf(plain), place.offset + 1, place.length, place.plainLength],
    [hexOf(plain), place.offset, place.length - 1, place.plainLength],
    [hexOf(plain), place.offset, place.length, place.plainLength + 1],
    [hexOf(plain), place.offset, place.length, place.plainLength - 1],
    [hexOf(plain), place.offset, place.length, 0],
    [hexOf(plain), place.offset, place.length, 0xffffffff],
    [hexOf(plain), 0xfffffff0, place.length, place.plainLength],
    [hexOf(plain), place.offset, 0xffffffff, place.plainLength],
    [hexOf(plain), place.offset, 5, place.plainLength],
  ] as const;
  for (const [blob, offset, length, plainLength] of lies) {
    for (const kind of ['data', 'tree'] as const) {
      const lying = new BlobIndex();
      lying.add(blob, kind, lying.addPack(id), offset, length, plainLength);
      await assert.rejects(
        createBlobReader({ ...repository, index: lying }).read(kind, blob),
        { name: 'HoldfastError' },
        `${kind} ${offset} ${length} ${plainLength}`,
      );
    }
  }
});

test('opening into scratch memory, which may be too small', async (t) => {
  const { seal } = await scratchRepository(t);
  const plain = Buffer.from('as it is');
  assert.deepEqual(openBlob(seal, seal.seal(plain), 0, hexOf(plain), Buffer.alloc(2)), plain);
  assert.ok(hashesTo(plain, hexOf(plain)));
  assert.ok(!hashesTo(plain, hexOf(Buffer.alloc(0))));
});
