/** Restores into volumes of a real Docker Engine. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chownSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { importImage, startDockerEngine } from '../docker-engine.ts';
import { holdfastProgram } from '../programs.ts';
import { dockerProject } from './volumes-project.ts';

test('restores into Docker volumes', async (t) => {
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  importImage(engine, 'busybox');
  const { docker, directoryOf } = engine;
  const project = await dockerProject(t, engine, ['data', 'cache']);
  const { holdfast, put } = project;
  const read = (volume: string, path: string) => readFileSync(join(directoryOf(volume), path), 'utf8');
  const startedAt = (name: string) => docker('inspect', '--format', '{{.State.StartedAt}}', name);
  const isRunning = (name: string) => docker('inspect', '--format', '{{.State.Running}}', name) === 'true';
  const documents = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  const succeed = async (...argv: string[]) => {
    const said = await holdfast(...argv);
    assert.equal(said.exit, exitCodes.done, said.stderr + said.stdout);
    return said;
  };
  const container = (name: string, mounts: readonly string[], ...options: string[]) =>
    docker(
      ...['run', '--detach', '--name', name, '--network', 'none', '--stop-timeout', '0', ...options],
      ...mounts.flatMap((mount) => ['--volume', mount]),
      ...['busybox:test', 'sh', '-c', 'trap exit TERM; sleep 1000 & wait'],
    );

  put('data', 'kept', 'as it was');
  put('data', 'deep/changed', 'as it was');
  put('cache', 'entry', 'as it was');
  chownSync(join(directoryOf('shop_data'), 'kept'), 70, 70);
  await succeed('backup');
  const label = (service: string) => ['--label', 'com.docker.compose.project=shop', '--label', `com.docker.compose.service=${service}`];
  container('db', ['shop_cache:/data'], ...label('db'));
  container(
    'app',
    ['shop_data:/data', 'shop_cache:/cache:ro'],
    ...label('app'),
    '--label',
    'com.docker.compose.depends_on=db:service_started:false',
  );
  container('bystander', []);
  docker('create', '--name', 'exited', '--network', 'none', '--volume', 'shop_data:/data', 'busybox:test', 'true');

  await t.test('a dry run says what would stop, and stops nothing', async () => {
    const before = startedAt('app');
    const { stdout, stderr } = await succeed('restore', '--dry-run');
    assert.match(stdout, /would stop container app.*\nwould stop container db/);
    assert.match(stderr, /container exited, which is created, mounts shop_data/);
    assert.equal(startedAt('app'), before);
  });

  await t.test('the whole restore point: guard, only what differs, stale files, containers back in order; and the undo', async () => {
    put('data', 'deep/changed', 'spoiled');
    put('data', 'stale', 'made since');
    const bystander = startedAt('bystander');
    const { stdout } = await succeed('restore', '--delete', '--json');
    assert.equal(read('shop_data', 'deep/changed'), 'as it was');
    assert.ok(!existsSync(join(directoryOf('shop_data'), 'stale')));
    const events = documents(stdout);
    const steps = events.filter(({ event }) => event === 'container').map(({ step, container }) => `${step} ${container}`);
    assert.deepEqual(steps, ['stopped app', 'stopped db', 'started db', 'started app']);
    assert.ok(isRunning('app') && isRunning('db'));
    assert.equal(startedAt('bystander'), bystander);
    const restored = events.find(({ event, volume }) => event === 'restored' && volume === 'data');
    assert.equal(restored.result.filesUnchanged, 1);
    const guard = events.find(({ event }) => event === 'guard');
    assert.deepEqual(guard.snapshots.map(({ volume }: { volume: string }) => volume).sort(), ['cache', 'data']);
    const snapshots = documents((await succeed('snapshots', '--json')).stdout).filter(({ run }) => run === guard.run);
    assert.deepEqual([...new Set(snapshots.map((snapshot) => `${snapshot.class} ${snapshot.consistency}`))], ['guard stopped']);
    const again = documents((await succeed('restore', '--json')).stdout).find(
      ({ event, volume }) => event === 'restored' && volume === 'data',
    );
    assert.equal(again.snapshot, restored.snapshot, 'the newest state is not that which the restore found');
    await succeed(...guard.undo.split(' ').slice(1));
    assert.equal(read('shop_data', 'deep/changed'), 'spoiled');
    assert.equal(read('shop_data', 'stale'), 'made since');
    await succeed('restore', '--delete', '--no-guard');
  });

  await t.test('a volume that is gone is made as Compose would have made it', async () => {
    docker('rm', '--force', 'app', 'exited');
    docker('volume', 'rm', 'shop_data');
    const { stdout } = await succeed('restore', 'data');
    assert.equal(read('shop_data', 'kept'), 'as it was');
    assert.doesNotMatch(stdout, /guard/);
    const labels = JSON.parse(docker('volume', 'inspect', '--format', '{{json .Labels}}', 'shop_data'));
    assert.equal(labels['com.docker.compose.project'], 'shop');
    assert.equal(labels['com.docker.compose.volume'], 'data');
    assert.ok(isRunning('db'), 'it does not use the volume');
  });

  await t.test('a new volume, one that is there, and a volume of another project', async () => {
    await succeed('restore', 'data', '--to-volume', 'copy');
    assert.equal(read('copy', 'deep/changed'), 'as it was');
    writeFileSync(join(directoryOf('copy'), 'kept'), 'spoiled');
    const { stdout } = await succeed('restore', 'data', '--to-volume', 'copy');
    assert.equal(read('copy', 'kept'), 'as it was');
    const undo = /to undo the restore: holdfast (.*)$/m.exec(stdout)?.[1] as string;
    await succeed(...undo.split(' '));
    assert.equal(read('copy', 'kept'), 'spoiled');
    await succeed('restore', '--to-project', 'staging');
    assert.equal(read('staging_cache', 'entry'), 'as it was');
    assert.equal(docker('volume', 'inspect', '--format', '{{index .Labels "com.docker.compose.project"}}', 'staging_data'), 'staging');
  });

  await t.test('a part, while the rest stays', async () => {
    put('data', 'deep/changed', 'spoiled');
    put('data', 'kept', 'newer');
    await succeed('restore', 'data', '--path', 'deep/changed');
    assert.equal(read('shop_data', 'deep/changed'), 'as it was');
    assert.equal(read('shop_data', 'kept'), 'newer');
    await succeed('restore', 'data', '--no-guard');
  });

  await t.test('what cannot be stopped and started again is refused before anything is touched', async () => {
    container('paused', ['shop_data:/data']);
    docker('pause', 'paused');
    put('data', 'kept', 'newer');
    const paused = await holdfast('restore', 'data');
    assert.equal(paused.exit, exitCodes.failed);
    assert.match(paused.stderr, /container paused, which is paused[\s\S]*docker unpause paused/);
    docker('rm', '--force', 'paused');
    container('transient', ['shop_data:/data'], '--rm');
    assert.match((await holdfast('restore', 'data')).stderr, /transient mounts the volume, and would be removed when it stops/);
    assert.ok(isRunning('transient'));
    docker('rm', '--force', 'transient');
    assert.equal(read('shop_data', 'kept'), 'newer');
  });

  await t.test('a guard that fails leaves everything as it was, and running', async () => {
    container('web', ['shop_data:/data']);
    put('data', 'kept', 'newer');
    const packs = join(project.folder, 'repository', 'snapshots');
    const before = readdirSync(packs);
    docker('volume', 'create', 'plain');
    // A directory in the place of the folder that packs go to.
    const { exit } = await holdfast('restore', 'data', '--password-file', '/dev/null');
    assert.notEqual(exit, exitCodes.done);
    assert.deepEqual(readdirSync(packs), before);
    assert.ok(isRunning('web'));
    assert.equal(read('shop_data', 'kept'), 'newer');
    docker('rm', '--force', 'web');
  });

  await t.test('killed after the guard: what was stopped stays so until the restore is run again', async () => {
    container('late', ['shop_data:/data']);
    put('data', 'kept', 'newer');
    const child = spawn(holdfastProgram, ['--json', 'restore', 'data'], {
      cwd: project.folder,
      env: project.environment,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('"event":"guard"')) child.kill('SIGKILL');
    });
    await new Promise((resolve) => child.once('close', resolve));
    assert.ok(!isRunning('late'));
    const { stdout } = await succeed('restore', 'data');
    assert.match(stdout, /to undo the restore/);
    assert.equal(read('shop_data', 'kept'), 'as it was');
    assert.ok(isRunning('late'));
    docker('rm', '--force', 'late');
  });

  await t.test('another owner than the user of the image is told of', async () => {
    const image = docker('create', '--user', '1000', 'busybox:test', 'true');
    docker('commit', '--change', 'USER 1000', image, 'plain:test');
    docker('rm', image);
    docker('create', '--name', 'plain', '--network', 'none', '--volume', 'shop_data:/data', 'plain:test', 'true');
    assert.match(
      (await succeed('restore', 'data', '--dry-run')).stderr,
      /container plain runs as user 1000, and the snapshot's files belong to 0:0/,
    );
    docker('rm', 'plain');
  });

  await t.test('a container that does not come back is told of; the restore is complete', async () => {
    container('sick', ['shop_data:/data'], '--health-cmd', 'false', '--health-interval', '100ms', '--health-retries', '1');
    put('data', 'kept', 'newer');
    const { exit, stderr } = await holdfast('restore', 'data', '--health-timeout', '20s');
    assert.equal(exit, exitCodes.failed);
    assert.match(stderr, /sick is unhealthy/);
    assert.equal(read('shop_data', 'kept'), 'as it was');
    docker('rm', '--force', 'sick');
  });
});
