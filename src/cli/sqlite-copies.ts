/** The SQLite databases of the volumes of a backup: copied while programs use them, and told of. */
import { join } from 'node:path';
import type { CutWay, VolumeConfiguration } from '../control/configuration/configuration.ts';
import { dumpFolderOf } from '../control/cut/journal.ts';
import { copyDatabases, type SqliteCopies } from '../control/recipes/sqlite.ts';
import type { VolumeToBackUp } from '../engine/backup/read-volume.ts';
import type { Consistency } from '../model/snapshot.ts';
import type { CommandContext } from './command.ts';
import { formatCount } from './output/units.ts';

export type SqliteSettings = {
  context: Pick<CommandContext<unknown>, 'output' | 'signal'>;
  chosen: readonly VolumeConfiguration[];
  run: string;
  stateFolder: string;
  /** How a volume is read: halted ones need no copies. */
  wayOf: (volume: string) => CutWay;
  /** Called before the first copy is made. */
  begin: () => Promise<unknown>;
};

/** Module of the process that copies. */
const copier = new URL('./sqlite-copier.ts', import.meta.url);

/**
 * Volumes of `app: sqlite` are `dumped` when all their databases were copied, else `crash`. Of others that are read live, what looks like a database is
 * copied as well, and the grade stays what a live read deserves.
 */
export async function prepareSqlite(
  volumes: readonly VolumeToBackUp[],
  settings: SqliteSettings,
): Promise<{ volumes: VolumeToBackUp[]; grades: Map<string, Consistency> }> {
  const { context, chosen, wayOf, stateFolder, run } = settings;
  const grades = new Map<string, Consistency>();
  const prepared: VolumeToBackUp[] = [];
  let begun: Promise<unknown> | undefined;
  for (const volume of volumes) {
    const app = chosen.find(({ name }) => name === volume.name)?.app;
    const way = wayOf(volume.name);
    const asked = app === 'sqlite' && way === 'dump';
    const quick = way === 'live' && (app === undefined || app === 'sqlite');
    if (volume.stream !== undefined || (!asked && !quick)) {
      prepared.push(volume);
      continue;
    }
    const copies = await copyDatabases({
      directory: volume.directory,
      excludes: volume.excludes,
      everywhere: asked,
      into: join(dumpFolderOf(stateFolder, run), volume.name),
      begin: () => (begun ??= settings.begin()),
      copier,
      signal: context.signal,
    });
    tell(volume.name, copies, asked, context.output);
    if (asked) grades.set(volume.name, copies.failed.length === 0 && copies.complete ? 'dumped' : 'crash');
    prepared.push(copies.substitutes.size === 0 ? volume : { ...volume, substitutes: copies.substitutes });
  }
  return { volumes: prepared, grades };
}

function tell(volume: string, { copied, failed, complete }: SqliteCopies, asked: boolean, output: CommandContext['output']): void {
  if (copied > 0) output.note(`${volume}: ${formatCount(copied, 'SQLite database')} copied`);
  for (const { path, reason } of failed)
    output.warning(`volume ${volume}: the SQLite database ${path} is read as it stands, and may be torn: ${reason}`);
  if (asked && !complete) output.warning(`volume ${volume}: not all folders could be searched for SQLite databases`);
}
