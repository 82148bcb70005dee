import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scratchRepository } from '../../test/scratch-repository.ts';
import { HoldfastError } from '../model/errors.ts';
import { loadIndex } from './load-index.ts';
import { writeSealedJson } from './repository.ts';

const id = (number: number) => number.toString(16).padStart(2, '0').repeat(32);
const blob = (number: number, offset: number, more: object = {}) => ({ id: id(number), type: 'data', offset, length: 100, ...more });
const json = (...packs: object[]) => Buffer.from(JSON.stringify({ packs }));

test('all index files together say where everything is', async (t) => {
  const repository = await scratchRepository(t);
  assert.equal((await loadIndex(repository)).size, 0);
  for (let file = 0; file < 9; file++) {
    await writeSealedJson(
      repository,
      'index',
      json({ id: id(100 + file), blobs: [blob(2 * file, 0), blob(2 * file + 1, 100, { type: 'tree', uncompressed_length: 500 })] }),
    );
  }
  const index = await loadIndex(repository);
  assert.deepEqual([index.size, index.packCount], [18, 9]);
  assert.deepEqual(index.locations(id(5), 'tree'), [{ pack: id(102), kind: 'tree', offset: 100, length: 100, plainLength: 500 }]);
  assert.deepEqual(index.locations(id(5), 'data'), []);
  assert.equal(index.plainLengthOf(index.find(id(4), 'data')), 68);
});

test('what several files say alike is entered once; other places of the same blob are kept', async (t) => {
  const repository = await scratchRepository(t);
  const pack = { id: id(100), blobs: [blob(1, 0), blob(2, 100)] };
  await writeSealedJson(repository, 'index', json(pack));
  await writeSealedJson(repository, 'index', json(pack, { id: id(101), blobs: [blob(1, 0)] }));
  await writeSealedJson(repository, 'index', json(pack, pack));
  const index = await loadIndex(repository);
  assert.deepEqual([index.size, index.packCount], [3, 2]);
  assert.deepEqual(new Set(index.locations(id(1), 'data').map((place) => place.pack)), new Set([id(100), id(101)]));
});

test('a damaged file is an error, or handed over when somebody asks for it; the others count', async (t) => {
  const repository = await scratchRepository(t);
  await writeSealedJson(repository, 'index', json({ id: id(100), blobs: [blob(1, 0)] }));
  const bad = await writeSealedJson(repository, 'index', Buffer.from('{"packs":[{"id":"x"}]}'));
  await assert.rejects(loadIndex(repository), { code: 'damaged' });
  const damaged: [string, HoldfastError][] = [];
  const index = await loadIndex(repository, (name, error) => damaged.push([name, error]));
  assert.equal(index.size, 1);
  assert.deepEqual(
    damaged.map(([name, { code }]) => [name, code]),
    [[bad, 'damaged']],
  );
});

test('a storage that fails is no damage, and never goes unnoticed', async (t) => {
  const repository = await scratchRepository(t);
  const name = await writeSealedJson(repository, 'index', json({ id: id(100), blobs: [blob(1, 0)] }));
  const storage = { ...repository.storage, read: () => Promise.reject(new HoldfastError('storage', `cannot read ${name}`)) };
  await assert.rejects(
    loadIndex({ ...repository, storage }, () => assert.fail('not damage')),
    { code: 'storage' },
  );
});
