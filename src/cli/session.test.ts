import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../../test/peers.ts';
import { scratchPassword, scratchRepository } from '../../test/scratch-repository.ts';
import { HoldfastError } from '../model/errors.ts';
import { createOutput } from './output/create-output.ts';
import { type Session, withRepository, withTwoRepositories } from './session.ts';

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

test('what is listed first is as it was behind the lock; who gets no lock gets nothing', async (t) => {
  const { context, locks } = await session(t);
  mkdirSync(locks, { recursive: true });
  const index = join(locks, '..', 'index');
  mkdirSync(index, { recursive: true });
  const write = (digit: string) => writeFileSync(join(index, digit.repeat(64)), '');
  write('a');
  const opening = { listsFirst: ['snapshots', 'index'] } as const;
  const names = async ({ repository }: Session) => (await Array.fromAsync(repository.storage.list('index'))).map(({ name }) => name[0]);
  const [first, second] = await withRepository(
    context,
    undefined,
    'shared',
    async (held) => [await names(held), await names(held)],
    opening,
  );
  assert.deepEqual([first, second], [['a'], ['a']]);
  await withRepository(context, undefined, 'exclusive', async () => {
    write('b');
    await assert.rejects(withRepository(context, undefined, 'shared', names, opening), { code: 'locked' });
  });
  assert.deepEqual((await withRepository(context, undefined, 'shared', names, opening)).sort(), ['a', 'b']);
});

test('one repository by two names is no source and destination', async (t) => {
  const { context, locks } = await session(t);
  mkdirSync(locks, { recursive: true });
  const alias = join(scratch(t), 'alias');
  symlinkSync(context.cwd, alias);
  const environment = { ...context.environment, HOLDFAST_FROM_PASSWORD: scratchPassword.toString() };
  const copy = (lock: 'none' | 'shared') =>
    withTwoRepositories(
      { ...context, environment },
      undefined,
      { from: { named: alias }, to: undefined },
      { source: lock, destination: lock },
      () => assert.fail('it copies'),
    );
  for (const lock of ['none', 'shared'] as const)
    await assert.rejects(copy(lock), { code: 'usage', message: /are the same repository: they have one id/ });
  assert.deepEqual(readdirSync(locks), []);
});

test('a folder for the cache that was named and cannot be used is told of once; one that nobody named, never', async (t) => {
  const { context } = await session(t);
  // No such address: nothing is asked.
  const global = { ...context.global, repository: 'rest:nowhere' };
  const open = async (options: { cacheDir?: string }, environment: Record<string, string> = {}) => {
    let said = '';
    const output = createOutput({ stdout: { write: () => true }, stderr: { write: (text) => (said += text) }, environment });
    const given = { ...context, output, global: { ...global, ...options }, environment: { ...context.environment, ...environment } };
    await assert.rejects(
      withRepository(given, undefined, 'none', () => assert.fail('it opens')),
      { code: 'usage' },
    );
    return said;
  };
  const file = join(scratch(t), 'file');
  writeFileSync(file, '');
  assert.equal(
    await open({ cacheDir: file }),
    `warning: no cache is used, which costs time: ${file} cannot hold one (it is no directory)\n`,
  );
  assert.equal(await open({ cacheDir: file }), '');
  assert.match(await open({}, { HOLDFAST_CACHE_DIR: join(file, 'below') }), /^warning: no cache is used.*ENOTDIR/);
  assert.equal(await open({}, { XDG_CACHE_HOME: join(file, 'usual') }), '');
});
