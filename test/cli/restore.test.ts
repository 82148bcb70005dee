/** The command line of a restore, on a small project. What restoring itself promises is tested in `test/engine/`. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, suite, test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

suite('a part restored without --to goes to where it was', () => {
  let folder = '';
  let volume = '';
  const read = (path: string) => readFileSync(join(volume, path), 'utf8');

  let holdfast: ReturnType<typeof commandLine>;

  const succeed = async (...argv: string[]) => {
    const { exit, stderr } = await holdfast(...argv);
    assert.equal(exit, exitCodes.done, stderr);
  };

  beforeEach(async (t) => {
    folder = scratch(t as never);
    volume = join(folder, 'volume');
    holdfast = commandLine(folder);
    for (const directory of ['a', 'b', 'deep/x']) mkdirSync(join(volume, directory), { recursive: true });
    chmodSync(join(volume, 'deep'), 0o750);
    for (const file of ['a/one', 'b/two', 'deep/x/y', 'deep/other']) writeFileSync(join(volume, file), `${file}\n`);
    await succeed('init', '--volume', `data=${volume}`);
    await succeed('backup');
  });

  test('a directory, and --delete leaves everything outside of it alone', async () => {
    writeFileSync(join(volume, 'a/one'), 'spoiled');
    writeFileSync(join(volume, 'a/new'), 'made since');
    writeFileSync(join(volume, 'b/new'), 'made since');
    await succeed('restore', 'data', '--path', '/a/', '--delete');
    assert.deepEqual(readdirSync(volume).sort(), ['a', 'b', 'deep']);
    assert.deepEqual(readdirSync(join(volume, 'a')), ['one']);
    assert.equal(read('a/one'), 'a/one\n');
    assert.deepEqual(readdirSync(join(volume, 'b')).sort(), ['new', 'two']);
  });

  test('a file, and --delete leaves its neighbours alone', async () => {
    rmSync(join(volume, 'deep/x/y'));
    writeFileSync(join(volume, 'deep/x/new'), 'made since');
    await succeed('restore', 'data', '--path', 'deep/x/y', '--delete');
    assert.equal(read('deep/x/y'), 'deep/x/y\n');
    assert.equal(read('deep/x/new'), 'made since');
    assert.deepEqual(readdirSync(volume).sort(), ['a', 'b', 'deep']);
  });

  test('a volume that is gone comes back, whole or in part, with the metadata of its root', async () => {
    for (const part of [[], ['--path', 'deep/x']]) {
      chmodSync(volume, 0o751);
      await succeed('backup');
      rmSync(volume, { recursive: true });
      await succeed('restore', 'data', '--dry-run', ...part);
      assert.ok(!existsSync(volume), 'a dry run makes nothing');
      await succeed('restore', 'data', ...part);
      assert.equal(read('deep/x/y'), 'deep/x/y\n');
      assert.equal(statSync(volume).mode & 0o777, 0o751);
    }
  });

  test('parents that are gone come back as they were, without what else they held', async () => {
    rmSync(join(volume, 'deep'), { recursive: true });
    await succeed('restore', 'data', '--path', './deep/x/y', '--dry-run');
    assert.ok(!existsSync(join(volume, 'deep')), 'a dry run makes nothing');
    await succeed('restore', 'data', '--path', './deep/x/y');
    assert.equal(read('deep/x/y'), 'deep/x/y\n');
    assert.equal(statSync(join(volume, 'deep')).mode & 0o777, 0o750);
    assert.deepEqual(readdirSync(join(volume, 'deep')), ['x']);
  });

  for (const [path, link] of [
    ['deep/x/y', 'deep'],
    ['deep/x', 'deep'],
    ['deep/x/y', 'deep/x'],
    ['deep/x', 'deep/x'],
  ] as const) {
    test(`${path}: no symlink ${link} is followed out of the volume`, async () => {
      const outside = join(folder, 'outside');
      mkdirSync(join(outside, 'x'), { recursive: true });
      rmSync(join(volume, link), { recursive: true });
      symlinkSync(outside, join(volume, link));
      const { exit, stderr } = await holdfast('restore', 'data', '--path', path, '--delete', '--json');
      assert.equal(exit, exitCodes.failed);
      assert.match(stderr, /"target-unwritable"/);
      assert.deepEqual(readdirSync(outside, { recursive: true }), ['x']);
    });
  }

  test('what the snapshot lacks is refused before anything is written', async () => {
    const { exit, stderr } = await holdfast('restore', 'data', '--path', 'a/../b', '--delete', '--json');
    assert.equal(exit, exitCodes.failed);
    assert.match(stderr, /"path-missing"/);
    assert.deepEqual(readdirSync(volume).sort(), ['a', 'b', 'deep']);
  });
});
