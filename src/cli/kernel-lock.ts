/**
 * A lock that the kernel takes back when its process ends, in whatever way and in whichever container: that of an empty SQLite database
 * (https://www.sqlite.org/lockingv3.html).
 */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** `SQLITE_BUSY` (https://www.sqlite.org/rescode.html). */
const isBusy = (error: unknown): boolean => (error as { errcode?: number }).errcode === 5;

/**
 * Takes the lock of a file, which is made where it is not there; its folder must be.
 * @param patienceMs so long it is waited for, and this thread with it.
 * @returns how to give it back; undefined when another one holds it. @throws what SQLite says of a file that cannot be made.
 */
export function holdLock(path: string, patienceMs = 0): (() => void) | undefined {
  const database = new DatabaseSync(path, { timeout: patienceMs });
  try {
    database.exec('BEGIN EXCLUSIVE');
    return () => database.close();
  } catch (error) {
    database.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
}

/** Whether anybody holds it. Who looks is in the way of who takes it, for a moment. */
export function isLocked(path: string): boolean {
  if (!existsSync(path)) return false;
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: 0 });
    database.prepare('SELECT count(*) FROM sqlite_schema').get();
    return false;
  } catch (error) {
    return isBusy(error);
  } finally {
    database?.close();
  }
}
