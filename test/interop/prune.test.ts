/** Holdfast's prune beside restic's, on copies of one repository; and repositories as other programs leave them, pruned. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { indexFragment } from '../../src/format/index-file.ts';
import { HeaderBuilder } from '../../src/format/pack-header.ts';
import type { BlobId } from '../../src/model/ids.ts';
import { createBlobReader } from '../../src/repository/blob-reader.ts';
import { loadIndex } from '../../src/repository/load-index.ts';
import { type StoredPack, storePack } from '../../src/repository/pack-writer.ts';
import { openRepository, type Repository, writeSealedJson } from '../../src/repository/repository.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { compareTrees, describeTree, randomBytes } from '../awkward-tree.ts';
import { type Restic, requireRestic, scratch } from '../peers.ts';
import { blobsOf, documents, holdfast, holdfastJson, type Project, projectAt, restic } from '../programs.ts';

const mebibyte = 1024 * 1024;

const open = (project: Project): Promise<Repository> =>
  openRepository(createLocalStorage(project.repository), Buffer.from(readFileSync(project.passwordFile, 'utf8').trim()));

const filesOf = (project: Project, kind: 'data' | 'index' | 'snapshots'): Set<string> =>
  new Set(
    readdirSync(join(project.repository, kind), { recursive: true, encoding: 'utf8' })
      .map((path) => path.slice(-64))
      .filter((name) => /^[0-9a-f]{64}$/.test(name)),
  );

/** A project whose repository is a copy of another's. */
function copyOf(project: Project, folder: string, volume: string): Project {
  mkdirSync(folder);
  cpSync(project.passwordFile, join(folder, 'key'));
  cpSync(project.repository, join(folder, 'repository'), { recursive: true });
  return projectAt(folder, volume);
}

function restoreAll(program: Restic, project: Project, states: ReadonlyMap<string, ReturnType<typeof describeTree>>): void {
  for (const [id, state] of states) {
    const target = join(project.folder, `restored ${id}`);
    restic(program, project, ['restore', id, '--target', target]);
    assert.deepEqual(compareTrees(state, describeTree(target)), [], `snapshot ${id}`);
    rmSync(target, { recursive: true });
  }
}

type Churned = { project: Project; volume: string; states: Map<string, ReturnType<typeof describeTree>> };

/** Snapshots of a volume that changes, made by restic and Holdfast in turn; half of them are forgotten. */
function churned(folder: string, program: Restic, version: '1' | '2', rounds: number): Churned {
  const volume = join(folder, 'volume');
  mkdirSync(join(volume, 'small'), { recursive: true });
  const project = projectAt(folder, volume);
  restic(program, project, ['init', '--repository-version', version]);
  const states = new Map<string, ReturnType<typeof describeTree>>();
  const backUp = (byHoldfast: boolean) => {
    const before = filesOf(project, 'snapshots');
    if (byHoldfast) holdfast(folder, ['backup', '--quiet']);
    else restic(program, project, ['backup', '--quiet', '--pack-size', '4', '.'], { cwd: volume });
    for (const id of filesOf(project, 'snapshots')) if (!before.has(id)) states.set(id, describeTree(volume));
  };
  for (let round = 0; round < rounds; round++) {
    // Packs whose unused shares all differ, so that there is one order in which to repack them.
    for (let n = 0; n <= 5; n++) {
      writeFileSync(join(volume, `noise ${round} ${n}`), randomBytes(Math.round((0.6 + n * 0.23 + round * 0.17) * mebibyte)));
    }
    for (let n = 0; n <= round; n++) rmSync(join(volume, `noise ${n} ${round - n}`), { force: true });
    for (let n = 0; n < 20; n++) writeFileSync(join(volume, 'small', `file ${n % (7 + round)}`), `${round} ${n}\n`.repeat(100 * n));
    backUp(round % 2 === 1);
  }
  const ids = [...states.keys()];
  const forgotten = ids.filter((_, n) => n < rounds / 3 || n === rounds - 3);
  restic(program, project, ['forget', '--quiet', ...forgotten]);
  for (const id of forgotten) states.delete(id);
  return { project, volume, states };
}

type Choice = { name: string; restic: string[]; holdfast: string[] };

const allChoices: readonly Choice[] = [
  { name: 'defaults', restic: [], holdfast: [] },
  { name: 'nothing unused', restic: ['--max-unused', '0'], holdfast: ['--max-unused', '0'] },
  { name: '30% unused', restic: ['--max-unused', '30%'], holdfast: ['--max-unused', '30%'] },
  { name: 'a little', restic: ['--max-repack-size', '12M'], holdfast: ['--max-repack-size', '12Mi'] },
  { name: 'trees only', restic: ['--repack-cacheable-only'], holdfast: ['--repack-cacheable-only'] },
];

function compareChoices(t: TestContext, program: Restic, version: '1' | '2', rounds: number, choices: readonly Choice[]): void {
  const folder = scratch(t);
  const { project, volume, states } = churned(folder, program, version, rounds);
  const before = filesOf(project, 'data');
  const freed = (pruned: Project) => [...before].filter((name) => !filesOf(pruned, 'data').has(name)).sort();
  const counts = new Set<number>();
  for (const choice of choices) {
    const theirs = copyOf(project, join(folder, `restic ${choice.name}`), volume);
    const ours = copyOf(project, join(folder, `holdfast ${choice.name}`), volume);
    restic(program, theirs, ['prune', '--quiet', ...choice.restic]);
    const said = holdfastJson(ours.folder, ['prune', ...choice.holdfast]);
    assert.deepEqual(freed(ours), freed(theirs), choice.name);
    const { result } = said.find(({ event }) => event === 'pruned');
    const after = filesOf(ours, 'data');
    assert.equal(result.packsRemoved, freed(ours).length);
    assert.equal(after.size, before.size - result.packsRemoved + result.packsWritten);
    counts.add(freed(ours).length);
    if (choice.name === 'nothing unused') {
      assert.deepEqual(blobsOf(program, ours), blobsOf(program, theirs));
      restic(program, ours, ['check', '--read-data']);
      restoreAll(program, ours, states);
      holdfast(ours.folder, ['check', '--read-data']);
      // Either finds nothing left to do for the other.
      const again = filesOf(ours, 'data');
      restic(program, ours, ['prune', '--max-unused', '0']);
      assert.deepEqual(filesOf(ours, 'data'), again);
      const left = filesOf(theirs, 'data');
      holdfast(theirs.folder, ['prune', '--max-unused', '0']);
      assert.deepEqual(filesOf(theirs, 'data'), left);
    }
    rmSync(theirs.folder, { recursive: true });
    rmSync(ours.folder, { recursive: true });
  }
  assert.ok(counts.size > choices.length / 3, `the choices make hardly a difference: ${[...counts]}`);
}

const named = (...names: string[]) => allChoices.filter(({ name }) => names.includes(name));

test('the same packs are freed as by newest restic', (t) => {
  const program = requireRestic(t, 'newest');
  if (program) compareChoices(t, program, '2', 6, allChoices);
});

// Versions before 0.19 call only packs below 640 KiB small; with these options that makes no difference.
test('the same packs are freed as by stock restic', (t) => {
  const program = requireRestic(t, 'stock');
  if (program) compareChoices(t, program, '2', 4, named('nothing unused', 'trees only'));
});

test('the same packs are freed as by restic, format 1', (t) => {
  const program = requireRestic(t, 'newest');
  if (program) compareChoices(t, program, '1', 3, named('nothing unused'));
});

/** One pack of these blobs, not compressed, as versions before 0.14 wrote them at times: of both kinds. */
async function storeOldPack(repository: Repository, blobs: readonly string[]): Promise<StoredPack> {
  const reader = createBlobReader({ storage: repository.storage, seal: repository.seal, index: await loadIndex(repository) });
  const header = new HeaderBuilder();
  const sealedBlobs: Buffer[] = [];
  for (const blob of blobs) {
    const [kind, id] = blob.split(' ') as ['data' | 'tree', BlobId];
    const plain = await reader.read(kind, id);
    const sealed = repository.seal.seal(plain);
    header.add(kind, Buffer.from(id, 'hex'), sealed.length, 0);
    sealedBlobs.push(sealed);
  }
  return storePack(repository, { kind: 'data', entries: Buffer.from(header.bytes()), body: Buffer.concat(sealedBlobs) });
}

const indexOf = (packs: readonly StoredPack[], supersedes: Iterable<string>): Buffer => {
  const documents = packs.map(({ id, entries }) => JSON.parse(indexFragment(id, entries)));
  return Buffer.from(JSON.stringify({ supersedes: [...supersedes], packs: documents }));
};

for (const version of ['1', '2'] as const) {
  test(`packs that hold data and trees, blobs stored twice, superseded index files, format ${version}`, async (t) => {
    const program = requireRestic(t, 'newest');
    if (!program) return;
    const folder = scratch(t);
    const { project, states } = churned(folder, program, version, 3);
    const repository = await open(project);
    const indexes = filesOf(project, 'index');
    const blobs = [...new Set(blobsOf(program, project))];
    const mixed = await storeOldPack(repository, blobs);
    // The superseded files are still there, and so are their packs: every blob is there twice.
    await writeSealedJson(repository, 'index', indexOf([mixed], indexes));
    const said = holdfastJson(folder, ['prune', '--max-unused', '0']);
    const { plan } = said.find(({ event }) => event === 'prune-plan');
    assert.ok(plan.blobs.duplicate > 0);
    const left = blobsOf(program, project);
    assert.equal(new Set(left).size, left.length, 'blobs are still stored twice');
    assert.ok(left.length < blobs.length);
    assert.ok(!filesOf(project, 'data').has(mixed.id), 'the mixed pack is still there');
    restic(program, project, ['check', '--read-data']);
    holdfast(folder, ['check', '--read-data']);
    restoreAll(program, project, states);
    if (version === '1') {
      holdfast(folder, ['prune', '--repack-uncompressed'], { exit: [1] });
      return;
    }
    const uncompressed = () =>
      documents(holdfast(folder, ['prune', '--dry-run', '--json', '--repack-uncompressed']).stdout)[0].plan.packs.repack;
    holdfast(folder, ['prune', '--repack-uncompressed']);
    assert.equal(uncompressed(), 0, 'compressing once is not enough');
    restic(program, project, ['check', '--read-data']);
  });
}
