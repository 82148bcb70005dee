import { DatabaseSync } from 'node:sqlite';

/**
 * The API's own memory, beside the state of the control plane, which is a cache that may be thrown away: tokens are not. Only who may write the
 * daemon's folder can open it.
 */
export function openApiDatabase(file: string): DatabaseSync {
  const previous = process.umask(0o077);
  try {
    const database = new DatabaseSync(file, { timeout: 5_000 });
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS tokens (
        name TEXT PRIMARY KEY,
        hash BLOB NOT NULL,
        role TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER
      ) STRICT;
      CREATE TABLE IF NOT EXISTS idempotency (
        who TEXT NOT NULL,
        key TEXT NOT NULL,
        request BLOB NOT NULL,
        at_ms INTEGER NOT NULL,
        job TEXT,
        answer TEXT,
        PRIMARY KEY (who, key)
      ) STRICT, WITHOUT ROWID;
    `);
    return database;
  } finally {
    process.umask(previous);
  }
}
