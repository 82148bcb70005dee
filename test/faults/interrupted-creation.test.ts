import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { HoldfastError } from '../../src/model/errors.ts';
import { createRepository, type NewRepository, openRepository } from '../../src/repository/repository.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { scratch } from '../peers.ts';

const options: NewRepository = {
  password: Buffer.from('correct'),
  cost: { N: 16, r: 1, p: 1 },
  chunkerPolynomial: 0x3da3358b4dc173n,
  owner: { username: 'test', hostname: 'test' },
  now: new Date(0),
};

/** Dies before the configuration is there, which makes a repository of it. */
const dyingBeforeConfig = (storage: Storage): Storage => ({
  ...storage,
  async write(file, parts) {
    if (file.kind === 'config') throw new HoldfastError('storage', 'killed');
    await storage.write(file, parts);
  },
});

test('a creation that was interrupted is carried on with, under the same key', async (t) => {
  const root = scratch(t);
  const storage = createLocalStorage(root);
  await assert.rejects(createRepository(dyingBeforeConfig(storage), options), { code: 'storage' });
  await assert.rejects(openRepository(storage, options.password), { code: 'no-repository' });
  const created = await createRepository(storage, options);
  assert.equal(readdirSync(join(root, 'keys')).length, 1, 'a second key would open the repository with the wrong master key');
  const opened = await openRepository(storage, options.password);
  assert.deepEqual(opened.masterKey, created.masterKey);
  assert.deepEqual(opened.config, created.config);
});

test('what another password or another repository left is not built upon', async (t) => {
  const storage = createLocalStorage(scratch(t));
  await assert.rejects(createRepository(dyingBeforeConfig(storage), options), { code: 'storage' });
  await assert.rejects(createRepository(storage, { ...options, password: Buffer.from('other') }), { code: 'repository-exists' });
  const name = 'a'.repeat(64);
  await storage.write({ kind: 'data', name }, [Buffer.from('a pack')]);
  await assert.rejects(createRepository(storage, options), { code: 'repository-exists' });
});

test('a repository that is there is not created again', async (t) => {
  const storage = createLocalStorage(scratch(t));
  const created = await createRepository(storage, options);
  await assert.rejects(createRepository(storage, options), { code: 'repository-exists' });
  assert.deepEqual((await openRepository(storage, options.password)).config, created.config);
});
