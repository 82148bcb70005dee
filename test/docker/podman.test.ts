/** Podman's service in place of Docker's Engine: discovery, reading, cuts, and restores. */
import assert from 'node:assert/strict';
import { chownSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
import { type Document, holdfastProgram, run } from '../programs.ts';
import { cutProject, startService, stateOf } from './cut-project.ts';

test("volumes of Podman's service", async (t) => {
  const engine = await startPodmanEngine(t);
  if (engine === undefined) return;
  const { socket } = engine;
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

  const open = (ways: VolumeContent['way'][], uid = 0) => {
    const connection = createDockerEngine({ kind: 'unix', socket });
    t.after(() => connection.close());
    const platform = createDockerPlatform({ engine: connection, host: { name: hostname(), kernel: release() }, ways, uid });
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

  await t.test('its archives lose owners: another host and another container are no way to read a volume', async (t) => {
    const file = join(engine.directoryOf('shop_data'), 'file');
    chownSync(file, 70, 70);
    const connection = createDockerEngine({ kind: 'unix', socket });
    const answer = await connection.docker.getContainer(db).getArchive({ path: '/data/.' });
    for await (const { path, uid } of readTar(answer as AsyncIterable<Uint8Array>)) assert.deepEqual([String(path), uid], ['file', 0]);
    const refused = { code: 'volume-unreadable', remedy: /podman unshare/ };
    for (const way of ['helper', 'container'] as const) await assert.rejects(open([way]), refused);
    assert.equal((await open(['directory', 'helper'], 1000)).way, 'directory');

    const project = cutProject(t, engine, '{ data: }');
    project.holdfast(['backup']);
    const elsewhere = ['--uts', 'sh', '-c', 'hostname elsewhere; exec "$0" "$@"', holdfastProgram, '--directory', project.folder];
    for (const command of ['backup', 'restore']) {
      const { stderr } = run('unshare', [...elsewhere, command], { environment: project.environment, exit: [1] });
      assert.match(stderr, /Podman's archives lose owners/, command);
    }
    assert.equal(statSync(file).uid, 70);
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
    assert.deepEqual([readFileSync(file, 'utf8'), statSync(file).uid], ['content', 70]);
    assert.equal(stateOf(engine, db), 'running');
  });
});
