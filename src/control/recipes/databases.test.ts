/** The tools themselves are played by scripts; the shell that runs them is real. PostgreSQL's own are in test/docker/recipes.test.ts. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';
import { dumpDatabases } from './databases.ts';

/** A container that has nothing but these scripts, and an environment. */
function containerOf(t: TestContext, scripts: Record<string, string>, environment: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-recipes-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, script] of Object.entries(scripts)) writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const seen: string[][] = [];
  const exec: Containers['exec'] = async (_, command, { onOutput }) => {
    seen.push([...command]);
    const [program = '', ...args] = command;
    const { status, stdout, stderr } = spawnSync(program, args, { env: { PATH: `${folder}:/usr/bin:/bin`, ...environment } });
    await onOutput?.(stdout);
    return { exitCode: status ?? -1, stdout: onOutput === undefined ? stdout.toString() : '', stderr: stderr.toString() };
  };
  const context = { containers: { exec } as unknown as Containers, id: 'x', name: 'db', signal: new AbortController().signal };
  return { context, into: join(folder, 'dumps'), seen };
}

const read = (into: string, name: string) => readFileSync(join(into, 'holdfast-dump', name), 'utf8');
const code = (error: unknown) => error instanceof HoldfastError && error.code === 'dump-failed';

test('MySQL and MariaDB: the password stays in the environment; a dump without an end is none', async (t) => {
  const script = 'echo "$MYSQL_PWD $*"; echo "-- Dump completed on 2026-01-01"';
  const { context, into, seen } = containerOf(t, { mysqldump: script }, { MYSQL_ROOT_PASSWORD: 'secret' });
  await dumpDatabases('mysql', into, context);
  assert.match(read(into, 'all-databases.sql'), /^secret --user=root --default-character-set=utf8mb4 --single-transaction/);
  assert.equal(statSync(join(into, 'holdfast-dump', 'all-databases.sql')).mode & 0o777, 0o600);
  assert.ok(!JSON.stringify(seen).includes('secret'));
  const newer = containerOf(t, { 'mariadb-dump': script, mysqldump: 'exit 1' });
  await dumpDatabases('mariadb', newer.into, newer.context);
  const cut = containerOf(t, { mysqldump: 'echo CREATE' });
  await assert.rejects(dumpDatabases('mysql', cut.into, cut.context), code);
  const failing = containerOf(t, { mysqldump: 'echo "-- Dump completed"; echo "no such host" >&2; exit 2' });
  await assert.rejects(dumpDatabases('mysql', failing.into, failing.context), /no such host/);
});

test('MongoDB: with a password, which no list of processes shows, and without', async (t) => {
  const script = 'echo "$*"; for a in "$@"; do [ "$last" = --config ] && cat "$a"; last=$a; done; exit 0';
  const user = { MONGO_INITDB_ROOT_USERNAME: 'root', MONGO_INITDB_ROOT_PASSWORD: 'se"cr\\et$(id)' };
  const locked = containerOf(t, { mongodump: script }, user);
  await dumpDatabases('mongo', locked.into, locked.context);
  const said = read(locked.into, 'all-databases.archive').split('\n');
  assert.match(said[0] as string, /--archive --username root --authenticationDatabase admin --config \/dev\/fd\/3$/);
  assert.equal(said[1], 'password: "se\\"cr\\\\et$(id)"', 'as YAML has it');
  assert.ok(!JSON.stringify(locked.seen).includes('se'.concat('"cr')));
  const open = containerOf(t, { mongodump: script });
  await dumpDatabases('mongo', open.into, open.context);
  assert.equal(read(open.into, 'all-databases.archive'), '--quiet --archive\n');
});

test('PostgreSQL: roles and each database, whatever it is called', async (t) => {
  const names = ['shop', "o'brien \\ co", '../etc'];
  const { context, into } = containerOf(t, {
    psql: `printf '%s\\0' ${names.map((name) => `'${name.replaceAll("'", "'\\''")}'`).join(' ')}`,
    pg_dumpall: 'printf -- "CREATE ROLE x;\\n--\\n-- PostgreSQL database cluster dump complete\\n--\\n\\n"',
    pg_dump: 'printf %s "$3"',
  });
  await dumpDatabases('postgres', into, context);
  const files = names.map((name) => `${encodeURIComponent(name)}.dump`);
  assert.deepEqual(readdirSync(join(into, 'holdfast-dump')).sort(), [...files, 'globals.sql'].sort());
  assert.equal(read(into, files[1] as string), "--dbname=dbname='o\\'brien \\\\ co'");
  const short = containerOf(t, { psql: 'printf "a\\0"', pg_dumpall: 'echo CREATE ROLE', pg_dump: 'echo x' });
  await assert.rejects(dumpDatabases('postgres', short.into, short.context), /not complete/);
});

test('MongoDB: a member of a replica set is dumped as it was at one instant', async (t) => {
  const script = 'echo "$*"';
  for (const [says, options] of [
    ['echo rs0', '--quiet --archive --oplog\n'],
    ['echo', '--quiet --archive\n'],
    ['echo rs0; exit 1', '--quiet --archive\n'],
    ['echo "MongoNetworkError: no"', '--quiet --archive\n'],
  ] as const) {
    const { context, into } = containerOf(t, { mongodump: script, mongosh: says });
    await dumpDatabases('mongo', into, context);
    assert.equal(read(into, 'all-databases.archive'), options);
  }
});

test('a password in a file, as secrets of Compose are', async (t) => {
  const script = 'echo "$MYSQL_PWD"; echo "-- Dump completed on 2026-01-01"';
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-recipes-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'secret'), 'from a file\n');
  const { context, into } = containerOf(t, { mysqldump: script }, { MARIADB_ROOT_PASSWORD_FILE: join(folder, 'secret') });
  await dumpDatabases('mysql', into, context);
  assert.match(read(into, 'all-databases.sql'), /^from a file\n/);
});

test('a dump that falls silent, or whose container is gone halfway, is ended and is none', async (t) => {
  const { context, into } = containerOf(t, {});
  const ran: string[][] = [];
  const silent: Containers['exec'] = async (_, command, { onOutput, signal }) => {
    ran.push([...command]);
    if (command.join(' ').includes('kill -9')) return { exitCode: 0, stdout: '', stderr: '' };
    await onOutput?.(Buffer.from('CREATE'));
    await new Promise((resolve) => signal?.addEventListener('abort', resolve));
    throw signal?.reason;
  };
  const quiet = { ...context, silenceMs: 20, containers: { exec: silent } as unknown as Containers };
  await assert.rejects(dumpDatabases('mysql', into, quiet), /wrote nothing/);
  const mark = /HOLDFAST_EXEC=[-0-9a-f]+/;
  assert.equal(mark.exec(ran[1]?.join(' ') ?? '')?.[0], mark.exec(ran[0]?.join(' ') ?? '')?.[0], 'what was started is what is ended');
  const killed: Containers['exec'] = async (_, __, { onOutput }) => {
    await onOutput?.(Buffer.from('CREATE'));
    return { exitCode: 137, stdout: '', stderr: '' };
  };
  const second = containerOf(t, {});
  const dying = { ...second.context, containers: { exec: killed } as unknown as Containers };
  await assert.rejects(dumpDatabases('mysql', second.into, dying), /exit code 137/);
});
