/** Where the daemon of a project keeps its state, and that there is only one. */
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Configuration } from '../control/configuration/configuration.ts';
import { HoldfastError } from '../model/errors.ts';
import { stateFolder } from './state-folder.ts';

/** A folder of the state folder: by project, and by the place of its `holdfast.yaml`, which must be there. */
export function daemonFolder({ project, file }: Configuration, environment: NodeJS.ProcessEnv): string {
  const place = createHash('sha256').update(realpathSync(file)).digest('hex').slice(0, 12);
  return join(stateFolder(environment), 'daemon', `${project}-${place}`);
}

/**
 * Makes a daemon's folder, for this user alone. Tokens are in it, and what jobs are started by: one that somebody else has made, or put a link in
 * the place of, is not used. @throws `configuration`.
 */
export function makeDaemonFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== (process.geteuid?.() ?? found.uid))
    throw new HoldfastError('configuration', `${folder} is not a folder of this user`, {
      file: folder,
      remedy: 'remove it, or name another place in HOLDFAST_STATE_DIR',
    });
  chmodSync(folder, 0o700);
}

/**
 * Makes this process the only daemon of a folder, until it ends in whatever way: the lock of a database is the kernel's.
 * @returns how to give it back. @throws `daemon-running`, `configuration`.
 */
export function takePlace(folder: string): () => void {
  makeDaemonFolder(folder);
  const lock = new DatabaseSync(join(folder, 'running'), { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    lock.close();
    if (((cause as { errcode?: number }).errcode ?? 0) === 5)
      throw new HoldfastError('daemon-running', `a daemon of this project runs already`, { cause });
    throw cause;
  }
  return () => lock.close();
}
