import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

async function setUp(t: TestContext) {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  const holdfast = commandLine(folder);
  assert.equal((await holdfast('init', '--volume', 'data=data')).exit, exitCodes.done);
  const names = () => readdirSync(join(folder, 'holdfast-repository', 'keys')).sort();
  return { folder, holdfast, names };
}

test('a key is made, listed, replaced and removed', async (t) => {
  const { folder, holdfast, names } = await setUp(t);
  const [first = ''] = names();
  const added = await holdfast('key', 'add', '--generate', 'second.key', '--user', 'a\u001b[31m', '--host', 'desk');
  assert.equal(added.exit, exitCodes.done, added.stderr);
  assert.equal(statSync(join(folder, 'second.key')).mode & 0o777, 0o600);
  assert.match(readFileSync(join(folder, 'second.key'), 'utf8'), /^holdfast-key-[\w-]{43}\n$/);
  const second = names().find((name) => name !== first) as string;
  const cost = JSON.parse(readFileSync(join(folder, 'holdfast-repository', 'keys', second), 'utf8'));
  assert.deepEqual([cost.N, cost.p], [16384, 1], 'a random key needs no dear derivation');

  const listed = await holdfast('key', 'list');
  assert.match(listed.stdout, new RegExp(`\\*${first.slice(0, 8)} .*\\n +${second.slice(0, 8)} +a.*31m +desk`));
  assert.ok(!listed.stdout.includes('\u001b'), 'what a key says is not for the terminal to obey');

  assert.match((await holdfast('key', 'remove', second.slice(0, 8), '--dry-run')).stdout, /^would remove key/);
  assert.equal(names().length, 2);
  assert.equal((await holdfast('key', 'passwd', '--generate', 'third.key', '-p', 'second.key')).exit, exitCodes.done);
  assert.ok(!names().includes(second));
  assert.equal((await holdfast('key', 'list', '-p', 'second.key')).exit, exitCodes.wrongPassword);
  const third = names().find((name) => name !== first) as string;
  assert.equal((await holdfast('key', 'remove', third)).exit, exitCodes.done);
  assert.deepEqual(names(), [first]);
});

test('the key in use, and so the last one, is not removed', async (t) => {
  const { holdfast, names } = await setUp(t);
  const [only = ''] = names();
  const refused = await holdfast('key', 'remove', only);
  assert.equal(refused.exit, exitCodes.failed);
  assert.match(refused.stderr, /is the one in use\n→ open the repository with another key/);
  assert.deepEqual(names(), [only]);
  assert.match((await holdfast('key', 'remove', 'ffff')).stderr, /no key has an id that begins with "ffff"\n→ run `holdfast key list`/);
});

test('a key file is never replaced, and nothing is added then', async (t) => {
  const { folder, holdfast, names } = await setUp(t);
  writeFileSync(join(folder, 'there'), 'precious');
  const refused = await holdfast('key', 'add', '--generate', 'there');
  assert.match(refused.stderr, /there is a .*there already/);
  assert.equal(readFileSync(join(folder, 'there'), 'utf8'), 'precious');
  assert.equal(names().length, 1);
});

test('without a new password there is no new key, and the old one stays', async (t) => {
  const { folder, holdfast, names } = await setUp(t);
  writeFileSync(join(folder, 'empty'), '\n');
  const before = names();
  for (const given of [[], ['--new-password-file', 'empty'], ['--new-password-command', 'exit 3'], ['--new-password-file', 'missing']]) {
    const refused = await holdfast('key', 'passwd', ...given);
    assert.equal(refused.exit, exitCodes.usage, refused.stderr);
    assert.match(refused.stderr, /→ give --new-password-file, --new-password-command or --generate/);
  }
  assert.deepEqual(names(), before);
  for (const wrong of [['key', 'frob'], ['key', 'remove'], ['key', 'list', 'abc'], ['key']]) {
    assert.equal((await holdfast(...(wrong as [string]))).exit, exitCodes.usage, wrong.join(' '));
  }
});

test('a password that people choose is dear to guess', async (t) => {
  const { folder, holdfast, names } = await setUp(t);
  const before = names();
  const added = await holdfast('key', 'add', '--new-password-command', 'printf "two words\\nnot this"');
  assert.equal(added.exit, exitCodes.done, added.stderr);
  const name = names().find((other) => !before.includes(other)) as string;
  const { N, r, p } = JSON.parse(readFileSync(join(folder, 'holdfast-repository', 'keys', name), 'utf8'));
  assert.deepEqual([N, r, p], [32768, 8, 6]);
  writeFileSync(join(folder, 'password'), 'two words');
  assert.equal((await holdfast('key', 'list', '-p', 'password')).exit, exitCodes.done);
});

test('a dry run says what would be done, and needs no lock', async (t) => {
  const { folder, holdfast, names } = await setUp(t);
  const [only] = names();
  // A lock would be refused where there is no place for it.
  renameSync(join(folder, 'holdfast-repository', 'locks'), join(folder, 'away'));
  writeFileSync(join(folder, 'holdfast-repository', 'locks'), '');
  for (const [action, said] of [
    ['add', { added: false }],
    ['passwd', { added: false, replaced: only }],
  ] as const) {
    const { exit, stdout, stderr } = await holdfast('key', action, '--generate', 'new.key', '--dry-run', '--json');
    assert.equal(exit, exitCodes.done, stderr);
    assert.deepEqual(JSON.parse(stdout), said);
  }
  assert.deepEqual([names(), readdirSync(folder).includes('new.key')], [[only], false]);
});

test('who replaces a key is told that the old password opens nothing any more', async (t) => {
  const { holdfast } = await setUp(t);
  assert.match((await holdfast('key', 'passwd', '--generate', 'new.key')).stderr, /opens the repository no more/);
});
