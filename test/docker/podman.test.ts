/** Podman's service in place of Docker's Engine: discovery, each way of reading, cuts, and restores. */
import assert from 'node:assert/strict';
import { chmodSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, release } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { readTar } from '../../src/engine/source/tar-read.ts';
import { createDockerPlatform } from '../../src/platform/docker/docker.ts';
import { findEndpoint } from '../../src/platform/docker/endpoint.ts';
import { createDockerEngine } from '../../src/platform/docker/engine.ts';
import type { VolumeContent } from '../../src/platform/platform.ts';
import { importImage } from '../docker-engine.ts';
import { startPodmanEngine } from '../podman-engine.ts';
import { type Document, documents, holdfastProgram, run } from '../programs.ts';
import { cutProject, startService, stateOf } from './cut-project.ts';

test("volumes of Podman's service", async (t) => {
  const engine = await startPodmanEngine(t);
  if (engine === undefined) return;
  const { docker, socket } = engine;
  importImage(engine, 'busybox');
  const image = 'busybox:test';
  const asleep = ['sh', '-c', 'trap exit TERM; sleep 1000000 & wait'];
  const db = startService(engine, 'db', { image, options: ['--volume=shop_data:/data'], command: asleep });
  const web = startService(engine, 'web', {
    image,
    options: ['--volume=shop_logs:/data'],
    dependsOn: 'db:service_started:false',
    command: asleep,
  });
  writeFileSync(join(engine.directoryOf('shop_data'), 'file'), 'content');
  writeFileSync(join(engine.directoryOf('shop_logs'), 'log'), 'lines');

  const open = (ways: VolumeContent['way'][]) => {
    const connection = createDockerEngine({ kind: 'unix', socket });
    t.after(() => connection.close());
    const platform = createDockerPlatform({ engine: connection, host: { name: hostname(), kernel: release() }, ways });
    return platform.open({ name: 'data', project: 'shop', source: { kind: 'by-name' } });
  };

  await t.test('its socket is found where the runtime folder has it', async () => {
    const environment = { XDG_RUNTIME_DIR: dirname(dirname(socket)) };
    const found = await findEndpoint({ environment, home: undefined, uid: 1000 });
    // Docker's own socket, where there is one, goes before.
    assert.ok(found.kind === 'unix' && ['/var/run/docker.sock', socket].includes(found.socket));
  });

  await t.test('by its directory', async () => {
    assert.deepEqual(await open(['directory']), { way: 'directory', directory: engine.directoryOf('shop_data') });
  });

  for (const way of ['helper', 'container'] as const) {
    await t.test(`through a ${way}`, async () => {
      const content = await open([way]);
      assert.ok(content.way === way);
      const files: Record<string, string> = {};
      try {
        for await (const entry of readTar(await content.read(new AbortController().signal))) {
          let text = '';
          for await (const bytes of entry.type === 'file' ? entry.content : []) text += Buffer.from(bytes).toString();
          files[entry.path.toString()] = text;
        }
      } finally {
        await content.close();
      }
      assert.deepEqual(files, { './': '', file: 'content' });
      assert.equal(docker('ps', '--all', '--quiet', '--filter', 'label=holdfast.helper'), '');
    });
  }

  await t.test('backed up through a helper from another host: all of it, and stored once', (t) => {
    const project = cutProject(t, engine, '{ data: }');
    const directory = engine.directoryOf('shop_data');
    mkdirSync(join(directory, 'inner'));
    linkSync(join(directory, 'file'), join(directory, 'inner', 'another name'));
    chmodSync(directory, 0o2750);
    const elsewhere = [
      '--uts',
      'sh',
      '-c',
      'hostname elsewhere; exec "$0" "$@"',
      holdfastProgram,
      '--directory',
      project.folder,
      '--json',
      'backup',
    ];
    const backup = () => {
      const { stdout } = run('unshare', elsewhere, { environment: project.environment, exit: [0] });
      return documents(stdout).find(({ event }) => event === 'snapshot');
    };
    assert.equal(backup().summary.filesNew, 2);
    assert.equal(backup().summary.dataBlobs, 0);
    const restored = project.restored('data');
    assert.equal(readFileSync(join(restored, 'inner', 'another name'), 'utf8'), 'content');
    assert.deepEqual([statSync(join(restored, 'file')).nlink, statSync(restored).mode & 0o7777], [2, 0o2750]);
    assert.equal(stateOf(engine, db), 'running');
  });

  await t.test('cut by pausing and by stopping, restored in place', (t) => {
    const project = cutProject(t, engine, '{ data: , logs: { cut: stop } }');
    const { events } = project.holdfast(['backup']);
    const halts = events.find(({ event }) => event === 'cut-planned').halts;
    assert.deepEqual(halts, [[{ container: web, action: 'stop' }], [{ container: db, action: 'pause' }]]);
    const grades = events.filter(({ event }) => event === 'snapshot').map(({ volume, consistency }: Document) => [volume, consistency]);
    assert.deepEqual(Object.fromEntries(grades), { data: 'paused', logs: 'stopped' });
    assert.deepEqual([stateOf(engine, db), stateOf(engine, web)], ['running', 'running']);
    assert.deepEqual(readdirSync(join(project.folder, 'state', 'cuts')), []);

    const file = join(engine.directoryOf('shop_data'), 'file');
    rmSync(file);
    project.holdfast(['restore', 'data']);
    assert.equal(readFileSync(file, 'utf8'), 'content');
    assert.equal(stateOf(engine, db), 'running');
  });
});
