/** MariaDB under write load, dumped by its own tool; its own client loads what was restored. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { run } from '../../src/cli/run.ts';
import { importImage, startDockerEngine, type TestEngine } from '../docker-engine.ts';
import { peer, requirePeer } from '../peers.ts';
import { documents } from '../programs.ts';
import { type CutProject, cutProject, startService } from './cut-project.ts';

const patienceMs = 30_000;
const password = 'it is $(secret) "here"';

async function holdfast({ folder, environment }: CutProject, args: readonly string[], exit = 0) {
  let [stdout, stderr] = ['', ''];
  const status = await run(['--json', ...args], {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    environment: { ...environment, HOME: folder },
    cwd: folder,
    signal: new AbortController().signal,
  });
  assert.equal(status, exit, stderr);
  return { events: documents(stdout), stderr };
}

const clientOf = (socket: string, user = 'root') => [
  '--no-defaults',
  '--batch',
  '--skip-column-names',
  '--protocol=socket',
  `--socket=${socket}`,
  `--user=${user}`,
];
const ask = (socket: string, sql: string) =>
  spawnSync(peer('mariadb') as string, [...clientOf(socket), '--execute', sql], { encoding: 'utf8', env: { MYSQL_PWD: password } });

const small = ['--innodb-log-file-size=8M', '--innodb-buffer-pool-size=8M', '--innodb-flush-log-at-trx-commit=0', '--user=root'];

/** A new server on a volume, in a container whose environment has the password. @returns its socket, as this host sees it. */
async function startMariadb(engine: TestEngine, project: CutProject, service: string, fresh: string): Promise<string> {
  const sockets = join(project.folder, `sockets-${service}`);
  mkdirSync(sockets);
  engine.docker('volume', 'create', `shop_${service}`);
  execFileSync('cp', ['-a', `${fresh}/.`, engine.directoryOf(`shop_${service}`)]);
  startService(engine, service, {
    image: 'mariadb:test',
    options: [`--volume=shop_${service}:/data`, `--volume=${sockets}:/run/mysqld`, '--env', `MARIADB_ROOT_PASSWORD=${password}`],
    command: ['mariadbd', '--no-defaults', ...small, '--datadir=/data', '--socket=/run/mysqld/mysqld.sock', '--skip-networking'],
  });
  const socket = join(sockets, 'mysqld.sock');
  const late = Date.now() + patienceMs;
  while (spawnSync(peer('mariadb') as string, [...clientOf(socket), '--execute', 'SELECT 1']).status !== 0) {
    if (Date.now() > late) throw new Error(`MariaDB does not start: ${engine.docker('logs', `shop-${service}-1`)}`);
    await setTimeout(50);
  }
  const quoted = password.replaceAll('"', '\\"');
  execFileSync(peer('mariadb') as string, [...clientOf(socket), '--execute', `ALTER USER root@localhost IDENTIFIED BY "${quoted}"`]);
  return socket;
}

/** Inserts 1, 2, 3, ..., each in a transaction of its own. */
async function load(t: TestContext, socket: string) {
  const made = ask(
    socket,
    'CREATE DATABASE shop CHARACTER SET utf8mb4; CREATE TABLE shop.log (n bigint PRIMARY KEY, word text) ENGINE=InnoDB',
  );
  assert.equal(made.status, 0, made.stderr);
  const state = { acknowledged: 0 };
  const client = spawn(peer('mariadb') as string, [...clientOf(socket), '--unbuffered'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { MYSQL_PWD: password },
  });
  const ended = new Promise((resolve) => client.once('exit', resolve));
  client.stdin.on('error', () => undefined);
  let sent = 0;
  const send = () => {
    for (; sent < state.acknowledged + 20; sent++)
      client.stdin.write(`INSERT INTO shop.log VALUES (${sent + 1}, '\u{1f512} \\0'); SELECT ${sent + 1};\n`);
  };
  createInterface(client.stdout).on('line', (line) => {
    state.acknowledged = Number(line);
    send();
  });
  send();
  t.after(async () => {
    client.kill('SIGKILL');
    await ended;
  });
  const late = Date.now() + patienceMs;
  while (state.acknowledged < 100 && Date.now() < late) await setTimeout(5);
  return state;
}

/** Whether the word was seen in any process's arguments while some work went on; the containers' processes are this host's. */
async function seenInArguments(word: string, work: () => Promise<unknown>): Promise<{ seen: boolean; dumps: number }> {
  const found = { seen: false, dumps: 0 };
  const look = () => {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        if (words.includes(word)) found.seen = true;
        if (words.startsWith('mariadb-dump')) found.dumps++;
      } catch {
        // It has ended.
      }
    }
  };
  const timer = setInterval(look, 10);
  await work();
  clearInterval(timer);
  return found;
}

test('MariaDB', async (t) => {
  for (const name of ['mariadbd', 'mariadb', 'mariadb-dump'] as const) if (requirePeer(t, name) === undefined) return;
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  importImage(engine, 'mariadb');

  await t.test('dumped under load; the dump is loaded by another server, and holds all that was acknowledged', async (t) => {
    const project = cutProject(t, engine, '{ db: { cut: dump } }');
    const fresh = join(project.folder, 'fresh');
    const options = ['--no-defaults', `--datadir=${fresh}`, '--auth-root-authentication-method=normal', '--skip-test-db'];
    execFileSync('mariadb-install-db', [...options, ...small], { stdio: 'ignore' });
    const socket = await startMariadb(engine, project, 'db', fresh);
    const state = await load(t, socket);
    const { acknowledged } = state;
    let consistency = '';
    const { seen, dumps } = await seenInArguments('it is $(secret)', async () => {
      const { events } = await holdfast(project, ['backup']);
      consistency = events.find(({ event }) => event === 'snapshot').consistency;
    });
    assert.deepEqual([consistency, seen], ['dumped', false]);
    assert.ok(dumps > 0, 'the dump was seen');
    assert.deepEqual(readdirSync(join(project.folder, 'state', 'dumps')), []);
    const file = join(project.folder, 'all-databases.sql');
    await holdfast(project, ['dump', 'db', '/holdfast-dump/all-databases.sql', '--output', file]);

    const other = await startMariadb(engine, project, 'other', fresh);
    const loaded = spawnSync(peer('mariadb') as string, clientOf(other), {
      stdio: [openSync(file, 'r'), 'pipe', 'pipe'],
      env: { MYSQL_PWD: password },
      encoding: 'utf8',
    });
    assert.equal(loaded.status, 0, loaded.stderr);
    const { stdout } = ask(other, "SELECT count(*), max(n), sum(word = '\u{1f512} \\0') FROM shop.log");
    const [count, max, whole] = stdout.trim().split('\t').map(Number);
    assert.ok(count !== undefined && count >= acknowledged, `${count} of ${acknowledged}`);
    assert.deepEqual([count, count], [max, whole]);
    t.diagnostic(`${acknowledged} rows acknowledged before the dump, ${count} in it`);
  });

  await t.test('a container that dies halfway: no snapshot, nothing left behind', async (t) => {
    const project = cutProject(t, engine, '{ mongo: { app: mongo, cut: dump } }');
    const tool = join(project.folder, 'mongodump');
    writeFileSync(tool, '#!/bin/sh\necho half; touch /data/began; sleep 1000\n', { mode: 0o755 });
    const container = startService(engine, 'mongo', {
      image: 'mariadb:test',
      options: ['--volume=shop_mongo:/data', `--volume=${tool}:/bin/mongodump`],
      command: ['sleep', '1000000'],
    });
    const backup = holdfast(project, ['backup'], 1);
    while (!existsSync(join(engine.directoryOf('shop_mongo'), 'began'))) await setTimeout(5);
    engine.docker('kill', container);
    const { events, stderr } = await backup;
    assert.match(stderr, /dump-failed|"engine/);
    assert.ok(!events.some(({ event }) => event === 'snapshot'));
    assert.deepEqual(readdirSync(join(project.folder, 'state', 'dumps')), []);
  });

  await t.test('a full target: said so, and the dump that nobody reads is ended', async (t) => {
    const project = cutProject(t, engine, '{ full: { app: mongo, cut: dump } }');
    const tool = join(project.folder, 'mongodump');
    writeFileSync(tool, '#!/bin/sh\nexec cat /dev/zero\n', { mode: 0o755 });
    const container = startService(engine, 'full', {
      image: 'mariadb:test',
      options: ['--volume=shop_full:/data', `--volume=${tool}:/bin/mongodump`],
      command: ['sleep', '1000000'],
    });
    const state = join(project.folder, 'state');
    mkdirSync(join(state, 'dumps'), { recursive: true });
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', join(state, 'dumps')]).status !== 0)
      return t.skip('tmpfs cannot be mounted here');
    try {
      const { stderr } = await holdfast(project, ['backup'], 1);
      assert.match(stderr, /cannot write .*all-databases.archive: ENOSPC/);
      assert.match(stderr, /HOLDFAST_STATE_DIR/);
      assert.doesNotMatch(engine.docker('top', container), /cat/);
      assert.deepEqual(readdirSync(join(state, 'dumps')), []);
    } finally {
      spawnSync('umount', [join(state, 'dumps')]);
    }
  });
});
