import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../../test/peers.ts';
import { scratchOptions, scratchPassword, scratchRepository } from '../../test/scratch-repository.ts';
import { sha256Hex } from '../format/kernel/sha256.ts';
import { createKeyFile } from '../format/key-file.ts';
import { createLocalStorage } from '../storage/local.ts';
import type { FileKind, Storage } from '../storage/storage.ts';
import { createRepository, openRepository, readSealedJson, writeSealedJson } from './repository.ts';

async function namesIn(storage: Storage, kind: FileKind): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of storage.list(kind)) names.push(name);
  return names;
}

for (const version of [1, 2] as const) {
  test(`a repository of version ${version} opens as what it was made`, async (t) => {
    const made = await scratchRepository(t, version);
    const opened = await openRepository(createLocalStorage(made.folder), scratchPassword);
    assert.deepEqual(opened.config, made.config);
    assert.equal(opened.config.version, version);
    assert.deepEqual(opened.masterKey, made.masterKey);
    assert.equal(opened.config.chunkerPolynomial, scratchOptions.chunkerPolynomial);
    assert.match(opened.config.id, /^[0-9a-f]{64}$/);
  });
}

test('two repositories share neither id nor key', async (t) => {
  const [a, b] = [await scratchRepository(t), await scratchRepository(t)];
  assert.notEqual(a.config.id, b.config.id);
  assert.notDeepEqual(a.masterKey, b.masterKey);
});

test('a repository is not made over another, nor over the keys of another', async (t) => {
  const { folder, storage } = await scratchRepository(t);
  await assert.rejects(createRepository(createLocalStorage(folder), scratchOptions), { code: 'repository-exists' });
  await storage.remove({ kind: 'config', name: '' });
  await assert.rejects(createRepository(createLocalStorage(folder), { ...scratchOptions, password: Buffer.from('y') }), {
    code: 'repository-exists',
  });
});

test('one that was half made, by the same password, is carried on with its key', async (t) => {
  const { folder, storage, masterKey } = await scratchRepository(t);
  await storage.remove({ kind: 'config', name: '' });
  assert.deepEqual((await createRepository(createLocalStorage(folder), scratchOptions)).masterKey, masterKey);
  assert.equal((await namesIn(storage, 'keys')).length, 1);
  assert.deepEqual((await openRepository(storage, scratchPassword)).masterKey, masterKey);
});

test('a wrong password, and no repository', async (t) => {
  const { folder } = await scratchRepository(t);
  await assert.rejects(openRepository(createLocalStorage(folder), Buffer.from('y')), { code: 'wrong-password', exitCode: 12 });
  await assert.rejects(openRepository(createLocalStorage(join(scratch(t), 'nothing')), scratchPassword), {
    code: 'no-repository',
    exitCode: 10,
  });
});

test('any of several keys opens it, and a damaged one is no obstacle', async (t) => {
  const { storage, masterKey, folder } = await scratchRepository(t);
  const second = Buffer.from(
    JSON.stringify(await createKeyFile(Buffer.from('second'), masterKey, scratchOptions.cost, scratchOptions.owner, new Date())),
  );
  await storage.write({ kind: 'keys', name: sha256Hex(second) }, [second]);
  writeFileSync(join(folder, 'keys', '00'.repeat(32)), 'nonsense');
  for (const password of ['x', 'second']) assert.deepEqual((await openRepository(storage, Buffer.from(password))).masterKey, masterKey);
  await assert.rejects(openRepository(storage, Buffer.from('third')), { code: 'wrong-password' });
});

test('when every key is damaged, that is what is said', async (t) => {
  const { storage, folder } = await scratchRepository(t);
  for (const name of await namesIn(storage, 'keys')) await storage.remove({ kind: 'keys', name });
  writeFileSync(join(folder, 'keys', '00'.repeat(32)), 'nonsense');
  await assert.rejects(openRepository(storage, scratchPassword), { code: 'damaged' });
});

test('a configuration that was changed is damage', async (t) => {
  const { storage } = await scratchRepository(t);
  const config = await storage.read({ kind: 'config', name: '' });
  config[20] = (config[20] as number) ^ 1;
  await storage.write({ kind: 'config', name: '' }, [config]);
  await assert.rejects(openRepository(storage, scratchPassword), { code: 'damaged' });
});

test('the configuration comes last: a repository half made is none', async (t) => {
  const inner = createLocalStorage(join(scratch(t), 'repository'));
  const written: string[] = [];
  const storage: Storage = {
    ...inner,
    write: async (file, parts) => {
      written.push(file.kind);
      await inner.write(file, parts);
    },
  };
  await createRepository(storage, scratchOptions);
  assert.deepEqual(written, ['keys', 'config']);
});

test('sealed JSON is stored under its hash, and verified when it is read', async (t) => {
  const repository = await scratchRepository(t);
  const json = Buffer.from('{"hello":"world"}');
  const name = await writeSealedJson(repository, 'snapshots', json);
  const sealed = await repository.storage.read({ kind: 'snapshots', name });
  assert.equal(sha256Hex(sealed), name);
  assert.ok(!sealed.includes('hello'));
  assert.deepEqual(await readSealedJson(repository, 'snapshots', name), json);

  sealed[30] = (sealed[30] as number) ^ 1;
  await repository.storage.write({ kind: 'snapshots', name }, [sealed]);
  await assert.rejects(readSealedJson(repository, 'snapshots', name), { code: 'damaged', file: `snapshots/${name}` });
  // A file of that hash that somebody without the key put there.
  const forged = sha256Hex(sealed);
  await repository.storage.write({ kind: 'snapshots', name: forged }, [sealed]);
  await assert.rejects(readSealedJson(repository, 'snapshots', forged), { code: 'damaged', file: `snapshots/${forged}` });
  await assert.rejects(readSealedJson(repository, 'snapshots', '11'.repeat(32)), { code: 'file-missing' });
});

test('a reply that looks complete and is half of it is asked for again; what stays damaged is named', async (t) => {
  const made = await scratchRepository(t);
  const name = await writeSealedJson(made, 'snapshots', Buffer.from('{}'));
  /** The first `times` replies for a kind are half. */
  const halving = (kind: FileKind, times: number): Storage => ({
    ...made.storage,
    async read(file, range) {
      const bytes = await made.storage.read(file, range);
      return file.kind === kind && times-- > 0 ? bytes.subarray(0, bytes.length >> 1) : bytes;
    },
  });
  assert.deepEqual((await openRepository(halving('config', 1), scratchPassword)).config, made.config);
  assert.deepEqual((await openRepository(halving('keys', 1), scratchPassword)).config, made.config);
  await assert.rejects(openRepository(halving('config', 2), scratchPassword), { code: 'damaged', file: 'config' });
  const readThrough = (storage: Storage) => readSealedJson({ ...made, storage }, 'snapshots', name);
  assert.equal((await readThrough(halving('snapshots', 1))).toString(), '{}');
  await assert.rejects(readThrough(halving('snapshots', 2)), { code: 'damaged', file: `snapshots/${name}` });
});
