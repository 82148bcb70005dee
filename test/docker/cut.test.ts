/** Cuts of what runs on a real Docker Engine, through the command line. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { importImage, startDockerEngine, type TestEngine } from '../docker-engine.ts';
import { type Document, holdfastProgram } from '../programs.ts';
import { cutProject, fillVolume, startService, stateOf } from './cut-project.ts';

/** Kills at so many random instants; more for a closer look. */
const kills = Number(process.env.HOLDFAST_TEST_KILLS ?? 4);

const snapshotsOf = (events: Document[]) =>
  new Map(events.filter(({ event }) => event === 'snapshot').map((event) => [event.volume, event]));
const busy = ['sh', '-c', 'i=0; while true; do i=$((i+1)); echo $i > /data/counter.new; mv /data/counter.new /data/counter; done'];
const idle = ['sleep', '1000000'];

function removeAll(engine: TestEngine): void {
  const ids = engine.docker('ps', '--all', '--quiet').split('\n').filter(Boolean);
  if (ids.length > 0) engine.docker('rm', '--force', '--volumes', ...ids);
  for (const volume of engine.docker('volume', 'ls', '--quiet').split('\n').filter(Boolean)) engine.docker('volume', 'rm', volume);
}

test('cuts', async (t) => {
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  importImage(engine, 'busybox');
  const image = 'busybox:test';

  await t.test('what writes is paused in reverse order and comes back; readers and others are left alone', (t) => {
    t.after(() => removeAll(engine));
    const project = cutProject(t, engine, '{ data: , logs: , idle: }');
    const db = startService(engine, 'db', { image, options: ['--volume=shop_data:/data'], command: busy });
    const web = startService(engine, 'web', {
      image,
      options: ['--volume=shop_logs:/data'],
      dependsOn: 'cache:service_started:false',
      command: busy,
    });
    startService(engine, 'cache', { image, dependsOn: 'db:service_started:false', command: idle });
    startService(engine, 'reader', { image, options: ['--volume=shop_data:/data:ro'], command: idle });
    startService(engine, 'gone', { image, options: ['--volume=shop_idle:/data'], command: ['true'] });

    const dry = project.holdfast(['backup', '--dry-run']).events;
    const plan = dry.find(({ event }) => event === 'cut-planned');
    assert.deepEqual(
      plan.volumes.map(({ volume, way, containers }: Document) => [volume, way, containers]),
      [
        ['data', 'pause', [db]],
        ['logs', 'pause', [web]],
        ['idle', 'live', []],
      ],
    );
    assert.deepEqual(plan.halts, [[{ container: web, action: 'pause' }], [{ container: db, action: 'pause' }]]);

    const { events } = project.holdfast(['backup', '--allow-empty']);
    const snapshots = snapshotsOf(events);
    assert.deepEqual(
      ['data', 'logs', 'idle'].map((name) => snapshots.get(name).consistency),
      ['paused', 'paused', 'stopped'],
    );
    const { containers } = events.find(({ event }) => event === 'cut-finished');
    assert.deepEqual(containers.map(({ container }: Document) => container).sort(), [db, web]);
    for (const { downtimeMs } of containers) assert.ok(downtimeMs > 0 && downtimeMs < 30_000, `${downtimeMs}`);
    assert.ok(snapshots.get('data').downtimeMs > 0);
    assert.equal(snapshots.get('idle').downtimeMs, undefined);
    for (const name of [db, web, 'shop-cache-1', 'shop-reader-1']) assert.equal(stateOf(engine, name), 'running');
    assert.deepEqual(readdirSync(join(project.folder, 'state', 'cuts')), []);
  });

  await t.test('stop: stopped and started again; a health check is waited for, and its failure told', (t) => {
    t.after(() => removeAll(engine));
    const project = cutProject(t, engine, '{ data: { cut: stop } }');
    const health = ['--health-cmd=test ! -e /data/sick', '--health-interval=1s', '--health-retries=1', '--health-start-period=0s'];
    const db = startService(engine, 'db', {
      image,
      options: ['--volume=shop_data:/data', ...health],
      command: ['sh', '-c', 'trap exit TERM; sleep 1000 & wait'],
    });
    const first = project.holdfast(['backup', '--allow-empty']).events;
    assert.equal(snapshotsOf(first).get('data').consistency, 'stopped');
    assert.equal(engine.docker('inspect', '--format', '{{.State.Health.Status}}', db), 'healthy');
    writeFileSync(join(engine.directoryOf('shop_data'), 'sick'), '');
    const { events, stderr } = project.holdfast(['backup', '--health-timeout', '3s'], [1]);
    assert.match(snapshotsOf(events).get('data').id, /^[0-9a-f]{64}$/);
    assert.match(stderr, /container-down/);
    assert.match(stderr, /shop-db-1/);
    assert.equal(stateOf(engine, db), 'running');
  });

  await t.test('a container has as long to end as it says itself', (t) => {
    t.after(() => removeAll(engine));
    const project = cutProject(t, engine, '{ data: { cut: stop } }');
    startService(engine, 'db', {
      image,
      options: ['--volume=shop_data:/data', '--stop-timeout=60'],
      command: ['sh', '-c', 'trap "sleep 0.5; echo complete > /data/state; exit" TERM; sleep 1000 & wait'],
    });
    project.holdfast(['backup', '--stop-timeout', '0s']);
    assert.equal(readFileSync(join(project.restored('data'), 'state'), 'utf8'), 'complete\n');
  });

  await t.test('killed while a container ends: the next command starts it when it has ended', async (t) => {
    t.after(() => removeAll(engine));
    const project = cutProject(t, engine, '{ data: { cut: stop } }');
    const data = engine.directoryOf('shop_data');
    const [asked, may] = [join(data, 'asked'), join(data, 'may')];
    const db = startService(engine, 'db', {
      image,
      options: ['--volume=shop_data:/data', '--stop-timeout=60'],
      command: ['sh', '-c', 'trap "touch /data/asked; until test -e /data/may; do sleep 0.05; done; exit" TERM; sleep 1000 & wait'],
    });
    const start = (...args: string[]) =>
      spawn(holdfastProgram, ['--directory', project.folder, ...args], {
        env: { ...process.env, ...project.environment },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
    const backup = start('--quiet', 'backup', '--allow-empty');
    const killed = new Promise((resolve) => backup.once('exit', resolve));
    while (!existsSync(asked) && backup.exitCode === null) await setTimeout(5);
    backup.kill('SIGKILL');
    await killed;
    const began = engine.docker('inspect', '--format', '{{.State.StartedAt}}', db);
    assert.equal(stateOf(engine, db), 'running');
    const next = start('unlock');
    let said = '';
    next.stderr.on('data', (bytes) => {
      said += bytes;
      // Only when it waits.
      if (said.includes('killed while it stopped')) writeFileSync(may, '');
    });
    assert.equal(await new Promise((resolve) => next.once('exit', resolve)), 0, said);
    assert.equal(stateOf(engine, db), 'running');
    assert.notEqual(engine.docker('inspect', '--format', '{{.State.StartedAt}}', db), began);
    assert.deepEqual(readdirSync(join(project.folder, 'state', 'cuts')), []);
  });

  await t.test('what somebody else lets run in the middle of a cut makes it crash, not paused', async (t) => {
    t.after(() => removeAll(engine));
    const project = cutProject(t, engine, '{ data: }');
    const db = startService(engine, 'db', { image, options: ['--volume=shop_data:/data'], command: idle });
    fillVolume(engine.directoryOf('shop_data'), 3000);
    const backup = spawn(holdfastProgram, ['--directory', project.folder, '--json', 'backup', '--no-warm-pass', '--lanes', '1'], {
      env: { ...process.env, ...project.environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    backup.stdout.on('data', (bytes) => (said += bytes));
    const ended = new Promise((resolve) => backup.once('close', resolve));
    while (stateOf(engine, db) !== 'paused') await setTimeout(5);
    engine.docker('unpause', db);
    await ended;
    const events = said
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.equal(snapshotsOf(events).get('data').consistency, 'crash');
    assert.equal(stateOf(engine, db), 'running');
  });

  await t.test('hooks run around it, in containers and here; those of the end whatever happened', (t) => {
    t.after(() => removeAll(engine));
    const log = (word: string) => `{ run: "echo ${word} >> log" }`;
    const hooks = `hooks: { before: [${log('before')}, { run: [touch, /data/by-hook], in: db, timeout: 10s }], after: [${log('after')}], onError: [${log('error')}] }\n`;
    const project = cutProject(t, engine, '{ data: }', hooks.replaceAll('>> log', '>> /tmp/LOG'));
    const path = join(project.folder, 'log');
    const file = join(project.folder, 'holdfast.yaml');
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('/tmp/LOG', path));
    startService(engine, 'db', { image, options: ['--volume=shop_data:/data'], command: idle });
    project.holdfast(['backup']);
    assert.equal(readFileSync(path, 'utf8'), 'before\nafter\n');
    assert.ok(existsSync(join(project.restored('data'), 'by-hook')));
    writeFileSync(file, readFileSync(file, 'utf8').replace('touch', 'no-such-program'));
    const { stderr } = project.holdfast(['backup'], [1]);
    assert.match(stderr, /command-failed/);
    assert.equal(readFileSync(path, 'utf8'), 'before\nafter\nbefore\nerror\nafter\n');
    assert.deepEqual(readdirSync(join(project.folder, 'state', 'cuts')), []);
  });

  await t.test(`killed at ${kills} instants: the next command, whatever it is, brings everything back`, async (t) => {
    t.after(() => removeAll(engine));
    const project = cutProject(t, engine, '{ data: , logs: { cut: stop } }');
    const options = (volume: string) => [`--volume=shop_${volume}:/data`];
    const db = startService(engine, 'db', { image, options: options('data'), command: idle });
    const web = startService(engine, 'web', {
      image,
      options: options('logs'),
      dependsOn: 'db:service_started:false',
      command: ['sh', '-c', 'trap exit TERM; sleep 1000000 & wait'],
    });
    fillVolume(engine.directoryOf('shop_data'), 2000);
    const isHalted = () => stateOf(engine, db) !== 'running' || stateOf(engine, web) !== 'running';
    let halted = 0;
    for (let kill = 0; kill < kills; kill++) {
      const backup = spawn(
        holdfastProgram,
        ['--directory', project.folder, '--quiet', 'backup', '--force', '--no-warm-pass', '--allow-empty'],
        {
          env: { ...process.env, ...project.environment },
          stdio: 'ignore',
          detached: true,
        },
      );
      const ended = new Promise((resolve) => backup.once('exit', resolve));
      // From the first that is halted on: the instants that count.
      while (backup.exitCode === null && !isHalted()) await setTimeout(2);
      await setTimeout(Math.random() * 100);
      // A run that has ended by then is killed by nobody.
      if (backup.exitCode === null) process.kill(-(backup.pid as number), 'SIGKILL');
      await ended;
      if (isHalted()) halted += 1;
      project.holdfast(['unlock']);
      assert.deepEqual([stateOf(engine, db), stateOf(engine, web)], ['running', 'running'], `kill ${kill}`);
      assert.deepEqual(readdirSync(join(project.folder, 'state', 'cuts')), []);
    }
    t.diagnostic(`${kills} kills, ${halted} of them with containers halted`);
    assert.ok(halted > 0);
  });
});
