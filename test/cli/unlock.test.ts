import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

test('a lock file that cannot be read keeps everybody out, until --remove-all removes it', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  const holdfast = commandLine(folder);
  assert.equal((await holdfast('init', '--volume', 'data=data')).exit, exitCodes.done);
  const locks = join(folder, 'holdfast-repository', 'locks');
  const name = 'ab'.repeat(32);
  writeFileSync(join(locks, name), '');

  const refused = await holdfast('check');
  assert.equal(refused.exit, exitCodes.locked, refused.stderr);
  assert.match(refused.stderr, /lock file abab[\s\S]*→ run `holdfast unlock --remove-all`/);

  const left = await holdfast('unlock');
  assert.equal(left.exit, exitCodes.done, left.stderr);
  assert.match(left.stderr, /cannot be read: abab/);
  assert.match((await holdfast('unlock', '--remove-all', '--dry-run')).stdout, /^would remove the lock file abab/);
  assert.deepEqual(readdirSync(locks), [name]);

  assert.match((await holdfast('unlock', '--remove-all')).stdout, /^removed the lock file abab/);
  assert.deepEqual(readdirSync(locks), []);
  const { exit, stderr } = await holdfast('check');
  assert.equal(exit, exitCodes.done, stderr);
});
