import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { bytesOf, migrationCount, type State } from './state.ts';

/**
 * Opens the state of a daemon to look into it, whether one runs or not; nothing is changed. Undefined when there is none, or none that can be
 * read: of another version, damaged, or somebody else's.
 */
export function readState(path: string): State | undefined {
  if (!existsSync(path)) return undefined;
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: 2_000 });
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
    if (version !== migrationCount) throw new Error(`version ${version}`);
  } catch {
    database?.close();
    return undefined;
  }
  const opened = database;
  return {
    path,
    database: opened,
    replaced: undefined,
    transaction: (work) => work(),
    bytes: () => bytesOf(opened),
    isInPlace: () => true,
    close: () => opened.close(),
  };
}
