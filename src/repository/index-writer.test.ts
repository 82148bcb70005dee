import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { scratch } from '../../test/peers.ts';
import { HeaderBuilder } from '../format/pack-header.ts';
import { HoldfastError } from '../model/errors.ts';
import type { PackId } from '../model/ids.ts';
import { createLocalStorage } from '../storage/local.ts';
import type { Storage } from '../storage/storage.ts';
import { createIndexWriter } from './index-writer.ts';
import { loadIndex } from './load-index.ts';
import type { StoredPack } from './pack-writer.ts';
import { createRepository, type Repository } from './repository.ts';

const minuteMs = 60_000;

async function newRepository(t: TestContext, wrap: (storage: Storage) => Storage = (storage) => storage): Promise<Repository> {
  return createRepository(wrap(createLocalStorage(scratch(t))), {
    password: Buffer.from('x'),
    cost: { N: 16, r: 1, p: 1 },
    chunkerPolynomial: 0x3da3358b4dc173n,
    owner: { username: 'test', hostname: 'test' },
    now: new Date(0),
  });
}

function packOf(blobs: number): { pack: StoredPack; ids: Buffer[] } {
  const header = new HeaderBuilder();
  const ids = Array.from({ length: blobs }, () => randomBytes(32));
  for (const id of ids) header.add('data', id, 100, 0);
  return {
    pack: { id: randomBytes(32).toString('hex') as PackId, kind: 'data', entries: Buffer.from(header.bytes()), sizeBytes: blobs * 100 },
    ids,
  };
}

async function countIndexFiles({ storage }: Repository): Promise<number> {
  let count = 0;
  for await (const _ of storage.list('index')) count++;
  return count;
}

test('a pack waits for its index no longer than five minutes', async (t) => {
  const repository = await newRepository(t);
  const writer = createIndexWriter(repository);
  const { pack, ids } = packOf(3);
  await writer.writeDue(0);
  writer.add(pack);
  await writer.writeDue(10 * minuteMs);
  assert.equal(await countIndexFiles(repository), 0, 'written at once, though nothing was due');
  await writer.writeDue(15 * minuteMs - 1);
  assert.equal(await countIndexFiles(repository), 0);
  await writer.writeDue(15 * minuteMs);
  assert.equal(await countIndexFiles(repository), 1);
  const index = await loadIndex(repository);
  for (const id of ids) assert.equal(index.locations(id.toString('hex') as never, 'data')[0]?.pack, pack.id);
  await writer.writeDue(60 * minuteMs);
  await writer.flush();
  assert.equal(await countIndexFiles(repository), 1, 'what is written is not written again');
});

test('the five minutes count anew for the packs after', async (t) => {
  const repository = await newRepository(t);
  const writer = createIndexWriter(repository);
  writer.add(packOf(1).pack);
  await writer.writeDue(0);
  await writer.writeDue(5 * minuteMs);
  writer.add(packOf(1).pack);
  await writer.writeDue(6 * minuteMs);
  await writer.writeDue(9 * minuteMs);
  assert.equal(await countIndexFiles(repository), 1);
  await writer.writeDue(11 * minuteMs);
  assert.equal(await countIndexFiles(repository), 2);
});

test('many blobs do not wait', async (t) => {
  const repository = await newRepository(t);
  const writer = createIndexWriter(repository);
  writer.add(packOf(50_000).pack);
  await writer.writeDue(0);
  assert.equal(await countIndexFiles(repository), 1);
});

test('what is written at once is spread over files of at most 50,000 blobs; what failed on the way is not written twice', async (t) => {
  let writes = 0;
  const repository = await newRepository(t, (storage) => ({
    ...storage,
    async write(file, parts) {
      if (file.kind === 'index' && ++writes === 2) throw new HoldfastError('storage', 'unplugged');
      await storage.write(file, parts);
    },
  }));
  const writer = createIndexWriter(repository);
  const packs = [20_000, 20_000, 20_000, 30_000, 60_000, 1].map(packOf);
  for (const { pack } of packs) writer.add(pack);
  await assert.rejects(writer.flush(), { code: 'storage' });
  assert.equal(await countIndexFiles(repository), 1);
  await writer.flush();
  assert.equal(await countIndexFiles(repository), 4, '40,000; 50,000; 60,000, as a pack is never divided; 1');
  const index = await loadIndex(repository);
  for (const { ids } of packs)
    for (const id of [ids[0], ids.at(-1)] as Buffer[]) assert.equal(index.locations(id.toString('hex') as never, 'data').length, 1);
});

test('what could not be written is written by the next attempt, a minute later', async (t) => {
  let failures = 1;
  const repository = await newRepository(t, (storage) => ({
    ...storage,
    async write(file, parts) {
      if (file.kind === 'index' && failures-- > 0) throw new HoldfastError('storage', 'unplugged');
      await storage.write(file, parts);
    },
  }));
  const writer = createIndexWriter(repository);
  const { pack, ids } = packOf(2);
  writer.add(pack);
  await writer.writeDue(0);
  await assert.rejects(writer.writeDue(5 * minuteMs), { code: 'storage' });
  const later = packOf(1);
  writer.add(later.pack);
  await writer.writeDue(6 * minuteMs);
  const index = await loadIndex(repository);
  for (const id of [...ids, ...later.ids]) assert.ok(index.has(id, 'data'));
});
