/** Volumes of a real Docker Engine, read in each of the ways that there are. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { hostname, release } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readTar } from '../../src/engine/source/tar-read.ts';
import { HoldfastError } from '../../src/model/errors.ts';
import { createDockerPlatform, type DockerPlatformOptions } from '../../src/platform/docker/docker.ts';
import { createDockerEngine } from '../../src/platform/docker/engine.ts';
import type { Platform, VolumeContent } from '../../src/platform/platform.ts';
import { importImage, startDockerEngine, type TestEngine } from '../docker-engine.ts';

const signal = new AbortController().signal;

const platformOf = ({ socket }: TestEngine, options: Partial<DockerPlatformOptions> = {}) =>
  createDockerPlatform({
    engine: createDockerEngine({ kind: 'unix', socket }),
    host: { name: hostname(), kernel: release() },
    ...options,
  });

const byName = (name: string) => ({ name, project: 'shop', source: { kind: 'by-name' as const } });

async function wayOf(platform: Platform, name: string): Promise<string> {
  const content = await platform.open(byName(name));
  if (content.way !== 'directory') await content.close();
  return content.way;
}

/** Paths of a stream. */
async function pathsOf(content: VolumeContent): Promise<string[]> {
  assert.ok(content.way !== 'directory');
  const paths: string[] = [];
  try {
    for await (const { path } of readTar(await content.read(signal))) paths.push(path);
  } finally {
    await content.close();
  }
  return paths;
}

test('volumes of a real Engine', async (t) => {
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  importImage(engine, 'busybox');
  const { docker } = engine;
  docker('volume', 'create', 'shop_data');
  writeFileSync(join(engine.directoryOf('shop_data'), 'file'), 'content');
  docker(
    'run',
    '--detach',
    '--name',
    'web',
    '--network',
    'none',
    '-v',
    'shop_data:/data',
    '-v',
    'inner:/data/inner',
    'busybox:test',
    'sleep',
    '1000',
  );

  await t.test('by its directory, where that is certain to be it', async () => {
    const content = await platformOf(engine).open(byName('data'));
    assert.deepEqual(content, { way: 'directory', directory: engine.directoryOf('shop_data') });
    // The same path on another host is another directory.
    for (const host of [
      { name: 'elsewhere', kernel: release() },
      { name: hostname(), kernel: '1.2.3' },
    ]) {
      assert.equal(await wayOf(platformOf(engine, { host }), 'data'), 'helper');
      await assert.rejects(platformOf(engine, { host }).locate(byName('data')), { code: 'volume-unreadable' });
    }
  });

  await t.test('as an ordinary user through a helper: not all files of a rootless Engine are that user\u2019s', async () => {
    assert.equal(await wayOf(platformOf(engine, { uid: 1000 }), 'data'), 'helper');
  });

  await t.test('through a helper, which is gone afterwards', async () => {
    const content = await platformOf(engine, { ways: ['helper'] }).open(byName('data'));
    assert.equal(docker('ps', '--all', '--quiet', '--filter', 'label=holdfast.helper').split('\n').length, 1);
    assert.deepEqual(await pathsOf(content), ['./', './file', './inner/']);
    assert.equal(docker('ps', '--all', '--quiet', '--filter', 'label=holdfast.helper'), '');
    assert.equal(docker('volume', 'ls', '--quiet'), 'inner\nshop_data');
  });

  await t.test('through a container that has it', async () => {
    writeFileSync(join(engine.directoryOf('inner'), 'other'), '');
    const content = await platformOf(engine, { ways: ['container'] }).open(byName('data'));
    assert.deepEqual(content.way === 'container' && content.mountedInside, ['inner']);
    assert.deepEqual(await pathsOf(content), ['./', './file', './inner/', './inner/other']);
  });

  await t.test('a volume that is mounted on demand is never taken for empty', async () => {
    const elsewhere = join(engine.dataRoot, 'elsewhere');
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, 'file'), '');
    docker('volume', 'create', '--opt', 'type=none', '--opt', 'o=bind', '--opt', `device=${elsewhere}`, 'shop_bound');
    const content = await platformOf(engine).open(byName('bound'));
    assert.equal(content.way, 'helper');
    assert.deepEqual(await pathsOf(content), ['./', './file']);
    docker('run', '--detach', '--name', 'user', '--network', 'none', '-v', 'shop_bound:/data', 'busybox:test', 'sleep', '1000');
    // It is on the same device here: only a mount of its own is proof.
    assert.equal(await wayOf(platformOf(engine), 'bound'), 'helper');
  });

  await t.test('whoever has enough of it ends it: the stream stops, and the helper goes', async () => {
    docker('volume', 'create', 'shop_large');
    writeFileSync(join(engine.directoryOf('shop_large'), 'file'), Buffer.alloc(50_000_000));
    const content = await platformOf(engine, { ways: ['helper'] }).open(byName('large'));
    assert.ok(content.way === 'helper');
    const control = new AbortController();
    const reason = new HoldfastError('interrupted', 'enough');
    let bytes = 0;
    const reading = async () => {
      for await (const piece of await content.read(control.signal)) {
        bytes += piece.length;
        control.abort(reason);
      }
    };
    await assert.rejects(reading(), { code: 'interrupted' });
    assert.ok(bytes < 50_000_000);
    await Promise.all([content.close(), content.close()]);
    assert.equal(docker('ps', '--all', '--quiet', '--filter', 'label=holdfast.helper'), '');
  });

  await t.test('a volume that is nowhere says so', async () => {
    await assert.rejects(
      platformOf(engine).open(byName('nothing')),
      (error) => error instanceof HoldfastError && error.code === 'volume-missing' && /shop_nothing/.test(error.message),
    );
  });
});
