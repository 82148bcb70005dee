import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

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

test('what a damaged root affects is listed once, though the walk and the pack both tell of it', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  const holdfast = commandLine(folder);
  assert.equal((await holdfast('init', '--volume', 'data=data')).exit, exitCodes.done);
  assert.equal((await holdfast('backup')).exit, exitCodes.done);
  const packs = readdirSync(join(folder, 'holdfast-repository/data'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    /[0-9a-f]{64}$/.test(name),
  );
  assert.equal(packs.length, 1);
  const pack = join(folder, 'holdfast-repository/data', packs[0] as string);
  const bytes = readFileSync(pack);
  bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20);
  chmodSync(pack, 0o600);
  writeFileSync(pack, bytes);
  const { exit, stdout } = await holdfast('check', '--read-data', '--json');
  assert.equal(exit, exitCodes.failed);
  const affects = stdout
    .trim()
    .split('\n')
    .flatMap((line) => JSON.parse(line).finding?.affects ?? []);
  assert.deepEqual(
    affects.map(({ paths }) => paths),
    [['.']],
  );
});

test('a place without a repository is told of, whether there is a password or not', async (t) => {
  const holdfast = commandLine(scratch(t));
  const { exit, stderr } = await holdfast('check', '--repository', 'nowhere');
  assert.equal(exit, exitCodes.noRepository, stderr);
});
