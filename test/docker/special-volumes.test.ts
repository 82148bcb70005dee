/** Volumes that are mounted while a container uses them: in memory, of a device, of a network that isn't there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { importImage, startDockerEngine } from '../docker-engine.ts';
import type { Document } from '../programs.ts';
import { cutProject, startService, stateOf } from './cut-project.ts';

const asleep = ['sh', '-c', 'trap exit TERM; sleep 1000000 & wait'];
const snapshot = (events: Document[]) => events.find(({ event }) => event === 'snapshot') as Document;
/** What a volume was read from. */
const way = (events: Document[]): string => events.findLast(({ event }) => event === 'volume-started')?.from ?? '';

test('volumes with options of the local driver', async (t) => {
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  importImage(engine, 'busybox');
  const { docker } = engine;
  const image = 'busybox:test';
  const create = (name: string, type: string, device: string, o: string) =>
    docker('volume', 'create', '--opt', `type=${type}`, '--opt', `device=${device}`, '--opt', `o=${o}`, name);

  await t.test('tmpfs: read while it is mounted, paused and never stopped, since its content would be lost', (t) => {
    create('shop_memory', 'tmpfs', 'tmpfs', 'size=4m');
    const web = startService(engine, 'web', { image, options: ['--volume=shop_memory:/data'], command: asleep });
    writeFileSync(join(engine.directoryOf('shop_memory'), 'file'), 'in memory');
    const project = cutProject(t, engine, '{ memory: }');
    const { stderr } = project.holdfast(['backup', '--cut', 'stop'], [1]);
    assert.match(stderr, /shop-web-1 holds the volume shop_memory in memory/);
    assert.equal(snapshot(project.holdfast(['backup']).events).consistency, 'paused');
    assert.equal(readFileSync(join(project.restored('memory'), 'file'), 'utf8'), 'in memory');
    // Without the container it is empty: what was there is gone, and the backup says so instead of storing nothing.
    docker('stop', '--time=1', web);
    assert.match(project.holdfast(['backup'], [1]).stderr, /volume-empty/);
  });

  await t.test('a bind mount of another file system: by its directory while it is mounted, else through a helper', (t) => {
    const device = join(engine.dataRoot, 'device');
    mkdirSync(device);
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', device]);
    t.after(() => void execFileSync('umount', ['--lazy', device]));
    writeFileSync(join(device, 'file'), 'on a device');
    create('shop_device', 'none', device, 'bind');
    const project = cutProject(t, engine, '{ device: }');
    const unmounted = project.holdfast(['backup']);
    assert.equal(snapshot(unmounted.events).consistency, 'stopped');
    assert.match(way(unmounted.events), /a helper container/);
    const db = startService(engine, 'db', { image, options: ['--volume=shop_device:/data'], command: asleep });
    assert.match(project.holdfast(['backup', '--cut', 'stop'], [1]).stderr, /mounted only while it runs/);
    const mounted = project.holdfast(['backup']);
    assert.equal(snapshot(mounted.events).consistency, 'paused');
    assert.doesNotMatch(way(mounted.events), /a helper container/);
    assert.equal(readFileSync(join(project.restored('device'), 'file'), 'utf8'), 'on a device');
    assert.equal(stateOf(engine, db), 'running');
  });

  await t.test('a container that is removed when it stops is paused; to stop it is refused', () => {
    const job = startService(engine, 'job', { image, options: ['--rm', '--volume=shop_job:/data'], command: asleep });
    const project = cutProject(t, engine, '{ job: { app: redis } }');
    const planned = project.holdfast(['backup', '--dry-run']).events.find(({ event }) => event === 'cut-planned') as Document;
    assert.deepEqual(planned.halts, [[{ container: job, action: 'pause' }]]);
    assert.match(planned.volumes[0].reason, /shop-job-1 would be removed when it stops \(--rm\)/);
    assert.match(project.holdfast(['backup', '--dry-run', '--cut', 'stop'], [1]).stderr, /nothing was halted/);
    assert.equal(stateOf(engine, job), 'running');
  });

  await t.test('NFS and CIFS that cannot be mounted: the Engine says why, and no password is shown', (t) => {
    create('shop_nfs', 'nfs', ':/exports', 'addr=127.0.0.1,ro,soft');
    create('shop_cifs', 'cifs', '//127.0.0.1/share', 'username=me,password=hunter2,pass=hunter3');
    const project = cutProject(t, engine, '{ nfs: , cifs: }');
    const { stderr, events } = project.holdfast(['backup', '--verbose'], [1]);
    const said = stderr + JSON.stringify(events);
    for (const kind of ['nfs', 'cifs'])
      assert.match(said, new RegExp(`shop_${kind}.*failed to mount local volume|failed to mount local volume.*shop_${kind}`));
    const shown = JSON.stringify(project.holdfast(['volumes']));
    assert.match(shown, /shop_cifs/);
    assert.doesNotMatch(said + shown, /hunter/);
  });
});
