import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLocalStorage } from '../../src/storage/local.ts';
import { requireOrdinaryUser, scratch } from '../peers.ts';
import { runStorageContract } from './storage.ts';

runStorageContract('a local directory', async (t) => createLocalStorage(join(scratch(t), 'repository')));

const name = 'ab'.repeat(32);

test("the layout is restic's: packs in folders by the beginning of their names, read-only files", async (t) => {
  const root = scratch(t);
  const storage = createLocalStorage(root);
  await storage.create();
  await storage.write({ kind: 'data', name }, [Buffer.from('pack')]);
  await storage.write({ kind: 'index', name }, [Buffer.from('index')]);
  await storage.write({ kind: 'config', name: '' }, [Buffer.from('config')]);
  assert.deepEqual(readdirSync(root).sort(), ['config', 'data', 'index', 'keys', 'locks', 'snapshots']);
  assert.equal(readFileSync(join(root, 'data', 'ab', name), 'utf8'), 'pack');
  assert.equal(readFileSync(join(root, 'index', name), 'utf8'), 'index');
  assert.equal(statSync(join(root, 'data', 'ab', name)).mode & 0o777, 0o400);
  assert.equal(statSync(join(root, 'keys')).mode & 0o777, 0o700);
});

test('what an interrupted writer left does not show', async (t) => {
  const root = scratch(t);
  const storage = createLocalStorage(root);
  await storage.create();
  mkdirSync(join(root, 'data', 'ab'));
  for (const stray of [`data/ab/${name}-tmp-0123`, 'data/ab/README', 'data/stray', `index/${name}-tmp-0123`, 'index/.nfs0001'])
    writeFileSync(join(root, stray), 'x');
  for (const kind of ['data', 'index'] as const) for await (const file of storage.list(kind)) assert.fail(file.name);
});

test('a write that fails leaves nothing', async (t) => {
  const root = scratch(t);
  const storage = createLocalStorage(root);
  await storage.create();
  // A directory stands where the file is to be.
  mkdirSync(join(root, 'index', name, 'inside'), { recursive: true });
  await assert.rejects(storage.write({ kind: 'index', name }, [Buffer.from('x')]), { code: 'storage' });
  assert.deepEqual(readdirSync(join(root, 'index')), [name]);
});

test('a storage that has gone is not made anew by a write', async (t) => {
  const storage = createLocalStorage(join(scratch(t), 'unmounted'));
  await assert.rejects(storage.write({ kind: 'data', name }, [Buffer.from('x')]), { name: 'HoldfastError' });
});

test('a file that may not be read is a failure of the storage, not a missing file', async (t) => {
  if (!requireOrdinaryUser(t)) return;
  const root = scratch(t);
  const storage = createLocalStorage(root);
  await storage.create();
  await storage.write({ kind: 'index', name }, [Buffer.from('x')]);
  chmodSync(join(root, 'index', name), 0);
  await assert.rejects(storage.read({ kind: 'index', name }), { code: 'storage' });
});
