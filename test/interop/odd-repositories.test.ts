/** Repositories as old or interrupted programs leave them: packs of mixed kinds, blobs stored twice, indexes that say `supersedes`. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { indexFragment } from '../../src/format/index-file.ts';
import { HeaderBuilder } from '../../src/format/pack-header.ts';
import { sealOverheadBytes } from '../../src/format/seal.ts';
import type { BlobId, PackId } from '../../src/model/ids.ts';
import { createBlobReader } from '../../src/repository/blob-reader.ts';
import { loadIndex } from '../../src/repository/load-index.ts';
import { type StoredPack, storePack } from '../../src/repository/pack-writer.ts';
import { openRepository, type Repository, writeSealedJson } from '../../src/repository/repository.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { compareTrees, describeTree, makeFolder, makeText, openFolder, randomBytes, raw } from '../awkward-tree.ts';
import { type Restic, requireRestic, scratch } from '../peers.ts';
import { blobsOf, documents, holdfast, holdfastJson, type Project, projectAt, restic } from '../programs.ts';

const open = (project: Project): Promise<Repository> =>
  openRepository(createLocalStorage(project.repository), Buffer.from(readFileSync(project.passwordFile, 'utf8').trim()));

async function filesOf({ storage }: Repository, kind: 'data' | 'index'): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of storage.list(kind)) names.push(name);
  return names;
}

/** One pack of blobs of both kinds, none compressed, as versions before 0.14 wrote them at times. */
async function storeMixedPack(repository: Repository, blobs: readonly string[]): Promise<StoredPack> {
  const reader = createBlobReader({ storage: repository.storage, seal: repository.seal, index: await loadIndex(repository) });
  const header = new HeaderBuilder();
  const sealedBlobs: Buffer[] = [];
  for (const blob of blobs) {
    const [kind, id] = blob.split(' ') as ['data' | 'tree', BlobId];
    const plain = await reader.read(kind, id);
    const sealed = Buffer.alloc(plain.length + sealOverheadBytes);
    repository.seal.sealInto(plain, sealed);
    header.add(kind, Buffer.from(id, 'hex'), sealed.length, 0);
    sealedBlobs.push(sealed);
  }
  return storePack(repository, { kind: 'data', entries: Buffer.from(header.bytes()), body: Buffer.concat(sealedBlobs) });
}

const indexOf = (packs: readonly StoredPack[], supersedes?: readonly string[]): Buffer => {
  const fragments = packs.map(({ id, entries }) => JSON.parse(indexFragment(id as PackId, entries)));
  return Buffer.from(JSON.stringify({ ...(supersedes ? { supersedes } : {}), packs: fragments }));
};

/** A project whose volume was backed up by restic. */
function backedUp(folder: string, program: Restic, version: '1' | '2'): { project: Project; volume: string } {
  const volume = join(folder, 'volume');
  mkdirSync(volume);
  const fd = openFolder(volume);
  for (let i = 0; i < 5; i++) makeFolder(fd, raw(`folder ${i}`), (below) => makeText(below, raw('file'), `content ${i}`));
  writeFileSync(join(volume, 'large'), randomBytes(3_000_000));
  const project = projectAt(folder, volume);
  restic(program, project, ['init', '--repository-version', version]);
  restic(program, project, ['backup', '.'], { cwd: volume });
  return { project, volume };
}

/** Holdfast checks, restores and adds to the repository, and stores nothing twice. */
function acceptedByHoldfast(project: Project, volume: string, copy: string): void {
  holdfast(project.folder, ['check', '--read-data']);
  const [{ id }] = holdfastJson(project.folder, ['snapshots', '--all']);
  holdfast('/', ['--repository', project.repository, '--password-file', project.passwordFile, 'restore', '--at', id, '--to', copy]);
  assert.deepEqual(compareTrees(describeTree(volume), describeTree(copy)), []);
  const { summary } = holdfastJson(project.folder, ['backup']).find(({ event }) => event === 'snapshot');
  assert.deepEqual([summary.dataBlobs, summary.treeBlobs], [0, 0]);
}

for (const version of ['1', '2'] as const) {
  test(`packs that hold data and trees, format ${version}`, async (t) => {
    const program = requireRestic(t, 'newest');
    if (!program) return;
    const { project, volume } = backedUp(scratch(t), program, version);
    const repository = await open(project);
    const blobs = blobsOf(program, project);
    const [packs, indexes] = [await filesOf(repository, 'data'), await filesOf(repository, 'index')];
    // Kinds alternate, so that neither is in one piece.
    const half = Math.ceil(blobs.length / 2);
    const shuffled = blobs.slice(0, half).flatMap((blob, i) => [blob, blobs[half + i]].filter((one) => one !== undefined));
    const mixed = await storeMixedPack(repository, shuffled);
    await writeSealedJson(repository, 'index', indexOf([mixed], indexes));
    for (const name of indexes) await repository.storage.remove({ kind: 'index', name });
    for (const name of packs) await repository.storage.remove({ kind: 'data', name });
    acceptedByHoldfast(project, volume, join(project.folder, 'copy'));
    // restic separates them again, and what Holdfast added stays readable.
    restic(program, project, ['prune']);
    restic(program, project, ['check', '--read-data']);
    acceptedByHoldfast(project, volume, join(project.folder, 'copy after prune'));
  });
}

test('blobs that are stored twice, and indexes that supersede others which are still there', async (t) => {
  const program = requireRestic(t, 'newest');
  if (!program) return;
  const { project, volume } = backedUp(scratch(t), program, '2');
  const repository = await open(project);
  const blobs = blobsOf(program, project);
  const indexes = await filesOf(repository, 'index');
  const pack = (kind: 'data' | 'tree') =>
    storeMixedPack(
      repository,
      blobs.filter((blob) => blob.startsWith(kind)),
    );
  const twice = [await pack('data'), await pack('tree')];
  await writeSealedJson(repository, 'index', indexOf(twice, indexes));
  // The same packs in a second index: an interrupted rebuild.
  await writeSealedJson(repository, 'index', indexOf([...twice].reverse()));
  acceptedByHoldfast(project, volume, join(project.folder, 'copy'));
  const found = documents(restic(program, project, ['check', '--read-data', '--json']).stdout).find(
    ({ message_type }) => message_type === 'summary',
  );
  assert.equal(found?.num_errors ?? 0, 0);
  // Whichever copy is lost, the other is found.
  await repository.storage.remove({ kind: 'data', name: (twice[0] as StoredPack).id });
  const copy = join(project.folder, 'copy without one pack');
  const [{ id }] = holdfastJson(project.folder, ['snapshots', '--all']);
  holdfast('/', ['--repository', project.repository, '--password-file', project.passwordFile, 'restore', '--at', id, '--to', copy], {
    exit: [0, 3],
  });
  assert.deepEqual(compareTrees(describeTree(volume), describeTree(copy)), []);
});
