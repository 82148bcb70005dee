/** Checks of sound repositories, restic's and our own, whole and in part; and how a check ends early. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type CheckOptions, checkRepository } from '../../src/engine/maintenance/check.ts';
import { HoldfastError } from '../../src/model/errors.ts';
import type { EngineEvent } from '../../src/model/events.ts';
import { openRepository } from '../../src/repository/repository.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { backUpInto, makeSmallRepository, packPath, SmallRepository } from '../faults/small-repository.ts';
import { requireRestic, scratch } from '../peers.ts';
import { laneEntry } from '../scratch-backup.ts';

function resticRepository(t: TestContext, restic: string, version: 1 | 2): SmallRepository {
  const root = scratch(t);
  const folder = join(root, 'repository');
  const source = join(root, 'source');
  mkdirSync(join(source, 'a', 'b'), { recursive: true });
  for (let i = 0; i < 50; i++) writeFileSync(join(source, 'a', `file-${i}`), `content of ${i}\n`.repeat(i * 20));
  writeFileSync(join(source, 'a', 'b', 'large'), Buffer.alloc(3_000_000, 'large '));
  const run = (...args: string[]) =>
    execFileSync(restic, ['-q', '--no-cache', '-r', folder, ...args], { env: { ...process.env, RESTIC_PASSWORD: 'x' } });
  run('init', '--repository-version', String(version));
  run('backup', source);
  writeFileSync(join(source, 'a', 'file-3'), 'changed');
  run('backup', source);
  return new SmallRepository(folder);
}

for (const name of ['stock', 'newest'] as const) {
  for (const version of [1, 2] as const) {
    test(`what ${name} restic wrote in version ${version} is sound, and damage in it is found`, async (t) => {
      const restic = requireRestic(t, name);
      if (restic === undefined) return;
      const repository = resticRepository(t, restic.path, version);
      const result = await repository.check({ select: 'all' }, 2);
      assert.deepEqual([result.exitCode, result.findings], [0, []]);
      assert.equal(result.counts.snapshots, 2);
      assert.equal(result.counts.packsRead, result.counts.packs);
      assert.ok(result.counts.trees > 4);
      const bytes = repository.names('data').reduce((sum, pack) => sum + repository.bytes(pack).length, 0);
      assert.ok(result.bytesRead >= bytes, 'every byte of every pack was read');

      const [pack] = repository.names('data');
      repository.damage(pack as string, (content) => content.fill(0, 40, 41 + 3));
      assert.equal((await repository.check()).exitCode, 1);
    });
  }
}

test('structure alone reads trees and no packs', async (t) => {
  const repository = await makeSmallRepository(t);
  const result = await repository.check('structure');
  assert.deepEqual([result.exitCode, result.counts.packsRead, result.counts.snapshots, result.counts.trees], [0, 0, 2, 5]);
});

test('files that are none of the repository are noted, and are no error', async (t) => {
  const repository = await makeSmallRepository(t);
  writeFileSync(join(repository.folder, 'data', 'notes.txt'), 'mine');
  writeFileSync(join(repository.folder, 'index', `${'ab'.repeat(32)}-tmp-0123`), 'half');
  const { exitCode, notes, findings } = await repository.check('structure');
  assert.deepEqual([exitCode, notes, findings.map(({ kind }) => kind)], [0, 2, ['unfinished-file', 'unknown-file']]);
  assert.match(findings[1]?.message ?? '', /: 1 \(4 B\): data\/notes\.txt$/);
});

test('a part reads its packs and no others', async (t) => {
  const repository = await makeSmallRepository(t);
  const parts = 2;
  let read = 0;
  for (let part = 1; part <= parts; part++) read += (await repository.check({ select: 'part', part, parts })).counts.packsRead;
  assert.equal(read, repository.names('data').length);
});

test('a repository without a snapshot, and one without anything', async (t) => {
  const repository = await makeSmallRepository(t);
  for (const name of repository.names('snapshots')) repository.remove(name);
  assert.equal((await repository.check()).exitCode, 0);
  for (const kind of ['index', 'data']) for (const name of repository.names(kind)) repository.remove(name);
  assert.deepEqual((await repository.check()).findings, []);
});

async function options(repository: SmallRepository, changes: Partial<CheckOptions>): Promise<CheckOptions> {
  return {
    repository: await openRepository(createLocalStorage(repository.folder), Buffer.from('x')),
    address: { url: repository.folder },
    laneEntry,
    lanes: 1,
    readData: { select: 'all' },
    report: () => undefined,
    signal: new AbortController().signal,
    ...changes,
  };
}

test('findings and progress are events; progress ends with all bytes', async (t) => {
  const repository = await makeSmallRepository(t);
  const { packs } = await repository.index();
  repository.remove(packPath(packs[0]?.id as string));
  const events: EngineEvent[] = [];
  const result = await checkRepository(await options(repository, { report: (event) => events.push(event), memoryBytes: 1 }));
  const findings = events.flatMap((event) => (event.event === 'finding' ? [event.finding] : []));
  assert.deepEqual(findings, result.findings);
  const last = events.findLast((event) => event.event === 'progress');
  assert.ok(last?.event === 'progress');
  assert.equal(last.bytesDone, last.bytesTotal);
  assert.equal(last.bytesDone, result.bytesRead);
});

test('a check ends at once when it is asked to, before and in the middle', async (t) => {
  const repository = await makeSmallRepository(t);
  await assert.rejects(checkRepository(await options(repository, { signal: AbortSignal.abort() })), {
    name: 'HoldfastError',
    code: 'interrupted',
  });
  const stop = new AbortController();
  const slow = await options(repository, { signal: stop.signal });
  const { storage } = slow.repository;
  slow.repository.storage = {
    ...storage,
    list: (kind) => {
      // The last listing before the lanes start.
      if (kind === 'data') stop.abort();
      return storage.list(kind);
    },
  };
  await assert.rejects(checkRepository(slow), { name: 'HoldfastError', code: 'interrupted' });
});

test('a storage that fails in a listing ends the check; one file that cannot be read is a finding', async (t) => {
  const repository = await makeSmallRepository(t);
  const broken = await options(repository, {});
  const { storage } = broken.repository;
  const failure = new HoldfastError('storage', 'the network is gone');
  broken.repository.storage = {
    ...storage,
    list: () => {
      throw failure;
    },
  };
  await assert.rejects(checkRepository(broken), failure);
  broken.repository.storage = {
    ...storage,
    read: (file, range) => (file.kind === 'snapshots' ? Promise.reject(failure) : storage.read(file, range)),
  };
  const result = await checkRepository(broken);
  assert.deepEqual([result.exitCode, new Set(result.findings.map(({ kind }) => kind))], [1, new Set(['unreadable'])]);
});

test('a tree of many levels is walked without recursion', async (t) => {
  const source = join(scratch(t), 'deep');
  const repository = await makeSmallRepository(t);
  mkdirSync(join(source, ...Array.from({ length: 900 }, () => 'd')), { recursive: true });
  await backUpInto(repository, source, 'deep');
  const result = await repository.check('structure');
  assert.equal(result.exitCode, 0);
  assert.ok(result.counts.trees > 900);
});
