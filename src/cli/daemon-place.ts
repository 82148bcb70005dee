/** Where the daemon of a project keeps its state, and that there is only one. */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, globSync, lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Configuration } from '../control/configuration/configuration.ts';
import { HoldfastError } from '../model/errors.ts';
import { holdLock, isLocked } from './kernel-lock.ts';
import { stateFolder } from './state-folder.ts';

/** Who only looks whether a daemon runs is in the way of one that begins, for a moment. */
const patienceMs = 500;
const lockOf = (folder: string): string => join(folder, 'running');

/** A folder of the state folder: by project, and by the place of its `holdfast.yaml`, or where that would be. */
export function daemonFolder({ project, file }: Pick<Configuration, 'project' | 'file'>, environment: NodeJS.ProcessEnv): string {
  return join(stateFolder(environment), 'daemon', `${project}-${placeOf(file)}`);
}

const placeOf = (file: string): string => createHash('sha256').update(realPathOf(file)).digest('hex').slice(0, 12);

/** Where labels alone describe a project, there is no file. */
const realPathOf = (file: string): string => (existsSync(file) ? realpathSync(file) : join(realpathSync(dirname(file)), basename(file)));

/** Where the daemon of a folder keeps the configuration by which it works: see copy-in-effect.ts. */
export const copyInEffect = (folder: string): string => join(folder, 'holdfast.yaml');

/** The copy of a `holdfast.yaml` by which a daemon of this host works now; undefined when none does. */
export function copyOfRunning(file: string, environment: NodeJS.ProcessEnv): string | undefined {
  const folders = globSync(`*-${placeOf(file)}`, { cwd: join(stateFolder(environment), 'daemon') });
  return folders
    .map((name) => join(stateFolder(environment), 'daemon', name))
    .filter((folder) => isTaken(folder))
    .map(copyInEffect)
    .find((copy) => existsSync(copy));
}

/** Whether a daemon has its place in a folder ({@link takePlace}). */
export const isTaken = (folder: string): boolean => isLocked(lockOf(folder));

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
 * Makes this process the only daemon of a folder, until it ends in whatever way.
 * @returns how to give it back. @throws `daemon-running`, `configuration`.
 */
export function takePlace(folder: string): () => void {
  makeDaemonFolder(folder);
  const leave = holdLock(lockOf(folder), patienceMs);
  if (leave === undefined) throw new HoldfastError('daemon-running', 'a daemon of this project runs already');
  return leave;
}
