/** What Holdfast copied is what restic would have copied: sound, complete, and nothing is copied twice by either. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { makeAwkwardTree, randomBytes } from '../awkward-tree.ts';
import { type Restic, requirePeer, requireRestic, scratch } from '../peers.ts';
import { blobsOf, type Document, differences, documents, holdfast, holdfastJson, type Project, projectAt, restic } from '../programs.ts';

const asRoot = process.getuid?.() === 0;

type Source = { source: Project; volume: string };

const folderOfSources = scratch({ after: after as TestContext['after'] });
const sources = new Map<string, Source>();

/** Two snapshots of an awkward volume, in a repository of this format; made once, because copies change nothing in it. */
function sourceOf(format: string): Source {
  const made = sources.get(format) ?? makeSource(format);
  sources.set(format, made);
  return made;
}

function makeSource(format: string): Source {
  const folder = join(folderOfSources, format);
  const volume = join(folder, 'volume');
  mkdirSync(volume, { recursive: true });
  makeAwkwardTree(volume, { asRoot });
  writeFileSync(join(volume, 'random'), randomBytes(3_000_000));
  writeFileSync(join(volume, 'text'), 'compresses well\n'.repeat(100_000));
  const source = projectAt(folder, volume);
  holdfast(folder, ['init', '--repository-version', format]);
  holdfast(folder, ['backup', '--tag', 'first']);
  appendFileSync(join(volume, 'random'), 'more');
  holdfast(folder, ['backup']);
  return { source, volume };
}

/** The source, and a destination of another key and format. */
function setUp(t: TestContext, from: string, to: string): Source & { destination: Project } {
  const { source, volume } = sourceOf(from);
  const there = scratch(t);
  writeFileSync(join(there, 'key'), 'another key\n');
  const destination = projectAt(there, volume);
  holdfast(there, ['init', '--repository-version', to, '--copy-chunker-params', ...fromOf(source)]);
  return { source, destination, volume };
}

const fromOf = ({ repository, passwordFile }: Project) => ['--from', repository, '--from-password-file', passwordFile];
const copy = (source: Project, destination: Project, ...args: string[]): Document[] =>
  holdfastJson(destination.folder, ['copy', '--all', ...fromOf(source), ...args]);
const snapshotsOf = (program: Restic, project: Project): Document[] =>
  documents(restic(program, project, ['snapshots', '--json']).stdout)[0];
const countSnapshots = ({ repository }: Project) => readdirSync(join(repository, 'snapshots')).length;
const filesOf = ({ repository }: Project) =>
  ['data', 'index', 'snapshots'].flatMap((kind) => readdirSync(join(repository, kind), { recursive: true, encoding: 'utf8' })).sort();

for (const [name, from, to] of [
  ['newest', '2', '2'],
  ['newest', '1', '2'],
  ['stock', '2', '1'],
] as const) {
  test(`a copy from format ${from} to ${to} is sound for ${name} restic, which has nothing to add`, (t) => {
    const program = requireRestic(t, name);
    const rsync = requirePeer(t, 'rsync');
    if (!program || !rsync) return;
    const { source, destination, volume } = setUp(t, from, to);
    const total = copy(source, destination).find((document) => document.copied !== undefined);
    assert.deepEqual([total.copied, total.present, total.damaged], [2, 0, 0]);
    restic(program, destination, ['check', '--read-data']);
    assert.deepEqual(new Set(blobsOf(program, destination)), new Set(blobsOf(program, source)));

    const [before, after] = [snapshotsOf(program, source), snapshotsOf(program, destination)];
    for (const [i, snapshot] of after.entries()) {
      const { id, short_id, parent: _, ...told } = before[i];
      const { id: __, short_id: ___, original, ...copied } = snapshot;
      assert.ok(id.startsWith(short_id));
      assert.equal(original, id);
      assert.deepEqual(copied, told);
    }
    holdfast(destination.folder, ['restore', 'data', '--to', join(destination.folder, 'restored'), '--verify']);
    assert.equal(differences(rsync, volume, join(destination.folder, 'restored')), '');

    const files = filesOf(destination);
    const again = copy(source, destination).find((document) => document.copied !== undefined);
    assert.deepEqual([again.copied, again.present, again.blobs], [0, 2, 0]);
    const other = ['--from-repo', source.repository, '--from-password-file', source.passwordFile];
    restic(program, destination, ['copy', ...other]);
    assert.deepEqual(filesOf(destination), files, 'a second copy added something');

    // The same chunker: what was copied is found by a backup straight into the copy.
    const straight = holdfastJson(destination.folder, ['backup', '--force']).find(({ event }) => event === 'snapshot');
    assert.equal(straight.summary.dataBlobs, 0);
  });
}

for (const name of ['stock', 'newest'] as const) {
  test(`what ${name} restic copied, Holdfast does not copy again, and the other way round with parts`, (t) => {
    const program = requireRestic(t, name);
    if (!program) return;
    const { source, destination } = setUp(t, '2', '2');
    const [first, second] = snapshotsOf(program, source);
    const other = ['--from-repo', source.repository, '--from-password-file', source.passwordFile];
    restic(program, destination, ['copy', ...other, first.id]);
    const events = copy(source, destination, '--dry-run');
    const outcomes = events.filter(({ event }) => event === 'snapshot-copied').map(({ source: id, outcome }) => [id, outcome]);
    assert.deepEqual(outcomes, [
      [first.id, 'present'],
      [second.id, 'would-copy'],
    ]);
    assert.equal(countSnapshots(destination), 1, 'a dry run writes nothing');
    copy(source, destination, second.id.slice(0, 10));
    restic(program, destination, ['check', '--read-data']);
    assert.equal(snapshotsOf(program, destination).length, 2);
  });
}

test('filters, --at and the schedules of holdfast.yaml say what is copied', (t) => {
  const { source, destination, volume } = setUp(t, '2', '2');
  const count = () => countSnapshots(destination);
  holdfastJson(destination.folder, ['copy', ...fromOf(source), '--tag', 'nosuch']);
  assert.equal(count(), 0);
  holdfastJson(destination.folder, ['copy', ...fromOf(source), '--at', 'latest']);
  assert.equal(count(), 1);
  const repositories = `repositories:\n  there: {url: ./repository, passwordFile: ./key}\n  here: {url: ${source.repository}, passwordFile: ${source.passwordFile}}\n`;
  const schedules = 'schedules:\n  nightly: {cron: "0 3 * * *", copy: {from: here, to: there}}\n';
  writeFileSync(
    join(destination.folder, 'holdfast.yaml'),
    `project: interop\nvolumes:\n  data: {source: {directory: ${volume}}}\n${repositories}${schedules}`,
  );
  holdfast(destination.folder, ['copy', '--tag', 'first']);
  assert.equal(count(), 2);
  holdfast(destination.folder, ['copy']);
  assert.equal(count(), 2);
  holdfast(destination.folder, ['copy', '--from', 'there'], { exit: [2] });
});
