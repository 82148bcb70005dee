/** A volume that arrives as a tar stream is what it would be as a directory. GNU tar makes the streams. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { type BackupResult, backUp } from '../../src/engine/backup/backup.ts';
import type { VolumeToBackUp } from '../../src/engine/backup/read-volume.ts';
import { restoreMarkerName } from '../../src/engine/restore/marker.ts';
import { decodeTree } from '../../src/format/tree.ts';
import { HoldfastError } from '../../src/model/errors.ts';
import type { EngineEvent } from '../../src/model/events.ts';
import type { TreeNode } from '../../src/model/node.ts';
import type { StoredSnapshot } from '../../src/model/snapshot.ts';
import { createBlobReader } from '../../src/repository/blob-reader.ts';
import { loadIndex } from '../../src/repository/load-index.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import { makeAwkwardTree, randomBytes } from '../awkward-tree.ts';
import { requirePeer, requireRoot, resticVersions, scratch } from '../peers.ts';
import { laneEntry, machineClock } from '../scratch-backup.ts';
import { scratchRepository } from '../scratch-repository.ts';

type Scratch = Repository & { folder: string };

const tarOf = (directory: string, ...options: string[]): AsyncIterable<Uint8Array> =>
  spawn('tar', ['--format=pax', '--xattrs', '--xattrs-include=*', '--acls', '--sort=name', ...options, '-cf', '-', '-C', directory, '.'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  }).stdout;

type Stream = NonNullable<VolumeToBackUp['stream']>;
const streamOf = (read: () => AsyncIterable<Uint8Array>, mountedInside: string[] = []): Stream => ({
  through: 'tar',
  read: async () => read(),
  mountedInside,
});

const backUpVolume = (repository: Scratch, volume: Partial<VolumeToBackUp>, more?: { dryRun?: boolean; signal?: AbortSignal }) =>
  backUpVolumes(repository, [volume], more);

async function backUpVolumes(
  repository: Scratch,
  volumes: readonly Partial<VolumeToBackUp>[],
  more: { dryRun?: boolean; signal?: AbortSignal } = {},
): Promise<BackupResult & { events: EngineEvent[] }> {
  const events: EngineEvent[] = [];
  const result = await backUp({
    repository,
    address: { url: repository.folder },
    laneEntry,
    index: await loadIndex(repository),
    snapshots: await listSnapshots(repository),
    project: 'project',
    volumes: volumes.map((volume) => ({
      name: 'volume',
      directory: '/nowhere',
      allowEmpty: false,
      excludes: {},
      excludeIfPresent: [],
      excludeCaches: false,
      oneFileSystem: true,
      withAtime: false,
      changes: { ignoreInode: false, ignoreCtime: false, force: false },
      ...volume,
    })),
    run: 'run',
    class: 'manual',
    consistency: 'crash',
    tags: [],
    programVersion: 'test',
    lanes: 1,
    compressionLevel: 3,
    dryRun: more.dryRun ?? false,
    report: (event) => events.push(event),
    signal: more.signal ?? new AbortController().signal,
    clock: machineClock,
  });
  return { ...result, events };
}

/** All nodes of the newest snapshot by path; hard links of a file have its first path in place of an inode number. */
async function newestTree(repository: Scratch): Promise<Map<string, Partial<TreeNode> & { file: string }>> {
  const blobs = createBlobReader({ ...repository, index: await loadIndex(repository) });
  const firstNames = new Map<string, string>();
  const found = new Map<string, Partial<TreeNode> & { file: string }>();
  async function walk(tree: string, above: string): Promise<void> {
    for (const node of decodeTree(await blobs.read('tree', tree as never))) {
      const path = `${above}/${node.name}`;
      const { inode, ctime: _, atime: __, deviceId: ___, subtree, ...rest } = node;
      const file = firstNames.get(String(inode)) ?? path;
      firstNames.set(String(inode), file);
      // A walk has them as the kernel lists them.
      const extendedAttributes = rest.extendedAttributes.toSorted((a, b) => (a.name < b.name ? -1 : 1));
      found.set(path, { ...rest, extendedAttributes, file });
      if (subtree !== undefined) await walk(subtree, path);
    }
  }
  const snapshot = (await listSnapshots(repository)).at(-1) as StoredSnapshot;
  await walk(snapshot.tree, '');
  const { inode: _, ctime: __, atime: ___, deviceId: ____, ...root } = snapshot.root as TreeNode;
  return found.set('', { ...root, file: '' });
}

/** Paths whose nodes differ: a whole tree would say too much. */
const differing = <Node>(a: Map<string, Node>, b: Map<string, Node>): string[] =>
  [...new Set([...a.keys(), ...b.keys()])].filter((path) => !isDeepStrictEqual(a.get(path), b.get(path)));

function awkwardTree(t: TestContext): string | undefined {
  if (!requirePeer(t, 'setfacl') || !requirePeer(t, 'setcap') || !requireRoot(t)) return undefined;
  const volume = scratch(t);
  makeAwkwardTree(volume, { asRoot: true });
  writeFileSync(join(volume, 'large'), randomBytes(9_000_000));
  linkSync(join(volume, 'large'), join(volume, 'names', 'zzz another name of large'));
  return volume;
}

test('the trees of a stream are those of a directory, and nothing is stored twice', async (t) => {
  const volume = awkwardTree(t);
  if (volume === undefined) return;
  const repository = await scratchRepository(t);
  await backUpVolume(repository, { directory: volume });
  const walked = await newestTree(repository);
  const result = await backUpVolume(repository, { stream: streamOf(() => tarOf(volume)) });
  assert.equal(result.exitCode, 0);
  assert.deepEqual(differing(await newestTree(repository), walked), []);
  const [ofWalk, ofStream] = await listSnapshots(repository);
  assert.ok(ofWalk?.kinds);
  assert.equal(ofStream?.kinds, ofWalk.kinds);
  assert.equal(ofStream.incompressibleBytes, 0);
  assert.ok((ofWalk.incompressibleBytes ?? 0) >= 9_000_000, 'what is random does not compress');
  const [counts] = result.snapshots.map((snapshot) => snapshot.counts);
  assert.equal(counts?.dataBlobs, 0, 'the chunks of a stream are those of a file');
  assert.equal(counts?.filesNew, 0);
  const [from] = result.events.flatMap((event) => (event.event === 'volume-started' ? [event.from] : []));
  assert.equal(from, 'tar');

  const again = await backUpVolume(repository, { stream: streamOf(() => tarOf(volume)) });
  const [second] = again.snapshots.map((snapshot) => snapshot.counts);
  assert.deepEqual(
    [second?.treeBlobs, second?.filesChanged, second?.filesNew, second?.dirsChanged],
    [0, 0, 0, 0],
    'the second time, nothing is new',
  );
  for (const restic of resticVersions()) {
    const env = { ...process.env, RESTIC_PASSWORD: 'x' };
    const check = spawnSync(restic.path, ['--no-cache', '-r', repository.folder, 'check', '--read-data'], { encoding: 'utf8', env });
    assert.equal(check.status, 0, check.stderr);
  }
});

test('the order of a stream does not matter', async (t) => {
  const volume = awkwardTree(t);
  if (volume === undefined) return;
  const [sorted, unsorted] = [await scratchRepository(t), await scratchRepository(t)];
  await backUpVolume(sorted, { stream: streamOf(() => tarOf(volume)) });
  // Names before their directories, and directories last.
  const files = spawnSync('sh', ['-c', 'find . -depth -print0 | sort -rz'], { cwd: volume, encoding: 'latin1' }).stdout;
  const list = join(scratch(t), 'list');
  writeFileSync(list, files, 'latin1');
  const shuffled = () =>
    spawn(
      'tar',
      ['--format=pax', '--xattrs', '--xattrs-include=*', '--acls', '--no-recursion', '--null', '-cf', '-', '-C', volume, '-T', list],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    ).stdout;
  await backUpVolume(unsorted, { stream: streamOf(shuffled) });
  assert.deepEqual(differing(await newestTree(unsorted), await newestTree(sorted)), []);
});

function plainVolume(t: TestContext): string {
  const volume = scratch(t);
  for (const folder of ['kept', 'left out', 'cache', 'mounted', 'tagged']) {
    mkdirSync(join(volume, folder));
    writeFileSync(join(volume, folder, 'file'), folder);
  }
  writeFileSync(join(volume, 'cache', 'CACHEDIR.TAG'), 'Signature: 8a477f597d28d172789f06886806bc55\n');
  writeFileSync(join(volume, 'tagged', '.nobackup'), '');
  symlinkSync('kept', join(volume, 'link'));
  return volume;
}

test('what is excluded, and what is mounted inside, is not in the snapshot', async (t) => {
  const volume = plainVolume(t);
  const repository = await scratchRepository(t);
  const settings = { excludes: { ignorePatterns: ['left out/'] }, excludeIfPresent: ['.nobackup'], excludeCaches: true };
  await backUpVolume(repository, { ...settings, directory: volume });
  const walked = [...(await newestTree(repository)).keys()].filter((path) => path !== '/mounted/file');
  await backUpVolume(repository, { ...settings, stream: streamOf(() => tarOf(volume), ['mounted']) });
  assert.deepEqual([...(await newestTree(repository)).keys()], walked);
  assert.ok(walked.includes('/mounted') && walked.includes('/tagged/.nobackup') && !walked.includes('/cache/file'));
});

test('a name whose content is excluded is reported, not stored empty', async (t) => {
  const volume = plainVolume(t);
  linkSync(join(volume, 'left out', 'file'), join(volume, 'tagged', 'other name'));
  const repository = await scratchRepository(t);
  const { exitCode, events } = await backUpVolume(repository, {
    excludes: { ignorePatterns: ['left out/'] },
    stream: streamOf(() => tarOf(volume)),
  });
  assert.equal(exitCode, 3);
  const problems = events.flatMap((event) => (event.event === 'file-problem' ? [event] : []));
  assert.deepEqual(
    problems.map(({ file, problem }) => [file, problem]),
    [['tagged/other name', 'unreadable']],
  );
  assert.ok(!(await newestTree(repository)).has('/tagged/other name'));
});

async function* cutOff(stream: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const piece of stream) {
    yield piece.subarray(0, left);
    left -= piece.length;
    if (left <= 0) return;
  }
}

test('a stream that is cut, no archive, or empty where there was something, makes no snapshot', async (t) => {
  const volume = plainVolume(t);
  const repository = await scratchRepository(t);
  await backUpVolume(repository, { stream: streamOf(() => tarOf(volume)) });
  const refused = async (read: () => AsyncIterable<Uint8Array>, code: string) => {
    const { exitCode, failures } = await backUpVolume(repository, { stream: streamOf(read) });
    assert.deepEqual([exitCode, failures.map(({ error }) => error.code)], [1, [code]]);
  };
  await refused(() => cutOff(tarOf(volume), 3000), 'volume-unreadable');
  // All entries are there, and the end mark isn't: so an Engine ends when it could not read a file.
  await refused(() => cutOff(tarOf(volume, '--blocking-factor=1'), 1024), 'volume-unreadable');
  await refused(async function* () {
    yield Buffer.alloc(1024);
  }, 'volume-unreadable');
  await refused(async function* () {
    yield Buffer.from('no archive'.repeat(100));
  }, 'volume-unreadable');
  const empty = scratch(t);
  await refused(() => tarOf(empty), 'volume-empty');
  await refused(async function* () {
    yield Buffer.alloc(10);
    throw new HoldfastError('engine-unreachable', 'gone');
  }, 'engine-unreachable');
  writeFileSync(join(volume, restoreMarkerName), '');
  await refused(() => tarOf(volume), 'restore-unfinished');
  assert.equal((await listSnapshots(repository)).length, 1);
});

test('a dry run reads and stores nothing; an interruption ends the reading', async (t) => {
  const volume = plainVolume(t);
  const repository = await scratchRepository(t);
  const { snapshots } = await backUpVolume(repository, { stream: streamOf(() => tarOf(volume)) }, { dryRun: true });
  assert.ok((snapshots[0]?.counts.dataAdded ?? 0) > 0);
  assert.equal((await listSnapshots(repository)).length, 0);
  const control = new AbortController();
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield* cutOff(tarOf(volume), 512);
    control.abort();
    yield* tarOf(volume);
  }
  await assert.rejects(backUpVolume(repository, { stream: streamOf(endless) }, { signal: control.signal }), { code: 'interrupted' });
  rmSync(volume, { recursive: true });
});

test('a directory that cannot be read to its end leaves nothing in what the stream after it holds', async (t) => {
  const repository = await scratchRepository(t);
  const [broken, whole] = [scratch(t), scratch(t)];
  for (const name of ['a.txt', 'b.txt']) writeFileSync(join(broken, name), name);
  mkdirSync(join(broken, 'part'));
  writeFileSync(join(broken, 'part', restoreMarkerName), '');
  writeFileSync(join(whole, 'c.jpg'), 'c');
  const volumes = [
    { name: 'broken', directory: broken },
    { name: 'whole', stream: streamOf(() => tarOf(whole)) },
  ];
  const { failures } = await backUpVolumes(repository, volumes);
  assert.deepEqual(
    failures.map(({ volume }) => volume),
    ['broken'],
  );
  assert.deepEqual(
    (await listSnapshots(repository)).map(({ kinds }) => kinds),
    ['jpg=1'],
  );
});
