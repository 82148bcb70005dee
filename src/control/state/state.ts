import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/**
 * The control plane's memory: a cache of evidence in one SQLite file. What matters is in the repositories; a lost or damaged file costs
 * history (old jobs, alerts, the audit log) and nothing else.
 */
export type State = {
  path: string;
  database: DatabaseSync;
  /** Where a damaged file was put aside, when that happened just now. */
  replaced: string | undefined;
  /** Does all or nothing of it. */
  transaction<Result>(work: () => Result): Result;
  /** Its size, without its write-ahead log. */
  bytes(): number;
  /** Whether the file that is open is the one at its path: what is written to another one is seen by nobody, and gone with the process. */
  isInPlace(): boolean;
  close(): void;
};

/** Migrations, in order; `user_version` is how many were applied. Never change one that was released: add another. */
const migrations: readonly string[] = [
  `
  CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    schedule TEXT,
    due_ms INTEGER,
    queued_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    document TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX jobs_once ON jobs (schedule, due_ms) WHERE schedule IS NOT NULL;
  CREATE INDEX jobs_open ON jobs (state) WHERE state IN ('queued', 'running');
  CREATE INDEX jobs_kind ON jobs (kind, queued_ms);
  CREATE TABLE job_log (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (job, number)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE snapshots (
    repository TEXT NOT NULL,
    id TEXT NOT NULL,
    project TEXT NOT NULL,
    volume TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (repository, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX snapshots_volume ON snapshots (volume, time_ms);
  CREATE TABLE usage (
    volume TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    files INTEGER,
    capacity_bytes INTEGER,
    PRIMARY KEY (volume, at_ms)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE alerts (
    key TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    raised_ms INTEGER NOT NULL,
    ended_ms INTEGER
  ) STRICT;
  CREATE TABLE audit_log (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    document TEXT NOT NULL
  ) STRICT;
  CREATE TABLE facts (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
  `,
  `
  CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    notification TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    news TEXT NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (notification, news)
  ) STRICT;
  `,
  `CREATE INDEX jobs_newest ON jobs (kind, id);`,
  `
  ALTER TABLE snapshots ADD COLUMN run TEXT NOT NULL DEFAULT '';
  UPDATE snapshots SET run = coalesce(document ->> '$.run', '');
  CREATE INDEX snapshots_time ON snapshots (time_ms, id);
  CREATE INDEX snapshots_newest ON snapshots (repository, time_ms, id);
  CREATE INDEX snapshots_run ON snapshots (run, repository, time_ms);
  CREATE INDEX snapshots_id ON snapshots (id);
  `,
  `CREATE INDEX jobs_of_schedule ON jobs (kind, schedule, id);`,
];

/** The version of a state that has all of them. */
export const migrationCount = migrations.length;

/**
 * Opens the state, and makes it when it isn't there. A file that is damaged, or of a newer version, is put aside as `NAME.damaged-TIME`, and a
 * new one made: to run is worth more than history.
 * @throws what the system says when the folder cannot be written.
 */
export function openState(path: string, now: () => Date = () => new Date()): State {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  let replaced: string | undefined;
  let database: DatabaseSync;
  try {
    database = openSound(path);
  } catch (error) {
    if (!existsSync(path) || !isDamage(error)) throw error;
    replaced = putAside(path, now());
    database = openSound(path);
  }
  const identity = identityOf(path);
  return {
    path,
    database,
    replaced,
    transaction: (work) => inTransaction(database, work),
    bytes: () => bytesOf(database),
    isInPlace: () => identityOf(path) === identity,
    close: () => database.close(),
  };
}

/** Of the file that is there; undefined where there is none, as of a state in memory. */
function identityOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? undefined : `${found.dev} ${found.ino}`;
}

export function bytesOf(database: DatabaseSync): number {
  const { bytes } = database.prepare('SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size').get() as {
    bytes: number;
  };
  return bytes;
}

class NewerState extends Error {}

/** SQLITE_CORRUPT and SQLITE_NOTADB (https://www.sqlite.org/rescode.html), and what this version cannot read. */
export function isDamage(error: unknown): boolean {
  if (error instanceof NewerState) return true;
  const code = (error as { errcode?: number }).errcode;
  return code !== undefined && [11, 26].includes(code & 0xff);
}

function openSound(path: string): DatabaseSync {
  const previous = process.umask(0o077);
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(path, { timeout: 5_000 });
  } finally {
    process.umask(previous);
  }
  try {
    // The vacuum first: it is settled by the first page that is written, which the journal's mode does (https://www.sqlite.org/pragma.html#pragma_auto_vacuum).
    database.exec('PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON');
    requireSound(database);
    migrate(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Renames a damaged database to `NAME.damaged-TIME`, which is returned. */
export function putAside(path: string, now: Date): string {
  const aside = `${path}.damaged-${now.toISOString().replace(/[:.]/g, '-')}`;
  // Its log first: one that is left alone would be taken for that of the new file.
  for (const suffix of ['-wal', '-shm', '']) if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  return aside;
}

/** @throws an error for which `isDamage` holds. */
export function requireSound(database: DatabaseSync): void {
  const { quick_check: verdict } = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
  if (verdict !== 'ok') throw Object.assign(new Error(verdict), { errcode: 11 });
}

function migrate(database: DatabaseSync): void {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version > migrations.length) throw new NewerState('the state is of a newer version');
  for (const [done, migration] of migrations.entries()) {
    if (done < version) continue;
    inTransaction(database, () => {
      database.exec(migration);
      database.exec(`PRAGMA user_version = ${done + 1}`);
    });
  }
}

/** Nested calls join the outer one. */
function inTransaction<Result>(database: DatabaseSync, work: () => Result): Result {
  if (database.isTransaction) return work();
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}
