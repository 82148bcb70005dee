import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { fc, runs } from '../../../test/properties.ts';
import { scratchRepository } from '../../../test/scratch-repository.ts';
import { storeTrees } from '../../../test/scratch-trees.ts';
import type { BlobId } from '../../model/ids.ts';
import { BlobIndex } from '../../repository/blob-index.ts';
import type { Repository } from '../../repository/repository.ts';
import { withContentAhead } from './content-ahead.ts';

const MiB = 1024 * 1024;
const idOf = (plain: Buffer) => createHash('sha256').update(plain).digest('hex') as BlobId;

async function fixture(
  t: TestContext,
  ...packs: (readonly Buffer[])[]
): Promise<{ repository: Repository; index: BlobIndex; lengths: number[]; most: () => number }> {
  const scratch = await scratchRepository(t);
  const index = new BlobIndex();
  for (const pack of packs) await storeTrees(scratch, index, [{ file: pack }]);
  const lengths: number[] = [];
  let underWay = 0;
  let most = 0;
  const storage = {
    ...scratch.storage,
    read: async (...args: Parameters<typeof scratch.storage.read>) => {
      lengths.push(args[1]?.length ?? 0);
      most = Math.max(most, ++underWay);
      // Others begin before this one ends.
      await new Promise((resolve) => setImmediate(resolve));
      return scratch.storage.read(...args).finally(() => underWay--);
    },
  };
  return { repository: { ...scratch, storage }, index, lengths, most: () => most };
}

type Item = { name: string; blobs: Buffer[] };

async function* listed(items: readonly Item[]): AsyncGenerator<Item> {
  yield* items;
}

async function read(items: readonly Item[], options: { repository: Repository; index: BlobIndex }): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for await (const { item, sizeBytes, content } of withContentAhead(listed(items), ({ blobs }) => blobs.map(idOf), options)) {
    const parts: Buffer[] = [];
    for await (const part of content) parts.push(Buffer.from(part));
    found.set(item.name, Buffer.concat(parts));
    assert.equal(sizeBytes, found.get(item.name)?.length);
  }
  return found;
}

test('files come back in order, from few reads', async (t) => {
  const blobs = Array.from({ length: 3000 }, (_, i) => Buffer.from(`content of ${i} `.repeat(20)));
  const { lengths, ...options } = await fixture(t, blobs);
  const items = blobs.map((blob, i) => ({ name: `${i}`, blobs: i % 7 === 0 ? [] : [blob] }));
  const found = await read(items, options);
  assert.deepEqual(
    [...found.keys()],
    items.map(({ name }) => name),
  );
  for (const { name, blobs: own } of items) assert.deepEqual(found.get(name), Buffer.concat(own));
  assert.ok(lengths.length < 10, `${lengths.length} reads`);
});

test('several large ranges are on their way, and no more', async (t) => {
  const blobs = Array.from({ length: 24 }, () => randomBytes(MiB));
  const { lengths, most, ...options } = await fixture(t, blobs);
  const found = await read([{ name: 'one', blobs }], options);
  assert.ok(found.get('one')?.equals(Buffer.concat(blobs)));
  assert.ok(lengths.every((length) => length <= 4 * MiB + 64));
  assert.ok(lengths.length <= 9, `${lengths.length} reads`);
  assert.ok(most() > 1 && most() <= 5, `${most()} reads at once`);
});

test('a blob that repeats is read once; blobs in any order come back', async (t) => {
  const [zeros, a, b] = [Buffer.alloc(512 * 1024), Buffer.from('a'), Buffer.from('b')];
  const { lengths, ...options } = await fixture(t, [a, zeros, b]);
  const blobs = [b, ...Array<Buffer>(50).fill(zeros), a, b, a];
  const found = await read([{ name: 'sparse', blobs }], options);
  assert.ok(found.get('sparse')?.equals(Buffer.concat(blobs)));
  assert.ok(lengths.length === 1, `${lengths.length} reads`);
});

test('blobs that alternate between packs, out of order in each, come from few reads', async (t) => {
  const blobs = Array.from({ length: 2000 }, (_, i) => Buffer.from(`content of ${i} `.repeat(20)));
  const even = blobs.filter((_, i) => i % 2 === 0);
  const odd = blobs.filter((_, i) => i % 2 === 1).reverse();
  const { lengths, ...options } = await fixture(t, even, odd);
  const found = await read([{ name: 'all', blobs }], options);
  assert.ok(found.get('all')?.equals(Buffer.concat(blobs)));
  assert.ok(lengths.length <= 4, `${lengths.length} reads`);
});

test('any order of blobs, with any repeats, comes back', async (t) => {
  const blobs = Array.from({ length: 40 }, (_, i) => randomBytes(i % 9 === 0 ? 100_000 : 10 + i));
  const options = await fixture(t, blobs.slice(0, 15), blobs.slice(15, 30), blobs.slice(30));
  const order = fc.array(fc.integer({ min: 0, max: blobs.length - 1 }), { maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(fc.array(order, { maxLength: 4 }), async (files) => {
      const items = files.map((numbers, i) => ({ name: `${i}`, blobs: numbers.map((n) => blobs[n] as Buffer) }));
      const found = await read(items, options);
      for (const { name, blobs: own } of items) assert.ok(found.get(name)?.equals(Buffer.concat(own)));
    }),
    { numRuns: runs(30) },
  );
});

test('what is lost is an error where it is missed, and what comes before is whole', async (t) => {
  const { repository, index } = await fixture(t, [Buffer.from('there')]);
  const items = [
    { name: 'good', blobs: [Buffer.from('there')] },
    { name: 'bad', blobs: [Buffer.from('there'), Buffer.from('not there')] },
  ];
  const seen: string[] = [];
  const reading = async () => {
    for await (const { item, content } of withContentAhead(listed(items), ({ blobs }) => blobs.map(idOf), { repository, index })) {
      for await (const part of content) seen.push(`${item.name} ${part.toString()}`);
    }
  };
  await assert.rejects(reading, { code: 'damaged' });
  assert.deepEqual(seen, ['good there']);

  async function* failing(): AsyncGenerator<Item> {
    yield items[0] as Item;
    throw new Error('no more');
  }
  const names: string[] = [];
  await assert.rejects(async () => {
    for await (const { item, content } of withContentAhead(failing(), ({ blobs }) => blobs.map(idOf), { repository, index })) {
      for await (const part of content) names.push(`${item.name} ${part.toString()}`);
    }
  }, /no more/);
  assert.deepEqual(names, ['good there']);
});
