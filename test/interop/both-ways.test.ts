/** What one writes, the other reads: Holdfast and restic, stock and newest, repository formats 1 and 2. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeAwkwardTree, randomBytes } from '../awkward-tree.ts';
import { type Restic, requirePeer, requireRestic, requireRoot, scratch } from '../peers.ts';
import { differences, documents, holdfast, holdfastJson, type Project, projectAt, restic } from '../programs.ts';

const MiB = 1024 * 1024;
const asRoot = process.getuid?.() === 0;

type Peers = { program: Restic; rsync: string };

/** What the comparison needs, or undefined when something is missing and the test is marked as skipped. */
function peers(t: TestContext, name: Restic['name']): Peers | undefined {
  const rsync = requirePeer(t, 'rsync');
  const program = requireRestic(t, name);
  if (!rsync || !program || !requirePeer(t, 'setfacl') || !requirePeer(t, 'setcap')) return undefined;
  return { program, rsync };
}

/** A project whose volume holds everything awkward, and files of several chunks. */
function awkwardProject(t: TestContext): { project: Project; volume: string } {
  const folder = scratch(t);
  const volume = join(folder, 'volume');
  mkdirSync(volume);
  makeAwkwardTree(volume, { asRoot });
  writeFileSync(join(volume, 'random'), randomBytes(6 * MiB));
  writeFileSync(
    join(volume, 'compressible'),
    Buffer.concat(Array.from({ length: 3000 }, (_, i) => Buffer.from(`line ${i} of text\n`.repeat(100)))),
  );
  return { project: projectAt(folder, volume), volume };
}

function edit(volume: string): void {
  appendFileSync(join(volume, 'random'), 'appended');
  renameSync(join(volume, 'compressible'), join(volume, 'renamed'));
  writeFileSync(join(volume, 'names', 'new file'), 'new\n');
  rmSync(join(volume, 'times', '0.1'));
}

/** No restic restores hard links between symlinks. */
const lostByAll = /symlink again => links\/symlink$/;
/** restic 0.14 knew neither attributes of symlinks nor link targets that are not UTF-8. */
const lostByStock = /symlinks\/(link 2|link to bytes)/;

/** What restic cannot restore of what it reads, and rsync therefore finds. */
function resticDifferences(program: Restic, rsync: string, original: string, copy: string): string {
  return differences(rsync, original, copy)
    .split('\n')
    .filter((line) => line !== '' && !lostByAll.test(line) && !(program.name === 'stock' && lostByStock.test(line)))
    .join('\n');
}

/** Pointed at a repository as any other program would be, without a `holdfast.yaml`. */
const holdfastAnywhere = (project: Project, args: string[]) =>
  holdfast('/', ['--repository', project.repository, '--password-file', project.passwordFile, ...args]);

const snapshotIds = (program: Restic, project: Project): string[] =>
  documents(restic(program, project, ['snapshots', '--json']).stdout)[0].map(({ id }: { id: string }) => id);

/** To a repository with another polynomial. */
function copyWithRestic(program: Restic, project: Project, snapshot: string): void {
  const other = { ...project, repository: join(project.folder, 'other') };
  restic(program, other, ['init']);
  restic(program, other, ['copy', '--from-repo', project.repository, '--from-password-file', project.passwordFile, snapshot]);
  restic(program, other, ['check', '--read-data']);
}

for (const name of ['stock', 'newest'] as const) {
  for (const version of ['1', '2'] as const) {
    test(`${name} restic reads, checks, restores and tends what Holdfast wrote, format ${version}`, (t) => {
      const found = peers(t, name);
      if (!found) return;
      const { program, rsync } = found;
      const { project, volume } = awkwardProject(t);
      const ask = (...args: string[]) => restic(program, project, args).stdout;
      const sound = () => {
        ask('check', '--read-data');
        holdfast(project.folder, ['check', '--read-data']);
      };
      holdfast(project.folder, ['init', '--repository-version', version]);
      assert.equal(JSON.parse(ask('cat', 'config')).version, Number(version));
      holdfast(project.folder, ['backup']);
      edit(volume);
      holdfast(project.folder, ['backup']);
      sound();

      const ids = snapshotIds(program, project);
      assert.equal(ids.length, 2);
      ask('restore', ids[1] as string, '--target', join(project.folder, 'restored'));
      if (asRoot) assert.equal(resticDifferences(program, rsync, volume, join(project.folder, 'restored')), '');
      const listed = documents(ask('ls', '--json', ids[1] as string)).filter(({ struct_type }) => struct_type === 'node');
      assert.ok(listed.some(({ path }) => path === '/names/new file'));
      assert.ok(!listed.some(({ path }) => path === '/times/0.1'));

      if (version === '2') copyWithRestic(program, project, ids[0] as string);
      ask(program.name === 'stock' ? 'rebuild-index' : 'repair', ...(program.name === 'stock' ? [] : ['index']));
      sound();
      ask('forget', ids[0] as string, '--prune', '--max-unused', '0');
      sound();
      const pruned = join(project.folder, 'restored after prune');
      holdfast(project.folder, ['restore', 'data', '--to', pruned]);
      assert.equal(differences(rsync, volume, pruned), '');
      // What a prune moved is found again: nothing is stored twice.
      const [summary] = holdfastJson(project.folder, ['backup', '--force']).filter(({ event }) => event === 'snapshot');
      assert.equal(summary.summary.dataBlobs, 0);
      assert.equal(summary.summary.treeBlobs, 0);
    });

    test(`Holdfast reads, checks, lists and restores what ${name} restic wrote, format ${version}`, (t) => {
      const found = peers(t, name);
      if (!found) return;
      const { program, rsync } = found;
      const { project, volume } = awkwardProject(t);
      restic(program, project, ['init', '--repository-version', version]);
      restic(program, project, ['backup', '.', '--tag', 'of restic'], { cwd: volume });
      edit(volume);
      restic(program, project, ['backup', '.'], { cwd: volume });
      holdfast(project.folder, ['check', '--read-data']);
      const [, latest = ''] = snapshotIds(program, project);
      const snapshots = holdfastJson(project.folder, ['snapshots', '--all']);
      assert.deepEqual(
        snapshots.map(({ tags, paths }) => ({ tags, paths })),
        [
          { tags: ['of restic'], paths: [volume] },
          { tags: [], paths: [volume] },
        ],
      );

      const listed = holdfast(project.folder, ['ls', latest, '--recursive']).stdout.split('\n');
      assert.ok(listed.includes('names/new file') && listed.includes('names/new\\nline'));
      const copy = join(project.folder, 'restored');
      holdfastAnywhere(project, ['restore', '--at', latest, '--to', copy]);
      assert.equal(
        differences(rsync, volume, copy)
          .split('\n')
          .filter((line) => line !== '' && !(name === 'stock' && lostByStock.test(line)))
          .join('\n'),
        '',
      );
      // A third writer of the same content stores nothing, in either format.
      const [snapshot] = holdfastJson(project.folder, ['backup']).filter(({ event }) => event === 'snapshot');
      assert.equal(snapshot.summary.dataBlobs, 0);
      restic(program, project, ['check', '--read-data']);
    });
  }
}

test('trees below an absolute path, as restic backs them up, are read like any other', (t) => {
  const found = peers(t, 'newest');
  if (!found || !requireRoot(t)) return;
  const { program, rsync } = found;
  const { project, volume } = awkwardProject(t);
  restic(program, project, ['init']);
  restic(program, project, ['backup', volume]);
  const copy = join(project.folder, 'restored');
  const [id = ''] = snapshotIds(program, project);
  holdfastAnywhere(project, ['restore', '--at', id, '--path', volume, '--to', copy]);
  assert.equal(differences(rsync, volume, copy), '');
});
