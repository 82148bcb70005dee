import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

type Listed = { id: string; volume: string; tags: string[] };

/** A project with the volumes `a` and `b`, backed up once. */
async function twoVolumes(t: TestContext) {
  const folder = scratch(t);
  for (const name of ['a', 'b']) mkdirSync(join(folder, name));
  const holdfast = commandLine(folder);
  assert.equal((await holdfast('init', '--volume', 'a=a', '--volume', 'b=b')).exit, exitCodes.done);
  assert.equal((await holdfast('backup', '--tag', 'first')).exit, exitCodes.done);
  const listed = async (): Promise<Listed[]> => {
    const { stdout } = await holdfast('snapshots', '--json');
    return stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  };
  const extra = async () => Object.fromEntries((await listed()).map(({ volume, tags }) => [volume, tags.slice(5).join()]));
  return { holdfast, listed, extra };
}

test('tags of named and of chosen snapshots; a dry run changes nothing', async (t) => {
  const { holdfast, listed, extra } = await twoVolumes(t);
  const [a] = await listed();
  const dry = await holdfast('tag', '--volume', 'b', '--add', 'x', '--dry-run');
  assert.match(dry.stdout, /of b would have the tags project=.*, first, x\n/);
  assert.deepEqual(await extra(), { a: 'first', b: 'first' });
  const said = await holdfast('tag', '--volume', 'b', '--add', 'x,y', '--remove', 'first', '--json');
  assert.equal(said.exit, exitCodes.done, said.stderr);
  assert.deepEqual(Object.keys(JSON.parse(said.stdout)), ['id', 'previous', 'volume', 'tags', 'dryRun']);
  assert.deepEqual(await extra(), { a: 'first', b: 'x,y' });
  await holdfast('tag', (a as Listed).id.slice(0, 10), '--set', 'z');
  assert.deepEqual(await extra(), { a: 'z', b: 'x,y' });
  const unchanged = await holdfast('tag', '--all', '--add', 'y', '--tag', 'y');
  assert.match(unchanged.stderr, /0 snapshots changed, 1 unchanged/);
  assert.equal((await holdfast('check')).exit, exitCodes.done);
});

test('identity is protected, and nothing is changed when one of several may not be', async (t) => {
  const { holdfast, extra } = await twoVolumes(t);
  const refused = await holdfast('tag', '--all', '--add', 'x,volume=a');
  assert.equal(refused.exit, exitCodes.usage);
  assert.match(refused.stderr, /--force changes them all the same/);
  assert.deepEqual(await extra(), { a: 'first', b: 'first' });
  assert.equal((await holdfast('tag', '--volume', 'b', '--set', 'only', '--force')).exit, exitCodes.done);
  assert.deepEqual(await extra(), { a: 'first' });
});

test('who chooses nothing or asks for nothing is told', async (t) => {
  const { holdfast } = await twoVolumes(t);
  for (const [argv, expected] of [
    [['--add', 'x'], /no snapshots were chosen/],
    [['--all'], /nothing to change/],
    [['--all', '--set', 'x', '--add', 'y'], /goes with neither/],
    [['abcd', '--all', '--add', 'x'], /not both/],
  ] as const) {
    const { exit, stderr } = await holdfast('tag', ...argv);
    assert.equal(exit, exitCodes.usage, argv.join(' '));
    assert.match(stderr, expected);
  }
});
