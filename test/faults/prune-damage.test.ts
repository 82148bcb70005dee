/** Prunes of damaged repositories, and prunes that must stop: what somebody may still need is never removed. */
import assert from 'node:assert/strict';
import { chmodSync, cpSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { HoldfastError } from '../../src/model/errors.ts';
import { loadIndex } from '../../src/repository/load-index.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { scratch } from '../peers.ts';
import { findingsOf } from './engine.ts';
import { assertClean, assertSameManifest, createProject, filesOf, holdfast, manifest, openProject, type Project } from './project.ts';
import { fillRepository, packsOf, pruneInProcess } from './prune-support.ts';
import { injectFault, withFaults } from './with-faults.ts';

const original = createProject({ after: after as TestContext['after'] });
const originalStates = await fillRepository(original);

/** A copy of the project for each test. */
function filled(t: TestContext): { project: Project; states: ReadonlyMap<string, string> } {
  const folder = scratch(t);
  cpSync(original.folder, folder, { recursive: true, preserveTimestamps: true });
  const at = (path: string) => join(folder, relative(original.folder, path));
  const { volume, repository, keyFile } = original;
  return { project: { folder, volume: at(volume), repository: at(repository), keyFile: at(keyFile) }, states: originalStates };
}

/** Changes a byte of a pack. */
function damage({ repository }: Project, pack: string, at = 40): void {
  const path = join(repository, 'data', pack);
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  chmodSync(path, 0o600);
  writeFileSync(path, bytes);
}

const sizeOf = ({ repository }: Project, pack: string) => statSync(join(repository, 'data', pack)).size;

async function packOfRoot(project: Project, snapshot: string): Promise<{ path: string; offset: number }> {
  const repository = await openProject(project);
  const { tree } = (await listSnapshots(repository)).find(({ id }) => id === snapshot) as { tree: string };
  const [place] = (await loadIndex(repository)).locations(tree, 'tree');
  return { path: `${place?.pack.slice(0, 2)}/${place?.pack}`, offset: place?.offset ?? -1 };
}

function assertRestored(project: Project, states: ReadonlyMap<string, string>): void {
  for (const [id, state] of states) {
    const target = join(project.folder, `restored-${id}`);
    holdfast(project.folder, ['restore', '--at', id, '--to', target, '--quiet']);
    assertSameManifest(manifest(join(target, 'data')), state, `snapshot ${id}`);
  }
}

test('a damaged tree: the snapshots that need it are named, and nothing is removed', async (t) => {
  const { project, states } = filled(t);
  const [snapshot, other] = [...states.keys()] as [string, string];
  const { path, offset } = await packOfRoot(project, snapshot);
  damage(project, path, offset + 20);
  const before = [packsOf(project), filesOf(project, 'index')];
  await assert.rejects(pruneInProcess(project), (error) => {
    assert.ok(error instanceof HoldfastError && error.code === 'damaged', String(error));
    assert.match(error.message, new RegExp(`affected: 1 snapshots \\(${snapshot.slice(0, 8)}\\); nothing was removed`));
    assert.doesNotMatch(error.message, new RegExp(other.slice(0, 8)));
    return true;
  });
  assert.deepEqual([packsOf(project), filesOf(project, 'index')], before);
});

test('damaged blobs in a pack that is repacked: no old pack or index file is removed', async (t) => {
  const { project } = filled(t);
  const before = [packsOf(project), filesOf(project, 'index')] as const;
  const [largest] = packsOf(project).sort((a, b) => sizeOf(project, b) - sizeOf(project, a)) as [string];
  // Somewhere in every large blob: some of them are needed.
  for (let at = 40; at < sizeOf(project, largest); at += 20_000) damage(project, largest, at);
  await assert.rejects(pruneInProcess(project), (error) => {
    assert.ok(error instanceof HoldfastError && error.code === 'damaged', String(error));
    assert.match(error.message, /which snapshots need: .*; no old pack was removed$/);
    return true;
  });
  for (const name of before[0]) assert.ok(packsOf(project).includes(name), `${name} was removed`);
  for (const name of before[1]) assert.ok(filesOf(project, 'index').includes(name), `index file ${name} was removed`);
});

test('of a blob that is stored twice, the good copy stays, whichever that is', async (t) => {
  const { project, states } = filled(t);
  const old = new Set(packsOf(project));
  // The copies are indexed; what stays is not, and so nothing was removed.
  injectFault({ operation: 'write index', nth: 1, when: 'before', code: 'storage' });
  const storage = withFaults(createLocalStorage(project.repository), project.repository);
  await assert.rejects(pruneInProcess(project, { storage }), { code: 'storage' });
  const copies = packsOf(project)
    .filter((pack) => !old.has(pack))
    .sort((a, b) => sizeOf(project, b) - sizeOf(project, a));
  assert.ok(copies.length >= 2);
  damage(project, copies[0] as string);
  await pruneInProcess(project);
  const left = packsOf(project);
  assert.ok(
    [...old].some((pack) => !left.includes(pack)),
    'no old pack was removed',
  );
  assertRestored(project, states);
});

/** Calls back after a pack was written. */
const afterFirstPack = (storage: Storage, callback: () => void): Storage => ({
  ...storage,
  async write(file, parts) {
    await storage.write(file, parts);
    if (file.kind === 'data') callback();
  },
});

for (const { code, indexes } of [
  { code: 'locked', indexes: 0 },
  { code: 'interrupted', indexes: 1 },
] as const) {
  test(`${code} in the middle: ${indexes} index files more, nothing removed, the next prune carries on`, async (t) => {
    const { project, states } = filled(t);
    const before = [packsOf(project), filesOf(project, 'index')] as const;
    const stop = new AbortController();
    const storage = afterFirstPack(createLocalStorage(project.repository), () => stop.abort(new HoldfastError(code, 'it was so')));
    await assert.rejects(pruneInProcess(project, { storage, signal: stop.signal }), { code, message: 'it was so' });
    assert.equal(filesOf(project, 'index').length, before[1].length + indexes);
    for (const name of before[0]) assert.ok(packsOf(project).includes(name));
    assert.deepEqual(await findingsOf(project), []);
    await pruneInProcess(project);
    assertClean(project);
    assertRestored(project, states);
  });
}

test('an index file that cannot be read ends it', async (t) => {
  const { project } = filled(t);
  const before = packsOf(project);
  const [name] = filesOf(project, 'index') as [string];
  const path = join(project.repository, 'index', name);
  const bytes = readFileSync(path);
  rmSync(path);
  writeFileSync(path, bytes.subarray(0, -1));
  await assert.rejects(pruneInProcess(project), { code: 'damaged' });
  assert.deepEqual(packsOf(project), before);
});

/** Storages whose listings lack something at first, as those that take a while to agree with themselves. */
const listingLate = (storage: Storage, kind: 'snapshots' | 'index', from: number): Storage => {
  let listings = 0;
  return {
    ...storage,
    async *list(listed) {
      const short = listed === kind && listings++ < from;
      let skipped = false;
      for await (const file of storage.list(listed)) {
        if (short && !skipped) skipped = true;
        else yield file;
      }
    },
  };
};

test('a listing that lacks a snapshot at first: nothing is removed', async (t) => {
  const { project } = filled(t);
  const before = [packsOf(project), filesOf(project, 'index')];
  const storage = listingLate(createLocalStorage(project.repository), 'snapshots', 1);
  await assert.rejects(pruneInProcess(project, { storage }), {
    code: 'storage',
    message: /snapshots\/.* was not there when the prune began/,
  });
  assert.deepEqual([packsOf(project), filesOf(project, 'index')], before);
});

test('a snapshot that comes while packs are copied: no pack that is named is removed', async (t) => {
  const { project, states } = filled(t);
  const before = packsOf(project);
  const storage = listingLate(createLocalStorage(project.repository), 'snapshots', 2);
  await assert.rejects(pruneInProcess(project, { storage }), { code: 'storage' });
  const after = new Set(packsOf(project));
  assert.ok(before.every((name) => after.has(name)));
  assertRestored(project, states);
});

test('a listing that lacks an index file and all snapshots at first: nothing is removed', async (t) => {
  const { project } = filled(t);
  const before = packsOf(project);
  const late = listingLate(createLocalStorage(project.repository), 'index', 1);
  let listings = 0;
  const storage: Storage = {
    ...late,
    async *list(kind) {
      if (kind !== 'snapshots' || listings++ > 0) yield* late.list(kind);
    },
  };
  await assert.rejects(pruneInProcess(project, { storage }), { code: 'storage', message: /was not there when the prune began/ });
  assert.deepEqual(packsOf(project), before);
  assert.deepEqual(await findingsOf(project), []);
});

test('a snapshot that is listed and cannot be found: nothing is removed', async (t) => {
  const { project } = filled(t);
  const before = [packsOf(project), filesOf(project, 'index')];
  const real = createLocalStorage(project.repository);
  const [lost] = filesOf(project, 'snapshots');
  const storage: Storage = {
    ...real,
    async read(file, range) {
      if (file.name === lost) throw new HoldfastError('file-missing', `snapshots/${lost} is missing`);
      return real.read(file, range);
    },
  };
  await assert.rejects(pruneInProcess(project, { storage }), { code: 'storage', message: /though it was listed/ });
  assert.deepEqual([packsOf(project), filesOf(project, 'index')], before);
});
