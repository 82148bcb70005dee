import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchRepository } from '../../test/scratch-repository.ts';
import { headerLength, openHeader } from '../format/pack-header.ts';
import { HoldfastError } from '../model/errors.ts';
import type { Storage } from '../storage/storage.ts';
import { PackWriter, type StoredPack } from './pack-writer.ts';
import type { Repository } from './repository.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

async function add(writer: PackWriter, repository: Repository, kind: 'data' | 'tree', plain: Buffer): Promise<void> {
  const sealed = repository.seal.seal(plain);
  sealed.copy(writer.room(kind, sealed.length));
  // What was put into the room and not added must leave no trace.
  randomBytes(sealed.length).copy(writer.room(kind, sealed.length));
  sealed.copy(writer.room(kind, sealed.length));
  writer.addSealed(kind, sha256(plain), sealed.length, 0);
  if (writer.full) await writer.settle();
}

const packFiles = (folder: string) =>
  readdirSync(join(folder, 'data'), { recursive: true, encoding: 'utf8' }).filter((name) => name.length > 2);

for (const pieces of [true, false]) {
  test(`packs of both kinds, ${pieces ? 'piece by piece' : 'as a whole'}, hold what was added`, async (t) => {
    const repository = await scratchRepository(t);
    const { begin, ...whole } = repository.storage;
    const storage: Storage = pieces ? repository.storage : whole;
    const stored: StoredPack[] = [];
    const writer = new PackWriter({ storage, seal: repository.seal, formatVersion: 2, level: 2, onStored: (pack) => stored.push(pack) });
    const blobs = Array.from({ length: 30 }, (_, n) => randomBytes(n === 7 ? 11_000_000 : 700_000 + n));
    for (const [n, blob] of blobs.entries()) await add(writer, repository, n % 10 === 0 ? 'tree' : 'data', blob);
    const trees = randomBytes(100);
    const partial = await writer.drain();
    await add(writer, repository, 'tree', trees);
    partial.push(...(await writer.drain()));
    assert.deepEqual(
      partial.map(({ kind, body }) => [kind, body.length]),
      [['tree', trees.length + 32]],
    );
    assert.equal(stored.length, packFiles(repository.folder).length);
    const found: string[] = [];
    for (const { id, kind, sizeBytes, entries } of stored) {
      const bytes = readFileSync(join(repository.folder, 'data', id.slice(0, 2), id));
      assert.equal(sha256(bytes).toString('hex'), id);
      assert.equal(bytes.length, sizeBytes);
      const header = openHeader(repository.seal, bytes.subarray(bytes.length - headerLength(bytes, bytes.length)), bytes.length);
      assert.equal(entries.length, header.length * 37);
      for (const entry of header) {
        assert.equal(entry.kind, kind);
        const plain = repository.seal.open(Buffer.from(bytes.subarray(entry.offset, entry.offset + entry.length)));
        assert.equal(sha256(plain).toString('hex'), entry.id);
        found.push(entry.id);
      }
    }
    assert.deepEqual(found.sort(), blobs.map((blob) => sha256(blob).toString('hex')).sort());
    assert.ok(stored.filter(({ sizeBytes }) => sizeBytes >= 16 * 1024 * 1024).length >= 1);
  });
}

test('a pack that fails leaves nothing behind, and is not told as stored', async (t) => {
  const repository = await scratchRepository(t);
  let commits = 0;
  const storage: Storage = {
    ...repository.storage,
    async begin() {
      const file = await (repository.storage.begin as NonNullable<Storage['begin']>)();
      return {
        ...file,
        commit: async () => {
          commits++;
          throw new HoldfastError('storage-full', 'no room');
        },
      };
    },
  };
  const writer = new PackWriter({
    storage,
    seal: repository.seal,
    formatVersion: 2,
    level: 2,
    onStored: () => assert.fail('told as stored'),
  });
  for (let n = 0; n < 10; n++) await add(writer, repository, 'data', randomBytes(1_000_000));
  await assert.rejects(writer.drain(), { code: 'storage-full' });
  assert.equal(commits, 1);
  assert.deepEqual(packFiles(repository.folder), []);
});
