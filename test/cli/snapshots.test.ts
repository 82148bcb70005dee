import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

/** Two projects in one repository: `shop` with the volumes `a` and `b`, backed up twice, and `other` with `a`. */
async function twoProjects(t: TestContext) {
  const folder = scratch(t);
  const run = async (project: string, ...argv: string[]) => {
    const said = await commandLine(join(folder, project))(...argv);
    assert.equal(said.exit, exitCodes.done, said.stderr);
    return said;
  };
  for (const path of ['shop/a', 'shop/b', 'other/a']) mkdirSync(join(folder, path), { recursive: true });
  const place = ['--repository', join(folder, 'repository'), '--password-file', join(folder, 'key')];
  await run('shop', 'init', '--volume', 'a=a', '--volume', 'b=b', ...place);
  await run('other', 'init', '--volume', 'a=a', ...place);
  await run('shop', 'backup', '--tag', 'first', '--password-file', join(folder, 'key'));
  await run('shop', 'backup', 'a', '--tag', 'second', '--tag', 'kept', '--password-file', join(folder, 'key'));
  await run('other', 'backup', '--password-file', join(folder, 'key'));
  /** What `snapshots` lists: project, volume, tags of its own. */
  const listed = async (...argv: string[]): Promise<string[]> => {
    const { stdout } = await run('shop', '--json', 'snapshots', '--password-file', join(folder, 'key'), ...argv);
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
      .map(({ project, volume, tags }) => [project, volume, ...tags.slice(5)].join(' '));
  };
  const complaint = async (...argv: string[]) => (await run('shop', 'snapshots', '--password-file', join(folder, 'key'), ...argv)).stderr;
  return { folder, listed, complaint };
}

test('snapshots are chosen as other commands choose them', async (t) => {
  const { folder, listed, complaint } = await twoProjects(t);
  const [firstA, firstB, second, other] = ['shop a first', 'shop b first', 'shop a second kept', 'other a'];
  assert.deepEqual(await listed(), [firstA, firstB, second]);
  assert.deepEqual(await listed('--all'), [firstA, firstB, second, other]);
  assert.deepEqual(await listed('--project', 'other'), [other]);
  assert.deepEqual(await listed('--volume', 'b'), [firstB]);
  assert.deepEqual(await listed('b'), [firstB]);
  assert.deepEqual(await listed('a', '--all', '--tag', 'first'), [firstA]);
  assert.deepEqual(await listed('--tag', 'second,kept', '--tag', 'none'), [second]);
  assert.deepEqual(await listed('--path', 'b'), [firstB]);
  assert.deepEqual(await listed('--all', '--path', join(folder, 'other/a')), [other]);
  assert.deepEqual(await listed('--host', 'elsewhere'), []);
  assert.match(await complaint('--host', 'elsewhere'), /no snapshots match --host elsewhere/);
});

test('what is known already is left out, and all that there is named', async (t) => {
  const { folder } = await twoProjects(t);
  const run = commandLine(join(folder, 'shop'));
  const list = async (...argv: string[]) => {
    const { exit, stdout } = await run('--json', 'snapshots', '--all', '--password-file', join(folder, 'key'), ...argv);
    return {
      exit,
      documents: stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    };
  };
  const all = (await list()).documents.map(({ id }) => id as string);
  writeFileSync(join(folder, 'known'), `${all.slice(1).join('\n')}\n${'0'.repeat(64)}\n`);
  const [one, last, ...more] = (await list('--except', join(folder, 'known'))).documents;
  assert.equal(one.id, all[0]);
  assert.deepEqual(last.present.sort(), all.toSorted());
  assert.deepEqual(more, []);
  assert.equal((await list('--except', join(folder, 'none'))).exit, exitCodes.usage);
});
