/** Redis and PostgreSQL under write load, cut many times: every restored copy starts and holds all that was acknowledged before its cut. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { run } from '../../src/cli/run.ts';
import { importImage, startDockerEngine, type TestEngine } from '../docker-engine.ts';
import { type PeerName, peer, requirePeer } from '../peers.ts';
import { documents } from '../programs.ts';
import { type CutProject, cutProject, startService } from './cut-project.ts';

/** A hundred for a closer look; two at least, for a copy that is torn between the first and the last. */
const cuts = Math.max(2, Number(process.env.HOLDFAST_TEST_CUTS ?? 6));
const patienceMs = 20_000;

const program = (name: PeerName): string => peer(name) as string;

/** A command line in this process: quicker. */
async function holdfast({ folder, environment }: CutProject, ...argv: string[]) {
  let [stdout, stderr] = ['', ''];
  const status = await run(['--json', ...argv], {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    environment: { ...environment, HOME: folder },
    cwd: folder,
    signal: new AbortController().signal,
  });
  assert.equal(status, 0, stderr);
  return documents(stdout);
}

/** Cuts under load; `verify` gets each restored copy and how many writes were acknowledged before its cut began. */
async function cutManyTimes(
  project: CutProject,
  load: { acknowledged: number },
  options: readonly string[],
  verify: (copy: string, acknowledged: number) => Promise<void>,
): Promise<{ grades: Set<string>; longestMs: number; last: { copy: string; acknowledged: number } }> {
  const grades = new Set<string>();
  let longestMs = 0;
  let last = { copy: '', acknowledged: 0 };
  for (let cut = 0; cut < cuts; cut++) {
    const before = load.acknowledged;
    const late = Date.now() + patienceMs;
    while (load.acknowledged < before + 20 && Date.now() < late) await setTimeout(10);
    const acknowledged = load.acknowledged;
    assert.ok(acknowledged > before, 'writes go on after a cut');
    const snapshot = (await holdfast(project, 'backup', ...options)).find(({ event }) => event === 'snapshot');
    grades.add(snapshot.consistency);
    longestMs = Math.max(longestMs, snapshot.downtimeMs ?? 0);
    const copy = join(project.folder, `copy-${cut}`);
    mkdirSync(copy);
    await holdfast(project, 'restore', 'data', '--to', copy);
    await verify(copy, acknowledged);
    if (cut > 1) rmSync(last.copy, { recursive: true });
    last = { copy, acknowledged };
  }
  return { grades, longestMs, last };
}

// Redis

/** Speaks inline commands, and counts lines of replies. */
async function redisClient(
  path: string,
  server?: ChildProcess,
): Promise<{ socket: Socket; ask(command: string, replies?: number): Promise<string> }> {
  const late = Date.now() + patienceMs;
  for (;;) {
    try {
      const socket = connect(path);
      await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
      const ask = (command: string, replies = 1): Promise<string> =>
        new Promise((resolve, reject) => {
          let said = '';
          const onData = (bytes: Buffer) => {
            said += bytes;
            if (said.split('\r\n').length <= replies) return;
            socket.off('data', onData).off('close', onClose);
            resolve(said);
          };
          const onClose = () => reject(new Error('Redis closed the connection'));
          socket.on('data', onData).once('close', onClose);
          socket.write(command);
        });
      if ((await ask('PING\r\n')) === '+PONG\r\n') return { socket, ask };
      socket.destroy();
    } catch {
      if (Date.now() > late || (server !== undefined && server.exitCode !== null)) throw new Error(`no Redis answers at ${path}`);
    }
    await setTimeout(20);
  }
}

/** Appends 1, 2, 3, ... to a list. */
async function redisLoad(t: TestContext, path: string) {
  const { socket, ask } = await redisClient(path);
  const load = { acknowledged: 0 };
  let going = true;
  const batch = 20;
  const loop = (async () => {
    while (going) {
      const commands = Array.from({ length: batch }, (_, i) => `RPUSH log ${load.acknowledged + i + 1}\r\n`);
      await ask(commands.join(''), batch);
      load.acknowledged += batch;
      await setTimeout(2);
    }
  })();
  t.after(async () => {
    going = false;
    await loop;
    socket.destroy();
  });
  return load;
}

/** Starts the server on a copy. @throws unless it holds 1, 2, 3, ... up to what was acknowledged at least. */
async function verifyRedis(copy: string, acknowledged: number, appendOnly: boolean): Promise<void> {
  const socketPath = join(copy, 's.sock');
  const server = spawn(
    program('redis-server'),
    ['--dir', copy, '--port', '0', '--unixsocket', socketPath, '--save', '', '--appendonly', appendOnly ? 'yes' : 'no'],
    { stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    const { socket, ask } = await redisClient(socketPath, server);
    const count = Number(/^:(\d+)/.exec(await ask('LLEN log\r\n'))?.[1]);
    assert.ok(count >= acknowledged, `${count} of ${acknowledged} acknowledged writes are there`);
    const sum = await ask(
      "EVAL \"for i,v in ipairs(redis.call('LRANGE','log',0,-1)) do if tonumber(v) ~= i then return i end end return 0\" 0\r\n",
    );
    assert.equal(sum, ':0\r\n');
    socket.destroy();
  } finally {
    server.kill('SIGKILL');
    await ended;
  }
}

function startRedis(t: TestContext, engine: TestEngine, project: CutProject, ...options: string[]): string {
  const sockets = join(project.folder, 'sockets');
  mkdirSync(sockets);
  const container = startService(engine, 'redis', {
    image: 'redis:test',
    options: ['--volume=shop_data:/data', `--volume=${sockets}:/sockets`],
    command: ['redis-server', '--dir', '/data', '--unixsocket', '/sockets/redis.sock', ...options],
  });
  t.after(() => {
    engine.docker('rm', '--force', '--volumes', container);
    engine.docker('volume', 'rm', 'shop_data');
  });
  return join(sockets, 'redis.sock');
}

// PostgreSQL

const postgresHome = () => execFileSync('sh', ['-c', 'ls -d /usr/lib/postgresql/* | tail -1'], { encoding: 'utf8' }).trim();
const asPostgres = ['--reuid=70', '--regid=70', '--clear-groups'];
const psqlArguments = (sockets: string) => [
  '--no-psqlrc',
  '--quiet',
  '--tuples-only',
  '--no-align',
  '--host',
  sockets,
  '--username',
  'postgres',
  '--dbname',
  'postgres',
];
const ask = (sockets: string, sql: string) =>
  spawnSync(program('psql'), [...psqlArguments(sockets), '--command', sql], { encoding: 'utf8' });

async function awaitPostgres(sockets: string, server?: ChildProcess): Promise<void> {
  const late = Date.now() + patienceMs;
  while (ask(sockets, 'SELECT 1').status !== 0) {
    if (Date.now() > late || (server !== undefined && server.exitCode !== null)) throw new Error('PostgreSQL does not start');
    await setTimeout(50);
  }
}

/** Inserts 1, 2, 3, ..., each in a transaction of its own. */
async function postgresLoad(t: TestContext, sockets: string) {
  const load = { acknowledged: 0 };
  const psql = spawn(program('psql'), psqlArguments(sockets), { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => psql.once('exit', resolve));
  // It is ended while it still acknowledges.
  psql.stdin.on('error', () => undefined);
  let sent = 0;
  const send = () => {
    for (; sent < load.acknowledged + 20; sent++) psql.stdin.write(`INSERT INTO log VALUES (${sent + 1}) RETURNING n;\n`);
  };
  createInterface(psql.stdout).on('line', (line) => {
    load.acknowledged = Number(line);
    send();
  });
  send();
  t.after(async () => {
    psql.kill();
    await ended;
  });
  return load;
}

/** The same as for Redis. */
async function verifyPostgres(copy: string, acknowledged: number): Promise<void> {
  const sockets = join(copy, '..');
  chmodSync(sockets, 0o777);
  const server = spawn(
    program('setpriv'),
    [...asPostgres, join(postgresHome(), 'bin/postgres'), '-D', copy, '-k', sockets, '-c', 'listen_addresses='],
    { stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    await awaitPostgres(sockets, server);
    const { stdout, stderr } = ask(sockets, 'SET enable_indexscan = off; SELECT count(*), count(DISTINCT n), coalesce(max(n), 0) FROM log');
    const [count, distinct, max] = stdout.trim().split('|').map(Number);
    assert.ok(count !== undefined && count >= acknowledged, `${count} of ${acknowledged} acknowledged rows are there ${stderr}`);
    assert.deepEqual([count, distinct], [max, max]);
  } finally {
    server.kill('SIGQUIT');
    await ended;
  }
}

async function startPostgres(t: TestContext, engine: TestEngine, project: CutProject): Promise<string> {
  const sockets = join(project.folder, 'sockets');
  mkdirSync(sockets);
  chmodSync(sockets, 0o777);
  chmodSync(project.folder, 0o777);
  const options = ['--volume=shop_data:/pgdata', `--volume=${sockets}:/var/run/postgresql`];
  engine.docker('run', '--rm', '--network=none', ...options, 'postgres:test', 'sh', '-c', 'chown 70:70 /pgdata && chmod 700 /pgdata');
  const start =
    'initdb --no-sync --auth=trust --encoding=UTF8 --no-locale --pgdata=/pgdata >/dev/null && exec postgres -D /pgdata -c listen_addresses= -c max_wal_size=64MB -c checkpoint_timeout=30s';
  const container = startService(engine, 'db', {
    image: 'postgres:test',
    options: ['--user=70:70', ...options],
    command: ['sh', '-c', start],
  });
  t.after(() => {
    engine.docker('rm', '--force', '--volumes', container);
    engine.docker('volume', 'rm', 'shop_data');
  });
  await awaitPostgres(sockets);
  assert.equal(ask(sockets, 'CREATE TABLE log (n bigint PRIMARY KEY)').status, 0);
  return sockets;
}

test('recipes', async (t) => {
  for (const name of ['redis-server', 'psql', 'setpriv'] as const) if (requirePeer(t, name) === undefined) return;
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  importImage(engine, 'redis');
  importImage(engine, 'postgres');

  await t.test(`Redis with an append-only file, paused: ${cuts} cuts`, async (t) => {
    const project = cutProject(t, engine, '{ data: }');
    const path = startRedis(t, engine, project, '--appendonly', 'yes', '--auto-aof-rewrite-min-size', '64kb');
    const load = await redisLoad(t, path);
    const { grades, longestMs, last } = await cutManyTimes(project, load, [], (copy, acknowledged) =>
      verifyRedis(copy, acknowledged, true),
    );
    assert.deepEqual([...grades], ['paused']);
    t.diagnostic(`${cuts} cuts of Redis (append-only file), ${last.acknowledged} writes, longest downtime ${longestMs} ms`);
    // What a copy of a file that was still being written is like.
    const folder = join(last.copy, 'appendonlydir');
    // All of them: which ones count, and which are left of an earlier rewrite, changes from moment to moment.
    for (const name of readdirSync(folder).filter((one) => !one.endsWith('.manifest'))) {
      const path = join(folder, name);
      truncateSync(path, Math.floor(statSync(path).size / 2));
    }
    await assert.rejects(verifyRedis(last.copy, last.acknowledged, true));
  });

  await t.test(`Redis that saves by itself, not halted: ${cuts} cuts`, async (t) => {
    const project = cutProject(t, engine, '{ data: }');
    const load = await redisLoad(t, startRedis(t, engine, project, '--save', '1 10'));
    const { grades, longestMs } = await cutManyTimes(project, load, [], async (copy, acknowledged) => {
      execFileSync(join(dirname(program('redis-server')), 'redis-check-rdb'), [join(copy, 'dump.rdb')], { stdio: 'pipe' });
      await verifyRedis(copy, acknowledged, false);
    });
    assert.deepEqual([[...grades], longestMs], [['dumped'], 0]);
    t.diagnostic(`${cuts} cuts of Redis (RDB), ${load.acknowledged} writes, no downtime`);
  });

  await t.test(`PostgreSQL, paused: ${cuts} cuts; and dumped`, async (t) => {
    const project = cutProject(t, engine, '{ data: }');
    const sockets = await startPostgres(t, engine, project);
    const load = await postgresLoad(t, sockets);
    const { grades, longestMs, last } = await cutManyTimes(project, load, [], verifyPostgres);
    assert.deepEqual([...grades], ['paused']);
    t.diagnostic(`${cuts} cuts of PostgreSQL, ${last.acknowledged} rows, longest downtime ${longestMs} ms`);

    const acknowledged = load.acknowledged;
    const [snapshot] = (await holdfast(project, 'backup', '--cut', 'dump')).filter(({ event }) => event === 'snapshot');
    assert.deepEqual([snapshot.consistency, snapshot.downtimeMs], ['dumped', undefined]);
    const copy = join(project.folder, 'dumped');
    mkdirSync(copy);
    await holdfast(project, 'restore', 'data', '--to', copy);
    assert.deepEqual(readdirSync(join(copy, 'holdfast-dump')).sort(), ['globals.sql', 'postgres.dump']);
    assert.ok(
      !existsSync(join(project.folder, 'state', 'dumps', snapshot.run ?? '')) ||
        readdirSync(join(project.folder, 'state', 'dumps')).length === 0,
    );
    assert.equal(ask(sockets, 'CREATE DATABASE copied').status, 0);
    execFileSync(join(postgresHome(), 'bin/pg_restore'), [
      '--host',
      sockets,
      '--username',
      'postgres',
      '--dbname',
      'copied',
      '--exit-on-error',
      join(copy, 'holdfast-dump/postgres.dump'),
    ]);
    const { stdout } = spawnSync(
      program('psql'),
      [...psqlArguments(sockets), '--dbname', 'copied', '--command', 'SELECT count(*) FROM log'],
      {
        encoding: 'utf8',
      },
    );
    assert.ok(Number(stdout) >= acknowledged, stdout);

    // A copy whose write-ahead log is older than its tables: what a cut in two halves is like.
    const torn = join(project.folder, 'torn');
    cpSync(last.copy, torn, { recursive: true, preserveTimestamps: true });
    execFileSync('sh', [
      '-c',
      `rm -rf ${torn}/pg_wal && cp -a ${join(project.folder, 'copy-0')}/pg_wal ${torn}/ && chown -R 70:70 ${torn}`,
    ]);
    await assert.rejects(verifyPostgres(torn, last.acknowledged));
  });
});
