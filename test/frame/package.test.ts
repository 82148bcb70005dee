import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../peers.ts';

const root = join(import.meta.dirname, '..', '..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string;
  files: string[];
  dependencies: Record<string, string>;
};

/** Builds the package in a copy, and puts what it publishes below `node_modules`, beside the dependencies it declares and no others. */
function installedPackage(folder: string): string {
  const copy = join(folder, 'copy');
  mkdirSync(copy);
  for (const name of ['src', 'bin', 'scripts', 'CHANGELOG.md', 'package.json', 'tsconfig.json', 'tsconfig.build.json'])
    cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const build = spawnSync(process.execPath, [join(copy, 'scripts', 'build-package.ts')], { encoding: 'utf8' });
  assert.equal(build.status, 0, build.stdout + build.stderr);

  const modules = join(folder, 'user', 'node_modules');
  for (const name of [...manifest.files, 'package.json']) cpSync(join(copy, name), join(modules, 'holdfast', name), { recursive: true });
  for (const name of Object.keys(manifest.dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  return join(modules, 'holdfast');
}

test('the published package runs its commands and can be imported', (t) => {
  const folder = scratch(t);
  const installed = installedPackage(folder);
  const run = (args: string[]) => {
    const environment = { ...process.env, XDG_CACHE_HOME: join(folder, 'cache') };
    const { stdout, stderr, status } = spawnSync(process.execPath, args, {
      cwd: dirname(dirname(installed)),
      encoding: 'utf8',
      env: environment,
    });
    assert.equal(status, 0, stderr);
    return stdout;
  };
  assert.match(run([join(installed, 'bin', 'holdfast.js'), '--version']), new RegExp(manifest.version.replaceAll('.', '\\.')));
  const help = run([join(installed, 'bin', 'holdfast.js'), '--help']);
  for (const command of ['init', 'backup', 'restore', 'check']) {
    assert.match(help, new RegExp(`^ +${command} `, 'm'));
    assert.match(run([join(installed, 'bin', 'holdfast.js'), command, '--help']), new RegExp(`holdfast ${command}`));
  }
  const count = run(['--input-type=module', '--eval', "console.log(Object.keys(await import('holdfast')).length)"]);
  assert.ok(Number(count) > 0, 'the library exports something');
});
