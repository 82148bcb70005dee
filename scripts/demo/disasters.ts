/** The three disasters that the reference deployment plans for, each as it would strike. */
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { databaseName } from './state.ts';

/** Somebody deletes a file. Returns its path in the volume. */
export function deleteOneFile(volume: string): string {
  const folder = join('webshop', 'src');
  const [subfolder] = readdirSync(join(volume, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
  const [name] = readdirSync(join(volume, folder, subfolder as string)).sort();
  const path = join(folder, subfolder as string, name as string);
  rmSync(join(volume, path));
  return path;
}

/**
 * A volume rots, and malware visits: pages of the database are overwritten and its time set back, so that only who reads
 * the content can tell; half of the logs are deleted, the state encrypted under other names, and a ransom note appears.
 */
export function corruptVolume(volume: string): void {
  const database = join(volume, databaseName);
  const { atime, mtime, size } = statSync(database);
  const file = openSync(database, 'r+');
  for (let offset = 8192; offset < size; offset += 1024 * 1024) writeSync(file, Buffer.alloc(4096, 0xa5), 0, 4096, offset);
  closeSync(file);
  utimesSync(database, atime, mtime);
  const logs = readdirSync(join(volume, 'logs')).sort();
  for (const name of logs.slice(0, Math.ceil(logs.length / 2))) rmSync(join(volume, 'logs', name));
  for (const name of readdirSync(join(volume, 'state'))) {
    const path = join(volume, 'state', name);
    writeFileSync(
      path,
      readFileSync(path).map((byte) => byte ^ 0x5a),
    );
    renameSync(path, `${path}.locked`);
  }
  writeFileSync(join(volume, 'HOW-TO-GET-YOUR-FILES-BACK.txt'), 'Pay.\n');
}

/**
 * The host is gone with everything on it: moved to where Holdfast knows nothing of it, so that what is restored can be
 * compared with what was lost.
 */
export function loseHost(host: string, lostHost: string): void {
  renameSync(host, lostHost);
}
