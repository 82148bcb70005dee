import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchPassword, scratchRepository } from '../../test/scratch-repository.ts';
import { HoldfastError } from '../model/errors.ts';
import { createOutput } from './output/create-output.ts';
import { withRepository } from './session.ts';

async function session(t: Parameters<typeof scratchRepository>[0]) {
  const { folder } = await scratchRepository(t);
  const sink = { write: () => true };
  const environment = { HOLDFAST_PASSWORD: scratchPassword.toString() };
  const output = createOutput({ stdout: sink, stderr: sink, environment });
  const global = { json: false, quiet: false, verbose: false, color: false, repository: folder };
  const signal = new AbortController().signal;
  const context = { operands: [], options: {}, global, output, signal, cwd: folder, environment, stdout: sink, stderr: sink, commands: [] };
  const locks = join(folder, 'locks');
  const spoilLocks = () => {
    renameSync(locks, join(folder, 'locks-elsewhere'));
    writeFileSync(locks, '');
  };
  return { context, locks, spoilLocks };
}

test('a lock that cannot be removed does not hide what failed', async (t) => {
  const { context, spoilLocks } = await session(t);
  const failure = new HoldfastError('storage-full', 'the disk is full');
  const work = () => {
    spoilLocks();
    return Promise.reject(failure);
  };
  await assert.rejects(withRepository(context, undefined, 'shared', work), (error) => error === failure);
});

test('a lock that cannot be removed is an error when nothing else is', async (t) => {
  const { context, spoilLocks } = await session(t);
  await assert.rejects(
    withRepository(context, undefined, 'shared', async () => spoilLocks()),
    { code: 'storage' },
  );
});

test('the lock is there during the work, and gone after it, however it ended', async (t) => {
  const { context, locks } = await session(t);
  mkdirSync(locks, { recursive: true });
  assert.equal(await withRepository(context, undefined, 'shared', async () => readdirSync(locks).length), 1);
  assert.deepEqual(readdirSync(locks), []);
  await assert.rejects(
    withRepository(context, undefined, 'exclusive', () => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.deepEqual(readdirSync(locks), []);
});
