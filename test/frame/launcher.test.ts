import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../peers.ts';

const root = join(import.meta.dirname, '..', '..');

/** An entry point that prints which it is, the arguments, and where compiled code is kept. */
const entry = (name: string) =>
  `import { getCompileCacheDir } from 'node:module';\nconsole.log(JSON.stringify({ entry: '${name}', arguments: process.argv.slice(2), compiled: getCompileCacheDir() }));\n`;

/** A package with the real launchers and entry points that tell what was started. */
function packageAt(folder: string, files: Record<string, string>): string {
  mkdirSync(join(folder, 'bin'), { recursive: true });
  cpSync(join(root, 'holdfast'), join(folder, 'holdfast'));
  cpSync(join(root, 'bin', 'holdfast.js'), join(folder, 'bin', 'holdfast.js'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, dirname(name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

function run(command: string, args: string[], environment: Record<string, string> = {}) {
  const { NODE_COMPILE_CACHE: _, ...inherited } = process.env;
  return spawnSync(command, args, { encoding: 'utf8', env: { ...inherited, ...environment } });
}

test('./holdfast runs with the node of its checkout, from wherever it is linked', (t) => {
  const folder = scratch(t);
  const checkout = packageAt(join(folder, 'a checkout'), { 'node_modules/node/bin/node': '#!/bin/sh\nprintf "%s\\n" "$@"\n' });
  chmodSync(join(checkout, 'node_modules/node/bin/node'), 0o755);
  mkdirSync(join(folder, 'links'));
  symlinkSync(join(checkout, 'holdfast'), join(folder, 'links', 'absolute'));
  symlinkSync('../links/absolute', join(folder, 'links', 'relative'));
  const { stdout, status } = run(join(folder, 'links', 'relative'), ['backup', 'two words', '']);
  assert.equal(stdout, `${join(checkout, 'bin', 'holdfast.js')}\nbackup\ntwo words\n\n`);
  assert.equal(status, 0);
});

test('./holdfast without dependencies says what to run', (t) => {
  const checkout = packageAt(scratch(t), {});
  const { stderr, status } = run(join(checkout, 'holdfast'), []);
  assert.match(stderr, /not installed.*npm ci/);
  assert.equal(status, 2);
});

test('an old Node is refused with what it is and what to do, before anything is loaded', (t) => {
  const checkout = packageAt(scratch(t), { 'src/cli/main.ts': entry('source') });
  const start = (version: string) => {
    const pretend = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'${version}'}})`;
    return run(process.execPath, ['--import', pretend, join(checkout, 'bin', 'holdfast.js')], { XDG_CACHE_HOME: join(checkout, 'cache') });
  };
  for (const version of ['18.20.4', '20.20.2', '24.11.1']) {
    const { stdout, stderr, status } = start(version);
    assert.match(stderr, new RegExp(`needs Node 24\\.12 or newer, but this is Node ${version}`));
    assert.equal(stdout, '');
    assert.equal(status, 2);
  }
  for (const version of ['24.12.0', '26.10.0']) assert.equal(start(version).status, 0);
});

test('a checkout runs its sources, an installed package what was built from them', (t) => {
  const folder = scratch(t);
  const files = { 'src/cli/main.ts': entry('source'), 'dist/program/main.js': entry('built') };
  const started = (at: string) => {
    const { stdout, stderr } = run(process.execPath, [join(at, 'bin', 'holdfast.js'), 'ls'], { XDG_CACHE_HOME: join(folder, 'cache') });
    assert.equal(stderr, '');
    return JSON.parse(stdout) as { entry: string; arguments: string[] };
  };
  const checkout = packageAt(join(folder, 'checkout'), files);
  const built = join(checkout, 'dist/program/main.js');
  const secondsFromNow = (seconds: number) => new Date(Date.now() + seconds * 1_000);
  utimesSync(built, secondsFromNow(-60), secondsFromNow(-60));
  assert.deepEqual(started(checkout).entry, 'source');
  utimesSync(built, secondsFromNow(60), secondsFromNow(60));
  assert.deepEqual(started(checkout).entry, 'built');
  utimesSync(join(checkout, 'src/cli/main.ts'), secondsFromNow(61), secondsFromNow(61));
  assert.deepEqual(started(checkout).entry, 'source');
  assert.deepEqual(started(packageAt(join(folder, 'node_modules', 'holdfast'), files)).entry, 'built');
  assert.deepEqual(started(packageAt(join(folder, 'unpacked'), { 'dist/program/main.js': entry('built') })).arguments, ['ls']);
});

test('compiled code is kept only where nobody else can write', (t) => {
  const folder = scratch(t);
  const checkout = packageAt(join(folder, 'checkout'), { 'src/cli/main.ts': entry('source'), 'node_modules/.keep': '' });
  const own = join(checkout, 'node_modules', '.cache', 'holdfast');
  const users = join(folder, 'cache', 'holdfast', 'compiled');
  const compiledAt = () => {
    const { stdout } = run(process.execPath, [join(checkout, 'bin', 'holdfast.js')], { XDG_CACHE_HOME: join(folder, 'cache') });
    return (JSON.parse(stdout) as { compiled?: string }).compiled ?? 'nowhere';
  };
  assert.equal(dirname(compiledAt()), own);
  assert.equal(statSync(own).mode & 0o777, 0o700);
  chmodSync(own, 0o777);
  assert.equal(dirname(compiledAt()), users);
  chmodSync(users, 0o720);
  assert.equal(compiledAt(), 'nowhere');
});
