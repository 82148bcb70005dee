/** `diff` says what restic says, and compares with the volume as it is. */
import assert from 'node:assert/strict';
import { appendFileSync, chmodSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { documents, restic } from '../programs.ts';
import { type BrowsedProject, browsedProject } from './browsed-project.ts';

/** Changes as `M large`. restic ends directories with a slash, and calls a directory's metadata changed when only what is in it did. */
function byRestic({ program, project, ids }: BrowsedProject, ...args: string[]) {
  const all = documents(restic(program, project, ['diff', '--json', ...ids, ...args]).stdout);
  const changes = all
    .filter(({ message_type }) => message_type === 'change')
    .map(({ modifier, path }) => `${modifier} ${path.slice(1).replace(/\/$/, '')}`);
  return { changes: changes.sort(), statistics: all.find(({ message_type }) => message_type === 'statistics') };
}

async function differencesOf({ ask }: BrowsedProject, ...args: string[]) {
  const all = await ask(['diff', ...args]);
  const changes = all.filter((document) => 'change' in document).map(({ change, path }) => `${change} ${path}`);
  return { changes: changes.sort(), statistics: all.at(-1).statistics };
}

test('diff', async (t) => {
  const setUp = await browsedProject(t);
  if (!setUp) return;
  const { ids, volume, ask } = setUp;
  const diff = (...args: string[]) => differencesOf(setUp, ...args);
  const changesOf = async (...args: string[]) => (await diff(...args)).changes;

  await t.test('of two snapshots', async () => {
    const [ours, theirs] = [await diff(...ids), byRestic(setUp)];
    assert.deepEqual(ours.changes, theirs.changes);
    assert.ok(ours.changes.includes('T becomes-file') && ours.changes.includes('- leaving/deep/a'));
    for (const side of ['added', 'removed'] as const) {
      const { data_blobs, tree_blobs, ...entries } = theirs.statistics[side];
      assert.deepEqual(ours.statistics[side], { ...entries, dataBlobs: data_blobs, treeBlobs: tree_blobs });
    }
    const metadata = await changesOf(...ids, '--metadata');
    // What restic writes of metadata where the type changed too is not worth copying.
    const withoutTypes = (changes: readonly string[]) => changes.filter((line) => !line.startsWith('T'));
    assert.deepEqual(withoutTypes(metadata), withoutTypes(byRestic(setUp, '--metadata').changes));
    assert.ok(metadata.includes('U stays'));
  });

  await t.test('of what names, times and paths stand for', async () => {
    const backwards = await changesOf('--volume', 'data', 'latest', ids[0]);
    assert.ok(backwards.includes('+ leaving/deep/a') && backwards.includes('- moved'));
    assert.deepEqual(await changesOf(...ids, '--path', 'times'), ['- times/0.1']);
    assert.deepEqual(await changesOf(`${ids[0]}:/times`, 'latest:times'), ['- times/0.1']);
    assert.deepEqual(await changesOf('data', 'now'), []);
  });

  await t.test('of a snapshot and the live volume', async () => {
    const live = (...args: string[]) => changesOf('latest', '--live', ...args);
    assert.deepEqual(await live('--metadata'), []);
    assert.deepEqual(await live('--content', '--metadata'), []);

    appendFileSync(join(volume, 'large'), 'and more');
    utimesSync(join(volume, 'links/a first'), 1, 1);
    chmodSync(join(volume, 'moved'), 0o600);
    rmSync(join(volume, 'arriving'), { recursive: true });
    rmSync(join(volume, 'becomes-folder'));
    mkdirSync(join(volume, 'becomes-folder'));
    writeFileSync(join(volume, 'becomes-folder/inside'), 'new');
    const certain = ['+ becomes-folder/inside', '- arriving', '- arriving/deep', '- arriving/deep/hole.txt', 'M large', 'T becomes-folder'];
    const touched = ['M links/a first', 'M links/b second', 'M third in another folder'];
    assert.deepEqual(await live(), [...certain, ...touched, 'M moved'].sort());
    assert.deepEqual(await live('--ignore-ctime'), [...certain, ...touched].sort());
    const { changes, statistics } = await diff('latest', '--live', '--content');
    assert.deepEqual(changes, [...certain].sort());
    assert.deepEqual(statistics.added, { files: 1, dirs: 0, others: 0, bytes: 3 });
    assert.deepEqual(statistics.removed, { files: 1, dirs: 2, others: 0, bytes: 4 });
    assert.ok((await live('--content', '--metadata')).includes('U moved'));
    assert.deepEqual(await live('--path', 'times', '--content'), []);
    // What a backup stores is what was told of.
    await ask(['backup']);
    assert.deepEqual(await changesOf(ids[1], 'latest'), changes);
    assert.deepEqual(await live('--metadata'), []);
  });
});
