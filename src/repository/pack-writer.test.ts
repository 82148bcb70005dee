import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { scratchRepository } from '../../test/scratch-repository.ts';
import { compressBound, zstd } from '../format/kernel/zstd.ts';
import { headerLength, openHeader, parseHeaderEntries } from '../format/pack-header.ts';
import { sealOverheadBytes } from '../format/seal.ts';
import { openJson } from '../format/sealed-json.ts';
import { HoldfastError } from '../model/errors.ts';
import type { BlobId } from '../model/ids.ts';
import type { Storage } from '../storage/storage.ts';
import { openBlob } from './blob-reader.ts';
import { PackWriter, type PackWriterOptions, packTargetBytes, type StoredPack, storePack } from './pack-writer.ts';
import type { Repository } from './repository.ts';

const idOf = (plain: Uint8Array) => createHash('sha256').update(plain).digest();

function writerOf(repository: Repository, changes: Partial<PackWriterOptions> = {}): { writer: PackWriter; stored: StoredPack[] } {
  const stored: StoredPack[] = [];
  const { storage, seal, config } = repository;
  const writer = new PackWriter({
    storage,
    seal,
    formatVersion: config.version,
    level: 1,
    onStored: (pack) => stored.push(pack),
    ...changes,
  });
  return { writer, stored };
}

/** Every blob of a stored pack, opened and verified. */
async function blobsOf({ storage, seal }: Repository, { id }: StoredPack): Promise<{ kind: string; plain: Buffer; plainLength: number }[]> {
  const pack = await storage.read({ kind: 'data', name: id });
  assert.equal(createHash('sha256').update(pack).digest('hex'), id);
  const entries = openHeader(seal, pack.subarray(pack.length - headerLength(pack, pack.length)), pack.length);
  return entries.map(({ id, kind, offset, length, plainLength }) => {
    return { kind, plain: openBlob(seal, Buffer.from(pack.subarray(offset, offset + length)), plainLength, id), plainLength };
  });
}

for (const version of [1, 2] as const) {
  test(`blobs of all sizes come back from a pack of version ${version}`, async (t) => {
    const repository = await scratchRepository(t, version);
    const { writer } = writerOf(repository);
    const plains = [
      Buffer.alloc(0),
      Buffer.from('x'),
      Buffer.alloc(100_000, 'text '),
      Buffer.concat([Buffer.from('x'), randomBytes(100_000)]),
    ];
    for (const plain of plains) {
      const { plainBytes, storedBytes } = writer.add('data', idOf(plain), plain);
      assert.equal(plainBytes, plain.length);
      assert.ok(storedBytes <= plain.length + 32, 'what does not compress is stored as it is');
    }
    const [partial] = await writer.drain();
    assert.ok(partial);
    const blobs = await blobsOf(repository, await storePack(repository, partial));
    assert.deepEqual(
      blobs.map(({ plain }) => plain),
      plains,
    );
    assert.deepEqual(
      blobs.map(({ plainLength }) => plainLength > 0),
      [false, false, version === 2, false],
    );
  });
}

test('data and trees go into packs of their own', async (t) => {
  const repository = await scratchRepository(t);
  const { writer } = writerOf(repository);
  for (const kind of ['data', 'tree', 'data'] as const) writer.add(kind, idOf(Buffer.from(kind)), Buffer.from(kind));
  const partials = await writer.drain();
  assert.deepEqual(
    partials.map(({ kind, entries }) => [kind, parseHeaderEntries(entries).map((entry) => entry.kind)]),
    [
      ['data', ['data', 'data']],
      ['tree', ['tree']],
    ],
  );
  assert.deepEqual(await writer.drain(), [], 'nothing is given up twice');
});

/** Storages that a pack is appended to while it grows, and those that take it as a whole. */
const ways = [
  { way: 'as a whole', of: ({ storage }: Repository): Storage => ({ ...storage, begin: undefined }) },
  { way: 'piece by piece', of: ({ storage }: Repository): Storage => storage },
];

for (const { way, of } of ways) {
  test(`a pack is stored when it reaches its size, ${way}, and told of when it is durable`, async (t) => {
    const repository = await scratchRepository(t);
    const { writer, stored } = writerOf(repository, { storage: of(repository) });
    const plain = randomBytes(6 * 1024 * 1024);
    const plains: Buffer[] = [];
    for (let i = 0; i < 7; i++) {
      assert.equal(writer.full, false);
      plain[0] = i;
      plains.push(Buffer.from(plain));
      writer.add('data', idOf(plain), plain);
      if (writer.full) await writer.settle();
    }
    for (const partial of await writer.drain()) stored.push(await storePack(repository, partial));
    assert.equal(stored.length, 3);
    assert.equal(stored.filter(({ sizeBytes }) => sizeBytes >= packTargetBytes).length, 2, 'only the last may be smaller');
    for (const pack of stored) {
      assert.equal(await repository.storage.sizeOf({ kind: 'data', name: pack.id }), pack.sizeBytes);
    }
    const blobs = (await Promise.all(stored.map((pack) => blobsOf(repository, pack)))).flat();
    // The last pack may be durable before the one that was on its way.
    assert.deepEqual(new Set(blobs.map(({ plain }) => plain[0])), new Set([0, 1, 2, 3, 4, 5, 6]));
    assert.equal(blobs.length, plains.length);
    assert.ok(blobs.every(({ plain }) => plain.equals(plains[plain[0] as number] as Buffer)));
  });

  test(`a blob larger than a pack makes a larger pack, ${way}`, async (t) => {
    const repository = await scratchRepository(t);
    const { writer, stored } = writerOf(repository, { storage: of(repository) });
    const small = Buffer.from('small');
    const large = randomBytes(packTargetBytes + 10 * 1024 * 1024);
    writer.add('tree', idOf(small), small);
    writer.add('tree', idOf(large), large);
    await writer.settle();
    assert.deepEqual(await writer.drain(), []);
    const blobs = await blobsOf(repository, stored[0] as StoredPack);
    assert.deepEqual(
      blobs.map(({ plain }) => [plain.equals(small), plain.equals(large)]),
      [
        [true, false],
        [false, true],
      ],
    );
  });
}

test('a storage that fails is noticed by whoever goes on, and nothing is said to be stored', async (t) => {
  const repository = await scratchRepository(t);
  const fails = () => Promise.reject(new HoldfastError('storage-full', 'no room'));
  const plain = randomBytes(packTargetBytes);
  for (const begin of [undefined, fails]) {
    const { writer, stored } = writerOf(repository, { storage: { ...repository.storage, write: fails, begin } });
    writer.add('data', idOf(plain), plain);
    await assert.rejects(
      async () => {
        await writer.settle();
        await writer.drain();
      },
      { code: 'storage-full' },
    );
    assert.deepEqual(stored, []);
  }
});

test('content that is at hand in its stored form is sealed as it is', async (t) => {
  const repository = await scratchRepository(t);
  const plain = Buffer.from('again and again '.repeat(1000));
  const compressed = Buffer.alloc(compressBound(plain.length));
  const content = compressed.subarray(0, zstd.compress(plain, compressed, 15));
  const { writer } = writerOf(repository);
  assert.deepEqual(writer.addContent('data', idOf(plain), content, plain.length), {
    plainBytes: plain.length,
    storedBytes: content.length + sealOverheadBytes,
  });
  assert.deepEqual(writer.addContent('data', idOf(plain), plain, 0), {
    plainBytes: plain.length,
    storedBytes: plain.length + sealOverheadBytes,
  });
  const [partial] = await writer.drain();
  assert.ok(partial);
  const [first, second] = parseHeaderEntries(partial.entries);
  assert.ok(first && second);
  assert.deepEqual(openBlob(repository.seal, Buffer.from(partial.body.subarray(0, first.length)), plain.length, first.id), plain);
  assert.deepEqual(openBlob(repository.seal, Buffer.from(partial.body.subarray(second.offset)), 0, second.id), plain);
});

test('a wrong id is kept as it is given: readers find out', async (t) => {
  const repository = await scratchRepository(t);
  const { writer } = writerOf(repository);
  writer.add('data', idOf(Buffer.from('another')), Buffer.from('one'));
  const [partial] = await writer.drain();
  assert.ok(partial);
  const [entry] = parseHeaderEntries(partial.entries);
  assert.throws(() => openBlob(repository.seal, Buffer.from(partial.body), 0, entry?.id as BlobId), { code: 'damaged' });
});

test('what is in a volume is never sealed so that it would pass for a file of the repository', async (t) => {
  const repository = await scratchRepository(t);
  const { writer } = writerOf(repository);
  // What does not compress would be stored as it is.
  const plains = ['{', '[', '\u0002'].map((first) => Buffer.concat([Buffer.from(first), randomBytes(1000)]));
  for (const plain of plains) writer.add('data', idOf(plain), plain);
  const [partial] = await writer.drain();
  assert.ok(partial);
  const { body } = partial;
  const blobs = await blobsOf(repository, await storePack(repository, { ...partial, body: Buffer.from(body) }));
  assert.deepEqual(
    blobs.map(({ plain }) => plain),
    plains,
  );
  let at = 0;
  for (const { length } of parseHeaderEntries(partial.entries)) {
    const sealed = body.subarray(at, at + length);
    assert.throws(() => openJson(repository.seal, sealed), { code: 'damaged' });
    at += length;
  }
});
