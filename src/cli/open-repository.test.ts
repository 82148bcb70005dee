import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requireRoot, scratch } from '../../test/peers.ts';
import { scratchPassword, scratchRepository } from '../../test/scratch-repository.ts';
import { openRepositoryAt } from './open-repository.ts';

/** Opens and closes a repository with a cache that somebody has prepared. @returns whether the cache was used, and if not, why. */
async function opened(t: TestContext, prepare: (root: string) => void): Promise<{ used: boolean; names: string[]; reasons: string[] }> {
  const root = join(scratch(t), 'cache');
  prepare(root);
  const reasons = await openedAt(t, root);
  return { used: reasons.length === 0, names: readdirSync(root), reasons };
}

/** @returns why no cache was used; nothing when one was. */
async function openedAt(t: TestContext, root: string): Promise<string[]> {
  const { folder } = await scratchRepository(t);
  const reasons: string[] = [];
  const { address, close } = await openRepositoryAt(
    { address: { url: folder }, cacheRoot: root, password: async () => scratchPassword },
    { signal: new AbortController().signal, report: () => undefined },
    (told, reason) => void reasons.push(told === root ? reason : told),
  );
  await close();
  assert.equal(address.cacheFolder !== undefined, reasons.length === 0);
  return reasons;
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
    assert.deepEqual(await opened(t, prepare), { used: false, names: [], reasons: ['other users can write to it'] });
  }
  const elsewhere = scratch(t);
  assert.deepEqual(await opened(t, (root) => symlinkSync(elsewhere, root)), { used: false, names: [], reasons: ['it is no directory'] });
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

test('a folder that cannot be made or is none costs the cache, and never hangs', async (t) => {
  const folder = scratch(t);
  writeFileSync(join(folder, 'file'), '');
  assert.deepEqual(await openedAt(t, join(folder, 'file')), ['it is no directory']);
  assert.deepEqual(await openedAt(t, join(folder, 'file', 'below')), ['ENOTDIR']);
  assert.deepEqual(await openedAt(t, '/proc/holdfast/cache'), ['ENOENT']);
  assert.deepEqual(await openedAt(t, join(folder, 'several', 'new', 'ones')), []);
});
