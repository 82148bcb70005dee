import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandLine } from '../../../test/command-line.ts';
import { scratch } from '../../../test/peers.ts';
import { exitCodes } from '../../model/errors.ts';

test('--no-lock checks and restores a repository in which no lock can be written', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'data/file'), 'content');
  const holdfast = commandLine(folder);
  assert.equal((await holdfast('init', '--volume', 'data=data')).exit, exitCodes.done);
  assert.equal((await holdfast('backup')).exit, exitCodes.done);
  const locks = join(folder, 'holdfast-repository/locks');
  renameSync(locks, `${locks}-away`);
  writeFileSync(locks, '');
  for (const command of [['check'], ['restore', '--to', 'target']]) {
    assert.equal((await holdfast(...command)).exit, exitCodes.failed, command[0]);
    const { exit, stderr } = await holdfast(...command, '--no-lock', '--memory', '200Mi');
    assert.equal(exit, exitCodes.done, stderr);
  }
  assert.equal(readFileSync(join(folder, 'target/data/file'), 'utf8'), 'content');
});
