/** `find` finds what restic finds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { documents, restic } from '../programs.ts';
import { type BrowsedProject, browsedProject } from './browsed-project.ts';

type Found = { snapshot: string; path: string };
const lines = (found: readonly Found[]) =>
  [...new Set(found.map(({ snapshot, path }) => `${snapshot.slice(0, 8)} ${path.replace(/\ufffd+/g, '\ufffd')}`))].sort();

function byRestic({ program, project }: BrowsedProject, args: readonly string[]): string[] {
  const groups = documents(restic(program, project, ['find', '--json', ...args]).stdout)[0] as {
    snapshot: string;
    matches: { path: string }[];
  }[];
  return lines(groups.flatMap(({ snapshot, matches }) => matches.map(({ path }) => ({ snapshot, path: path.slice(1) }))));
}

/** Holdfast escapes what cannot be shown; restic writes U+FFFD for some of it. */
const byHoldfast = async ({ ask }: BrowsedProject, args: readonly string[]): Promise<string[]> =>
  lines(
    (await ask(['find', ...args])).map(({ snapshot, path, path_base64 }) => ({
      snapshot,
      path: path_base64 === undefined ? path : Buffer.from(path_base64, 'base64').toString(),
    })),
  );

const questions: string[][] = [
  ['large'],
  ['hole*', '*.txt'],
  ['leaving'],
  ['names'],
  ['names/k*'],
  ['/links/*'],
  ['links/be*/big again'],
  ['/**/deep'],
  ['/arriving/**/*.txt'],
  ['[a-c]*'],
  ['LARGE', '-i'],
  ['*', '--oldest', '1 hour ago'],
  ['*', '--newest', '2020-01-01'],
  ['nothing is called so'],
];

/** In UTC, in which restic runs here. */
const localTime = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');

test('find', async (t) => {
  const setUp = await browsedProject(t);
  if (!setUp) return;
  const { program, project, ids } = setUp;
  const say = (...args: string[]) => restic(program, project, args).stdout;

  await t.test('with patterns, times and letters of any case', async () => {
    const anHourAgo = localTime(Date.now() - 3_600_000);
    for (const question of questions) {
      // restic knows dates and times of a day only.
      const forRestic = question.map((word) => (word === '1 hour ago' ? anHourAgo : word === '2020-01-01' ? '2020-01-01 23:59:59' : word));
      assert.deepEqual(await byHoldfast(setUp, question), byRestic(setUp, forRestic), question.join(' '));
    }
    assert.deepEqual(await byHoldfast(setUp, ['large', '--snapshot', ids[0].slice(0, 6)]), [`${ids[0].slice(0, 8)} large`]);
  });

  await t.test('blobs, trees and packs', async () => {
    const byIds = (kind: string, wanted: readonly string[]) =>
      lines(
        documents(say('find', '--json', `--${kind}`, ...wanted))[0].map(({ snapshot, path }: Found) => ({ snapshot, path: path.slice(1) })),
      );
    const pathsOf = (found: readonly string[]) => new Set(found.map((line) => line.slice(9)));
    const trees = say('list', 'blobs')
      .split('\n')
      .filter((line) => line.startsWith('tree'))
      .map((line) => line.slice(5, 69))
      .slice(0, 5);
    // restic names one snapshot for a tree, and may end its search before it has come upon all.
    const found = pathsOf(await byHoldfast(setUp, ['--tree', ...trees]));
    assert.deepEqual(pathsOf(byIds('tree', trees)).difference(found), new Set());
    const reported = (await setUp.ask(['find', '--tree', ...trees])).flatMap(({ blobs }) => blobs.map(({ id }: { id: string }) => id));
    assert.deepEqual(new Set(reported), new Set(trees));
    const large = documents(say('cat', 'tree', ids[1]))[0].nodes.find(({ name }: { name: string }) => name === 'large');
    assert.deepEqual(await byHoldfast(setUp, ['--blob', ...large.content]), byIds('blob', large.content));
    const [pack = ''] = say('list', 'packs').split('\n');
    assert.ok((await byHoldfast(setUp, ['--pack', pack.slice(0, 10)])).length > 0);
  });
});
