import { DatabaseSync } from 'node:sqlite';
import { isDamage, putAside, requireSound } from '../../control/state/state.ts';

/**
 * The API's own memory, beside the state of the control plane, which is a cache that may be thrown away: tokens are not. Only who may write the
 * daemon's folder can open it. @throws what SQLite says, also when the file is damaged.
 */
export function openApiDatabase(file: string): DatabaseSync {
  const previous = process.umask(0o077);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 5_000 });
    makeTables(database);
    requireSound(database);
    return database;
  } catch (error) {
    database?.close();
    throw error;
  } finally {
    process.umask(previous);
  }
}

/**
 * The same for a daemon, which is not to stand still for it: a damaged file is put aside as `NAME.damaged-TIME`, `replaced`, and a new one made,
 * in which no token holds.
 */
export function openOrReplaceApiDatabase(file: string, nowMs: number): { database: DatabaseSync; replaced: string | undefined } {
  try {
    return { database: openApiDatabase(file), replaced: undefined };
  } catch (error) {
    if (!isDamage(error)) throw error;
    const replaced = putAside(file, new Date(nowMs));
    return { database: openApiDatabase(file), replaced };
  }
}

function makeTables(database: DatabaseSync): void {
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
}
