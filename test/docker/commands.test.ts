/** backup, volumes and audit on a real Engine, through the command line. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname, release } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createDockerPlatform } from '../../src/platform/docker/docker.ts';
import { createDockerEngine } from '../../src/platform/docker/engine.ts';
import { commandLine } from '../command-line.ts';
import { importImage, startDockerEngine, type TestEngine } from '../docker-engine.ts';
import { peer, scratch } from '../peers.ts';

const parse = (stdout: string) =>
  stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

function fill(directory: string): void {
  mkdirSync(join(directory, 'folder'));
  writeFileSync(join(directory, 'folder', 'file'), 'content');
  linkSync(join(directory, 'folder', 'file'), join(directory, 'another name'));
  symlinkSync('folder/file', join(directory, 'link'));
  writeFileSync(join(directory, 'x'.repeat(200)), Buffer.alloc(3_000_000, 'large'));
  chmodSync(join(directory, 'folder'), 0o2750);
}

/** A project with Compose's labels: data, and a cache that nobody needs; an anonymous volume and a bind mount beside. */
function makeProject(engine: TestEngine, t: TestContext): { folder: string; holdfast: ReturnType<typeof commandLine> } {
  importImage(engine, 'busybox');
  const { docker } = engine;
  const folder = scratch(t);
  const label = (key: string, value: string) => ['--label', `${key}=${value}`];
  const compose = (key: string) => [...label('com.docker.compose.project', 'shop'), ...label('com.docker.compose.volume', key)];
  docker('volume', 'create', ...compose('data'), ...label('holdfast.size', '1Gi'), 'shop_data');
  docker('volume', 'create', ...compose('cache'), ...label('holdfast.enabled', 'false'), 'shop_cache');
  fill(engine.directoryOf('shop_data'));
  docker(
    ...[
      'run',
      '--detach',
      '--network',
      'none',
      ...label('com.docker.compose.project', 'shop'),
      ...label('com.docker.compose.service', 'app'),
    ],
    ...['-v', 'shop_data:/data', '-v', 'shop_cache:/cache', '-v', '/anonymous', '-v', `${folder}:/config`, 'busybox:test', 'sleep', '1000'],
  );
  writeFileSync(join(folder, 'holdfast.yaml'), 'project: shop\nvolumes:\n  data:\nobjectives: {rpo: 1h}\n');
  return { folder, holdfast: commandLine(folder) };
}

/** An `ssh` that runs the command on this host. */
function fakeSsh(t: TestContext, engine: TestEngine): void {
  const folder = scratch(t);
  const path = process.env.PATH as string;
  const script = `#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\necho "$1" >> ${folder}/hosts\n[ "$1" = nobody@engine ] && echo 'Permission denied (publickey).' >&2 && exit 255\nshift\nDOCKER_HOST=unix://${engine.socket} exec "$@"\n`;
  writeFileSync(join(folder, 'ssh'), script, { mode: 0o755 });
  process.env.PATH = [folder, dirname(peer('docker') as string), path].join(delimiter);
  t.after(() => {
    process.env.PATH = path;
  });
}

test('commands on a real Engine', async (t) => {
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  const { folder, holdfast } = makeProject(engine, t);
  const at = ['--docker-host', `unix://${engine.socket}`];
  assert.equal((await holdfast('init', ...at)).exit, 0);

  await t.test('a backup of the directory is restored as it was', async () => {
    const { exit, stderr } = await holdfast('backup', '--verbose', ...at);
    assert.equal(exit, 0, stderr);
    assert.match(stderr, new RegExp(`data: reading through ${engine.directoryOf('shop_data')}`));
    assert.equal((await holdfast('restore', '--to', join(folder, 'from-directory'), ...at)).exit, 0);
  });

  await t.test('volumes knows sizes, who mounts, and what is in no backup', async () => {
    const { stdout } = await holdfast('volumes', '--json', '--measure', ...at);
    const [row, ...others] = parse(stdout);
    assert.deepEqual(others, []);
    assert.deepEqual(
      [row.volume, row.state, row.dockerVolume, row.sizeBytes, row.usedBytes, row.files, row.mountedBy[0].service],
      ['data', 'protected', 'shop_data', 2 ** 30, 3_000_007, 3, 'app'],
    );
    const { stdout: table, stderr } = await holdfast('volumes', ...at);
    assert.match(table, /data +protected +just now +1h .* 1 GiB +0% .* app +shop_data/);
    assert.match(stderr, /not declared, and in no backup: volume [0-9a-f]{64}, mounted by app at \/anonymous/);
    assert.match(stderr, new RegExp(`${folder}, mounted by app`));
    assert.doesNotMatch(stderr, /cache/);
  });

  await t.test('audit names them', async () => {
    const { exit, stdout } = await holdfast('audit', '--json', ...at);
    assert.equal(exit, 3);
    const kinds = parse(stdout).map(({ kind, severity }) => `${severity} ${kind}`);
    assert.deepEqual(kinds.toSorted(), ['warning not-covered', 'warning one-key', 'warning one-place', 'warning undeclared']);
    engine.docker(
      'volume',
      'create',
      '--label',
      'com.docker.compose.project=shop',
      '--label',
      'com.docker.compose.volume=github-data',
      'shop_github-data',
    );
    const { stdout: more } = await holdfast('audit', '--json', ...at);
    assert.deepEqual(
      parse(more)
        .filter(({ severity }) => severity === 'critical')
        .map(({ volume, kind }) => [volume, kind]),
      [['github-data', 'undeclared']],
    );
  });

  await t.test('over ssh the volume is read through a helper, stored once, and restored as it was', async (st) => {
    fakeSsh(st, engine);
    const { exit, stderr, stdout } = await holdfast('backup', '--json', '--docker-host', 'ssh://me@engine');
    assert.equal(exit, 0, stderr);
    const [started] = parse(stdout).filter(({ event }) => event === 'volume-started');
    assert.equal(started.from, 'a helper container with shop_data');
    const [snapshot] = parse(stdout).filter(({ event }) => event === 'snapshot');
    assert.equal(snapshot.summary.dataBlobs, 0, 'what was read as a directory is known');
    const target = join(folder, 'from-stream');
    assert.equal((await holdfast('restore', '--to', target)).exit, 0);
    const rsync = peer('rsync');
    if (rsync !== undefined) {
      // The Engine tells whole seconds.
      const compare = [
        '-aHAXn',
        '--itemize-changes',
        '--delete',
        '--modify-window=1',
        `${engine.directoryOf('shop_data')}/`,
        `${target}/data/`,
      ];
      assert.equal(spawnSync(rsync, compare, { encoding: 'utf8' }).stdout, '');
    }
    assert.equal(engine.docker('ps', '--all', '--quiet', '--filter', 'label=holdfast.helper'), '');
    const denied = await holdfast('backup', '--docker-host', 'ssh://nobody@engine');
    assert.equal(denied.exit, 1);
    assert.match(denied.stderr, /cannot be reached.*Permission denied \(publickey\)/);
  });

  await t.test('a helper whose maker was killed is removed by the next', async () => {
    const { docker } = engine;
    docker('create', '--label', `holdfast.helper=${hostname()}/1/12345`, 'busybox:test', 'true');
    docker('create', '--label', 'holdfast.helper=elsewhere/1/12345', 'busybox:test', 'true');
    const platform = createDockerPlatform({
      engine: createDockerEngine({ kind: 'unix', socket: engine.socket }),
      host: { name: hostname(), kernel: release() },
      ways: ['helper'],
    });
    const content = await platform.open({ name: 'data', project: 'shop', source: { kind: 'by-name' } });
    const left = docker('ps', '--all', '--format', '{{.Label "holdfast.helper"}}', '--filter', 'label=holdfast.helper').split('\n');
    assert.equal(left.length, 2, 'that of another host, which may be alive, and our own');
    assert.ok(left.includes('elsewhere/1/12345'));
    if (content.way !== 'directory') await content.close();
  });

  await t.test('in a container that has the socket and the volume, the volume is read as a directory', async () => {
    const checkout = join(import.meta.dirname, '..', '..');
    const readOnly = ['/usr', '/lib', '/lib64', checkout].flatMap((path) => ['-v', `${path}:${path}:ro`]);
    const run = ['run', '--rm', '--network', 'none', '--workdir', '/project', '--env', 'DOCKER_HOST=unix:///engine.sock', ...readOnly];
    const mounts = ['-v', `${engine.socket}:/engine.sock`, '-v', `${folder}:/project`, '-v', 'shop_data:/volumes/data:ro'];
    const program = [join(checkout, 'node_modules/.bin/node'), join(checkout, 'bin/holdfast.js'), 'backup', '--json'];
    const said = parse(engine.docker(...run, ...mounts, 'busybox:test', ...program));
    assert.equal(said.find(({ event }) => event === 'volume-started').from, '/volumes/data');
    assert.equal(said.find(({ event }) => event === 'run-finished').exitCode, 0);
    // Without it, through a helper.
    const without = parse(engine.docker(...run, ...mounts.slice(0, 4), 'busybox:test', ...program));
    assert.equal(without.find(({ event }) => event === 'volume-started').from, 'a helper container with shop_data');
  });

  await t.test('an Engine that is not there, or is not one, says so', async () => {
    const nowhere = await holdfast('volumes', '--docker-host', 'unix:///nowhere/docker.sock');
    assert.equal(nowhere.exit, 1);
    assert.match(nowhere.stderr, /the Docker Engine at \/nowhere\/docker\.sock cannot be reached/);
    assert.match(readFileSync(join(folder, 'holdfast.yaml'), 'utf8'), /^project: shop/);
  });
});
