import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requireRoot, scratch } from '../../test/peers.ts';
import { scratchPassword, scratchRepository } from '../../test/scratch-repository.ts';
import { openRepositoryAt } from './open-repository.ts';

/** Opens and closes a repository with a cache that somebody has prepared. @returns whether the cache was used. */
async function opened(t: TestContext, prepare: (root: string) => void): Promise<{ used: boolean; names: string[] }> {
  const { folder } = await scratchRepository(t);
  const root = join(scratch(t), 'cache');
  prepare(root);
  const { address, close } = await openRepositoryAt(
    { address: { url: folder }, cacheRoot: root, password: async () => scratchPassword },
    { signal: new AbortController().signal, report: () => undefined },
  );
  await close();
  return { used: address.cacheFolder !== undefined, names: readdirSync(root) };
}

test('a cache that is missing is made, and one that is private is used', async (t) => {
  assert.equal((await opened(t, () => undefined)).used, true);
  assert.equal((await opened(t, (root) => mkdirSync(root, { mode: 0o755 }))).used, true);
});

test('a cache that others can write to is not used', async (t) => {
  for (const mode of [0o777, 0o1777, 0o775]) {
    const prepare = (root: string) => {
      mkdirSync(root);
      chmodSync(root, mode);
    };
    assert.deepEqual(await opened(t, prepare), { used: false, names: [] });
  }
  const elsewhere = scratch(t);
  assert.deepEqual(await opened(t, (root) => symlinkSync(elsewhere, root)), { used: false, names: [] });
});

test('root is not led by links in the cache of somebody else', async (t) => {
  if (!requireRoot(t)) return;
  const precious = join(scratch(t), 'precious');
  writeFileSync(precious, 'old');
  const prepare = (root: string) => {
    mkdirSync(root, { mode: 0o700 });
    chownSync(root, 65534, 65534);
    symlinkSync(precious, join(root, 'CACHEDIR.TAG'));
  };
  assert.equal((await opened(t, prepare)).used, false);
  assert.equal(readFileSync(precious, 'utf8'), 'old');
});
