/** SQLite databases that programs write to all the time, backed up while they do. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { run } from '../../src/cli/run.ts';
import { scratch } from '../peers.ts';
import { type Document, documents } from '../programs.ts';

const cuts = Number(process.env.HOLDFAST_TEST_CUTS ?? 2);

type Project = {
  folder: string;
  volume: string;
  holdfast(...argv: string[]): Promise<{ exit: number; events: Document[]; stderr: string }>;
};

async function sqliteProject(t: TestContext, settings: string): Promise<Project> {
  const folder = scratch(t);
  const volume = join(folder, 'data');
  mkdirSync(volume);
  writeFileSync(join(folder, 'holdfast.yaml'), `project: shop\nvolumes: { data: { source: { directory: ./data }, ${settings} } }\n`);
  const holdfast = async (...argv: string[]) => {
    let [stdout, stderr] = ['', ''];
    const exit = await run(['--json', ...argv], {
      stdout: { write: (text: string) => (stdout += text) },
      stderr: { write: (text: string) => (stderr += text) },
      environment: { HOME: folder, HOLDFAST_STATE_DIR: join(folder, 'state'), DOCKER_HOST: '', PATH: process.env.PATH },
      cwd: folder,
      signal: new AbortController().signal,
    });
    return { exit, events: documents(stdout), stderr };
  };
  assert.equal((await holdfast('init')).exit, 0);
  return { folder, volume, holdfast };
}

const writerScript = `
import { DatabaseSync } from 'node:sqlite';
const [path, mode] = process.argv.slice(1);
const db = new DatabaseSync(path, { timeout: 60000 });
db.exec('PRAGMA journal_mode=' + mode + '; PRAGMA synchronous=OFF; CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, pad TEXT)');
const insert = db.prepare('INSERT INTO log VALUES (?, ?)');
for (let n = 1; ; n++) {
  db.exec('BEGIN IMMEDIATE');
  insert.run(n, 'x'.repeat(n % 3000));
  db.exec('COMMIT');
  process.stdout.write(n + '\\n');
  if (n % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
}`;

/** A program that inserts 1, 2, 3, ..., each in a transaction of its own. */
async function startWriter(t: TestContext, path: string, mode: 'wal' | 'delete') {
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', writerScript, path, mode], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const state = { acknowledged: 0 };
  createInterface(child.stdout).on('line', (line) => {
    state.acknowledged = Number(line);
  });
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  t.after(stop);
  const beyond = async (n: number) => {
    while (state.acknowledged < n) await setTimeout(5);
  };
  await beyond(300);
  return { state, stop, beyond };
}

function verify(path: string, acknowledged: number): void {
  const copy = new DatabaseSync(path);
  try {
    assert.deepEqual({ ...copy.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' });
    const { count, max } = copy.prepare('SELECT count(*) AS count, max(n) AS max FROM log').get() as { count: number; max: number };
    assert.ok(count >= acknowledged, `${count} of ${acknowledged} rows that were acknowledged are there`);
    assert.equal(count, max);
  } finally {
    copy.close();
  }
}

const snapshotOf = (events: Document[]) => events.find(({ event }) => event === 'snapshot');

for (const mode of ['wal', 'delete'] as const) {
  test(`journal mode ${mode}, written to all the time: ${cuts} backups`, async (t) => {
    const project = await sqliteProject(t, 'app: sqlite');
    const path = join(project.volume, 'sub', 'app.data');
    mkdirSync(join(project.volume, 'sub'));
    writeFileSync(join(project.volume, 'other.txt'), 'other');
    const writer = await startWriter(t, path, mode);
    chmodSync(path, 0o640);
    for (let cut = 0; cut < cuts; cut++) {
      const acknowledged = writer.state.acknowledged;
      const { exit, events, stderr } = await project.holdfast('backup');
      assert.deepEqual([exit, snapshotOf(events)?.consistency], [0, 'dumped'], stderr);
      const to = join(project.folder, `copy-${cut}`);
      await project.holdfast('restore', 'data', '--to', to);
      assert.deepEqual(readdirSync(join(to, 'sub')), ['app.data'], 'neither log nor journal');
      assert.equal(lstatSync(join(to, 'sub', 'app.data')).mode & 0o777, 0o640);
      assert.ok(existsSync(join(to, 'other.txt')));
      verify(join(to, 'sub', 'app.data'), acknowledged);
      await writer.beyond(writer.state.acknowledged + 20);
    }
    await writer.stop();
    assert.deepEqual(readdirSync(join(project.folder, 'state', 'dumps')), []);
    t.diagnostic(`${cuts} backups, ${writer.state.acknowledged} rows`);
  });
}

/** A database whose content is what `sql` says, left as a program leaves it that is killed. */
function leave(t: TestContext, path: string, sql: string): void {
  const script = `const { DatabaseSync } = await import('node:sqlite'); new DatabaseSync(process.argv[1]).exec(process.argv[2]); process.kill(process.pid, 'SIGKILL');`;
  spawnSync(process.execPath, ['--no-warnings', '--input-type=module', '-e', script, path, sql]);
  t.diagnostic(readdirSync(dirname(path)).join(' '));
}

const rows = 'WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000) SELECT n, hex(zeroblob(200)) FROM c';
const table = 'CREATE TABLE log (n INTEGER PRIMARY KEY, pad TEXT)';

test('whatever state they were left in: with a log, a hot journal, closed, in names that are not text, excluded, linked, no database', async (t) => {
  const project = await sqliteProject(t, "app: sqlite, exclude: ['*.skip']");
  const at = (name: string) => join(project.volume, name);
  leave(t, at('log'), `PRAGMA journal_mode=wal; ${table}; INSERT INTO log ${rows}`);
  leave(
    t,
    at('hot'),
    `${table}; INSERT INTO log ${rows}; PRAGMA cache_size=5; BEGIN; UPDATE log SET pad = hex(zeroblob(300)); DELETE FROM log WHERE n > 10`,
  );
  assert.ok(existsSync(at('log-wal')) && lstatSync(at('hot-journal')).size > 0, 'as they are left');
  const odd = Buffer.concat([Buffer.from(at('odd-')), Buffer.from([0xff, 0x0a])]);
  const closed = new DatabaseSync(odd);
  closed.exec(`PRAGMA journal_mode=wal; ${table}; INSERT INTO log ${rows}`);
  closed.close();
  copyFileSync(odd, at('left.skip'));
  symlinkSync('/etc/passwd', at('link.db'));
  writeFileSync(at('not.db'), 'no database');
  writeFileSync(at('broken.db'), Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(5000, 0x5a)]));
  leave(t, at('travel-journal'), `${table}; INSERT INTO log ${rows}`);
  leave(t, at('box'), `PRAGMA journal_mode=wal; ${table}; INSERT INTO log ${rows}`);
  rmSync(at('box-wal'));
  rmSync(at('box-shm'));
  mkdirSync(at('box-journal'));
  const before = readdirSync(project.volume).sort();
  const { exit, events, stderr } = await project.holdfast('backup');
  assert.equal(exit, 0, stderr);
  assert.equal(snapshotOf(events).consistency, 'crash', 'one of them could not be copied');
  assert.deepEqual(stderr.match(/the SQLite database \S+/g), ['the SQLite database broken.db'], stderr);
  assert.deepEqual(readdirSync(project.volume).sort(), before, 'nothing is written into the volume');
  const to = join(project.folder, 'copy');
  await project.holdfast('restore', 'data', '--to', to);
  for (const name of ['log', 'hot']) verify(join(to, name), 2000);
  const names = readdirSync(to, { encoding: 'buffer' }).map((name) => name.toString('latin1'));
  assert.deepEqual(names.sort(), ['box', 'box-journal', 'broken.db', 'hot', 'link.db', 'log', 'not.db', 'odd-\xff\n', 'travel-journal']);
  rmSync(at('broken.db'));
  assert.equal(snapshotOf((await project.holdfast('backup')).events).consistency, 'dumped');
});

test('without being asked: what looks like a database is copied, and the grade stays that of a live read', async (t) => {
  const project = await sqliteProject(t, '');
  const writer = await startWriter(t, join(project.volume, 'app.db'), 'wal');
  const { acknowledged } = writer.state;
  const { exit, events, stderr } = await project.holdfast('backup');
  assert.deepEqual([exit, snapshotOf(events).consistency], [0, 'crash'], stderr);
  const to = join(project.folder, 'copy');
  await project.holdfast('restore', 'data', '--to', to);
  assert.deepEqual(readdirSync(to), ['app.db']);
  verify(join(to, 'app.db'), acknowledged);
  // Nobody writes any more, and nothing is to be said of it.
  await writer.stop();
  const quiet = await project.holdfast('backup', '--cut', 'live');
  assert.equal(quiet.stderr, '');
});

test('no place for copies: read as they stand, and said so', async (t) => {
  const project = await sqliteProject(t, 'app: sqlite');
  const path = join(project.volume, 'app.db');
  const database = new DatabaseSync(path);
  t.after(() => database.close());
  database.exec(`${table}; INSERT INTO log ${rows}`);
  const { copyDatabases } = await import('../../src/control/recipes/sqlite.ts');
  const copies = await copyDatabases({
    directory: project.volume,
    excludes: {},
    everywhere: true,
    into: join(project.folder, 'nowhere', 'copies'),
    begin: async () => {
      throw new Error('no room');
    },
    copier: new URL('../../src/cli/sqlite-copier.ts', import.meta.url),
    signal: new AbortController().signal,
  });
  assert.match(copies.failed[0]?.reason ?? '', /no room/);
  assert.equal(copies.substitutes.size, 0);
});
