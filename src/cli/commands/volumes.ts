import type { Configuration, VolumeConfiguration } from '../../control/configuration/configuration.ts';
import { snapshotsOfProject } from '../../control/restore-points.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { formatSize } from '../../model/quantities.ts';
import { createDirectoryPlatform } from '../../platform/directory/directory.ts';
import { listSnapshots, snapshotTimeMs } from '../../repository/snapshots.ts';
import type { Command } from '../command.ts';
import { displayText } from '../output/text.ts';
import { formatAge } from '../output/units.ts';
import { requireProject, systemClock, withRepository } from '../session.ts';

type LastSnapshot = { id: string; timeMs: number; files: number; bytes: number; consistency: string };

/** A line of `--json`. */
type VolumeRow = {
  volume: string;
  /** Undefined when it was not found. */
  directory: string | undefined;
  path: string | undefined;
  criticality: string;
  sensitive: boolean;
  sizeBytes: number | undefined;
  lastSnapshot: LastSnapshot | undefined;
  rpoMs: number;
  state: 'protected' | 'late' | 'unprotected' | 'missing';
};

export const command: Command = {
  configure(commander) {
    commander.addHelpText('after', '\nA volume is late when its last snapshot is older than its recovery point objective (RPO).');
  },

  async run(context) {
    const { output } = context;
    const configuration = await requireProject(context);
    const newest = await withRepository(context, configuration, 'none', async ({ repository }) =>
      newestOf(configuration, await listSnapshots(repository)),
    );
    const now = systemClock.now();
    const rows = await Promise.all(configuration.volumes.map((volume) => rowOf(configuration, volume, newest.get(volume.name), now)));
    for (const row of rows) output.document(row);
    const columns = ['VOLUME', 'STATE', 'LAST SNAPSHOT', 'CONSISTENCY', 'FILES', 'SIZE', 'CRITICALITY', 'SOURCE'].map((title) => ({
      title,
      align: title === 'FILES' || title === 'SIZE' ? ('right' as const) : ('left' as const),
    }));
    output.table(
      columns,
      rows.map((row) => cellsOf(row, now)),
    );
    return exitCodes.done;
  },
};

function newestOf(configuration: Configuration, snapshots: Parameters<typeof snapshotsOfProject>[0]): Map<string, LastSnapshot> {
  const newest = new Map<string, LastSnapshot>();
  for (const { snapshot, identity } of snapshotsOfProject(snapshots, configuration.project)) {
    newest.set(identity.volume, {
      id: snapshot.id,
      timeMs: snapshotTimeMs(snapshot),
      files: snapshot.summary?.totalFilesProcessed ?? 0,
      bytes: snapshot.summary?.totalBytesProcessed ?? 0,
      consistency: identity.consistency,
    });
  }
  return newest;
}

async function rowOf(
  { project }: Configuration,
  volume: VolumeConfiguration,
  last: LastSnapshot | undefined,
  now: Date,
): Promise<VolumeRow> {
  const { name, path, criticality, sensitive, sizeBytes } = volume;
  const { rpoMs } = volume.objectives;
  const directory = await locate(project, volume);
  const protection = last === undefined ? 'unprotected' : now.getTime() - last.timeMs > rpoMs ? 'late' : 'protected';
  const state = directory === undefined ? 'missing' : protection;
  return { volume: name, directory, path, criticality, sensitive, sizeBytes, lastSnapshot: last, rpoMs, state };
}

async function locate(project: string, { name, source }: VolumeConfiguration): Promise<string | undefined> {
  try {
    const { directory, exists } = await createDirectoryPlatform().locate({ name, project, source });
    return exists ? directory : undefined;
  } catch (error) {
    if (error instanceof HoldfastError) return undefined;
    throw error;
  }
}

function cellsOf({ volume, state, lastSnapshot: last, criticality, sensitive, directory }: VolumeRow, now: Date): string[] {
  return [
    volume,
    state,
    last ? `${formatAge(new Date(last.timeMs), now)}` : 'never',
    last?.consistency ?? '-',
    last ? String(last.files) : '-',
    last ? formatSize(last.bytes) : '-',
    sensitive ? `${criticality}, sensitive` : criticality,
    directory === undefined ? 'not found' : displayText(directory),
  ];
}
