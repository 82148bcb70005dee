import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { commandLine } from '../command-line.ts';
import { requireRoot, scratch } from '../peers.ts';

test('a storage that is not supported is refused before anything is written', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  const { exit, stderr } = await commandLine(folder)('init', '--volume', 'data=data', '--repository', 'swift:bucket/path');
  assert.equal(exit, exitCodes.usage);
  assert.match(stderr, /no kind of storage "swift:"/);
  assert.deepEqual(readdirSync(folder), ['data']);
});

test('a compose file without named volumes: nothing is written, and what keeps its bind mounts safe is said', async (t) => {
  const folder = scratch(t);
  for (const name of ['data', 'other', 'other/data', "it's"]) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'app.conf'), '');
  const mounts = ['./data:/data', './other/data:/more', './app.conf:/etc/app.conf', "./it's:/its", './missing:/missing', '/anonymous'];
  writeFileSync(join(folder, 'compose.yaml'), JSON.stringify({ services: { web: { volumes: mounts } } }));
  for (const command of ['init', 'up']) {
    const { exit, stderr } = await commandLine(folder)(command);
    assert.equal(exit, exitCodes.usage);
    assert.match(stderr, /no named volumes; it has bind mounts: .\/data \(\/data of web\), .*anonymous volumes: \/anonymous of web/);
    assert.match(stderr, /→ .*: holdfast init --volume data=.\/data --volume data-2=.\/other\/data --volume 'it-s=.\/it'\\''s' \(/);
    assert.match(stderr, /migrate bind --all/);
  }
  assert.deepEqual(readdirSync(folder).sort(), ['app.conf', 'compose.yaml', 'data', "it's", 'other']);
  const words = ['--volume', 'data=./data', '--volume', 'data-2=./other/data', '--volume', "it-s=./it's"];
  assert.equal((await commandLine(folder)('init', ...words)).exit, exitCodes.done);
});

test('a repository that an existing holdfast.yaml does not name is refused, and no other taken for it', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  const holdfast = commandLine(folder);
  assert.equal((await holdfast('init', '--volume', 'data=data', '--repository', 'store')).exit, exitCodes.done);
  for (const known of ['local', 'store', './store/'])
    assert.equal((await holdfast('init', '--repository', known)).exit, exitCodes.done, known);
  const { exit, stderr } = await holdfast('init', '--repository', 'elsewhere');
  assert.equal(exit, exitCodes.usage);
  assert.match(stderr, /names no repository elsewhere\n→ add it under `repositories`/);
  assert.deepEqual(readdirSync(folder).sort(), ['data', 'holdfast.key', 'holdfast.yaml', 'store']);
});

test('a user without an account can create a repository, and its key says who made it', async (t) => {
  if (!requireRoot(t)) return;
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  // The modules are loaded before the user is changed: the checkout may be out of reach for another.
  const modules = [
    'test/command-line.ts',
    'src/cli/commands/init.ts',
    'src/cli/output/create-output.ts',
    'src/control/configuration/find.ts',
  ];
  const script = `
    import { chownSync } from 'node:fs';
    ${modules.map((path) => `await import(${JSON.stringify(join(import.meta.dirname, '../..', path))});`).join('\n')}
    const { commandLine } = await import(${JSON.stringify(join(import.meta.dirname, '../command-line.ts'))});
    const folder = ${JSON.stringify(folder)};
    chownSync(folder, 54320, 54321);
    process.setgroups([]); process.setgid(54321); process.setuid(54320);
    const { exit, stderr } = await commandLine(folder)('init', '--volume', 'data=data');
    process.stderr.write(stderr);
    process.exitCode = exit;`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8', timeout: 30_000 });
  assert.equal(status, exitCodes.done, stderr);
  const [key] = readdirSync(join(folder, 'holdfast-repository/keys'));
  const fields = JSON.parse(readFileSync(join(folder, 'holdfast-repository/keys', key as string), 'utf8'));
  assert.equal(fields.username, '54320');
  assert.deepEqual(Object.keys(fields).sort(), ['N', 'created', 'data', 'hostname', 'kdf', 'p', 'r', 'salt', 'username']);
});
