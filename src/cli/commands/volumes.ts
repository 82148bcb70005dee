import { statfs } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import type { Configuration, VolumeConfiguration } from '../../control/configuration/configuration.ts';
import { daysUntilFull, growthPerDay, type Measurement } from '../../control/discovery/growth.ts';
import { labelledOf, namesDeclaredBy } from '../../control/discovery/labelled.ts';
import { snapshotsOfProject } from '../../control/restore-points.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { formatDuration, formatSize, parseDuration } from '../../model/quantities.ts';
import { listSnapshots, snapshotTimeMs } from '../../repository/snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { completeProject } from '../labelled-project.ts';
import { measureDirectory } from '../measure-directory.ts';
import { displayText } from '../output/text.ts';
import { formatAge } from '../output/units.ts';
import { createPlatforms } from '../platforms.ts';
import { requireProject } from '../project.ts';
import { type FoundVolume, findProjectVolumes, type ProjectVolumes } from '../project-volumes.ts';
import { type Session, withRepository } from '../session.ts';
import { systemClock } from '../system-clock.ts';

type Options = { watch?: boolean | string; measure?: boolean; declared?: boolean };

type LastSnapshot = { id: string; timeMs: number; files: number; bytes: number; consistency: string };
type History = { last: LastSnapshot; sizes: Measurement[] };

/** A line of `--json`. */
type VolumeRow = {
  volume: string;
  /** Undefined when it was not found, or this process cannot reach it. */
  directory: string | undefined;
  /** The Engine's name and driver; undefined for plain directories. */
  dockerVolume: string | undefined;
  driver: string | undefined;
  path: string | undefined;
  criticality: string;
  sensitive: boolean;
  sizeBytes: number | undefined;
  /** As of the last snapshot, or measured now. */
  usedBytes: number | undefined;
  files: number | undefined;
  /** Room on the volume's file system. */
  freeBytes: number | undefined;
  growthBytesPerDay: number | undefined;
  daysUntilFull: number | undefined;
  lastSnapshot: LastSnapshot | undefined;
  rpoMs: number;
  state: 'protected' | 'late' | 'unprotected' | 'missing';
  mountedBy: { container: string; service: string | undefined; state: string; path: string; readOnly: boolean }[];
};

const leastWatchMs = 1000;
const mostWatchMs = 86_400_000;

export const command: Command<Options> = {
  configure(commander) {
    commander
      .option('-w, --watch [interval]', 'show it again and again, every 10s or so often')
      .option('--measure', 'walk through all volumes instead of believing their last snapshots')
      .option('--declared', 'only show what holdfast.yaml and labels declare; opens no repository');
    commander.addHelpText(
      'after',
      '\nA volume is late when its last snapshot is older than its recovery point objective (RPO). GROWTH is by the day, over the snapshots of the\nlast 30 days; FULL IN is when it reaches its declared SIZE, or its file system has no room.',
    );
  },

  async run(context) {
    const configuration = await requireProject(context);
    const everyMs = parseWatch(context.options);
    if (context.options.declared) {
      if (everyMs !== undefined || context.options.measure)
        throw new HoldfastError('usage', '--declared shows no state of volumes: it goes with neither --watch nor --measure');
      await showDeclared(context, configuration);
      return exitCodes.done;
    }
    return withRepository(context, configuration, 'none', async (session) => {
      await show(context, configuration, session);
      while (everyMs !== undefined && !context.signal.aborted) {
        // Not the clock's sleep, which does not keep a process alive.
        await setTimeout(everyMs, undefined, { signal: context.signal }).catch(() => undefined);
        if (!context.signal.aborted) await show(context, configuration, session);
      }
      return exitCodes.done;
    });
  },
};

function parseWatch({ watch }: Options): number | undefined {
  if (watch === undefined || watch === false) return undefined;
  const everyMs = watch === true ? 10_000 : parseDuration(watch);
  if (everyMs !== undefined && everyMs >= leastWatchMs && everyMs <= mostWatchMs) return everyMs;
  throw new HoldfastError('usage', `--watch takes a duration of a second to a day, not ${JSON.stringify(watch)}`, {
    remedy: 'for example: --watch 30s',
  });
}

async function showDeclared(context: CommandContext<Options>, written: Configuration): Promise<void> {
  const { output } = context;
  const platforms = createPlatforms(context, written);
  try {
    const { configuration, file, taken, conflicts, remarks, mistakes, answered } = await completeProject(written, platforms);
    const { project, volumes } = configuration;
    const byLabels = new Set(namesDeclaredBy(labelledOf(written.volumes, volumes)));
    // What this is for a program: all settings of each volume, as they are in effect.
    output.document({ project, engine: answered, volumes, labelled: [...byLabels], labels: taken });
    for (const sentence of [...conflicts, ...remarks, ...mistakes]) output.warning(displayText(sentence));
    if (answered === false) output.warning('no Docker Engine answers: labels are not known');
    const from = (name: string) =>
      [
        ...(byLabels.has(name) ? [] : [file === undefined ? 'the compose project' : 'holdfast.yaml']),
        ...new Set(taken.flatMap(({ volume, from: where }) => (volume === name ? `label of ${where}` : []))),
      ].join(', ');
    output.table(
      [title('VOLUME'), title('CRITICALITY'), title('SIZE', 'right'), title('DECLARED BY')],
      volumes.map(({ name, criticality, sizeBytes }) => [
        displayText(name),
        criticality,
        sizeBytes === undefined ? nothing : formatSize(sizeBytes),
        displayText(from(name)) || 'label',
      ]),
    );
  } finally {
    platforms.close();
  }
}

/** In a cell of which nothing is known. */
const nothing = '-';

const title = (name: string, align: 'left' | 'right' = 'left') => ({ title: name, align });
const columns = [
  ...[title('VOLUME'), title('STATE'), title('LAST SNAPSHOT'), title('RPO', 'right'), title('CONSISTENCY'), title('FILES', 'right')],
  ...[title('USED', 'right'), title('SIZE', 'right'), title('%', 'right'), title('GROWTH', 'right'), title('FULL IN', 'right')],
  ...[title('CRITICALITY'), title('MOUNTED BY'), title('SOURCE')],
];

async function show(context: CommandContext<Options>, configuration: Configuration, { repository }: Session): Promise<void> {
  const { output, options, stdout } = context;
  const project = await findProjectVolumes(context, configuration);
  const histories = historiesOf(project.configuration, await listSnapshots(repository));
  const now = systemClock.now();
  const rows: VolumeRow[] = [];
  for (const volume of project.configuration.volumes)
    rows.push(await rowOf(context, volume, project.found.get(volume.name), histories.get(volume.name), now));
  // Where the screen is not a terminal's, what was shown before stays.
  if (options.watch && stdout.isTTY && !output.json) output.line('\u001b[H\u001b[2J');
  for (const row of rows) output.document(row);
  const cells = rows.map((row) => cellsOf(row, now));
  // What is known of none is not worth a column.
  const shown = columns.map((_, column) => cells.some((row) => row[column] !== nothing));
  output.table(
    columns.filter((_, column) => shown[column]),
    cells.map((row) => row.filter((_, column) => shown[column])),
  );
  offer(context, project);
}

/** What nobody has declared is not passed over in silence. */
function offer({ output }: CommandContext<Options>, { undeclared, bindMounts }: ProjectVolumes): void {
  for (const { name, users } of undeclared) {
    const by = users.map((user) => `${user.name} at ${user.path}`).join(', ');
    output.note(`not declared, and in no backup: volume ${displayText(name)}${by === '' ? '' : `, mounted by ${displayText(by)}`}`);
  }
  for (const { from, users } of bindMounts) {
    output.note(
      `in no backup unless a volume has it as its source: ${displayText(from)}, mounted by ${displayText(users.map(({ name }) => name).join(', '))}`,
    );
  }
}

function historiesOf({ project }: Configuration, snapshots: Parameters<typeof snapshotsOfProject>[0]): Map<string, History> {
  const histories = new Map<string, History>();
  for (const { snapshot, identity } of snapshotsOfProject(snapshots, project)) {
    const { totalFilesProcessed: files = 0, totalBytesProcessed: bytes = 0 } = snapshot.summary ?? {};
    const timeMs = snapshotTimeMs(snapshot);
    const sizes = histories.get(identity.volume)?.sizes ?? [];
    if (snapshot.summary !== undefined) sizes.push({ timeMs, bytes });
    histories.set(identity.volume, { last: { id: snapshot.id, timeMs, files, bytes, consistency: identity.consistency }, sizes });
  }
  return histories;
}

async function rowOf(
  { options, signal }: CommandContext<Options>,
  configured: VolumeConfiguration,
  found: FoundVolume | undefined,
  history: History | undefined,
  now: Date,
): Promise<VolumeRow> {
  const { name, path, criticality, sensitive, sizeBytes } = configured;
  const { rpoMs } = configured.objectives;
  const { directory, volume } = found ?? { directory: undefined, volume: undefined };
  const measured = options.measure && directory !== undefined ? await measureDirectory(directory, signal) : undefined;
  const last = history?.last;
  const usedBytes = measured?.bytes ?? last?.bytes;
  const freeBytes = directory === undefined ? undefined : await freeOf(directory);
  const growthBytesPerDay = growthPerDay(history?.sizes ?? [], now.getTime());
  const protection = last === undefined ? 'unprotected' : now.getTime() - last.timeMs > rpoMs ? 'late' : 'protected';
  return {
    volume: name,
    directory,
    dockerVolume: volume?.name,
    driver: volume?.driver,
    path,
    criticality,
    sensitive,
    sizeBytes,
    usedBytes,
    files: measured?.files ?? last?.files,
    freeBytes,
    growthBytesPerDay,
    daysUntilFull: daysUntilFull({ usedBytes, sizeBytes, freeBytes, growthBytesPerDay }),
    lastSnapshot: last,
    rpoMs,
    state: found === undefined ? 'missing' : protection,
    mountedBy: (volume?.users ?? []).map(({ container, path: at, readOnly }) => ({
      container: container.name,
      service: container.service,
      state: container.state,
      path: at,
      readOnly,
    })),
  };
}

async function freeOf(directory: string): Promise<number | undefined> {
  return statfs(directory).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => undefined,
  );
}

function cellsOf(row: VolumeRow, now: Date): string[] {
  const { lastSnapshot: last, usedBytes, sizeBytes, growthBytesPerDay: growth } = row;
  const size = (bytes: number | undefined) => (bytes === undefined ? nothing : formatSize(bytes));
  const mounters = row.mountedBy.map(
    ({ service, container, state }) => `${service ?? container}${state === 'running' ? '' : ` (${state})`}`,
  );
  return [
    row.volume,
    row.state,
    last ? formatAge(new Date(last.timeMs), now) : 'never',
    formatDuration(row.rpoMs),
    last?.consistency ?? nothing,
    row.files === undefined ? nothing : String(row.files),
    size(usedBytes),
    size(sizeBytes),
    usedBytes === undefined || !sizeBytes ? nothing : `${Math.round((usedBytes / sizeBytes) * 100)}%`,
    growth === undefined ? nothing : `${growth < 0 ? '-' : '+'}${formatSize(Math.abs(growth))}/d`,
    row.daysUntilFull === undefined ? nothing : row.daysUntilFull > 999 ? '>999d' : `${Math.floor(row.daysUntilFull)}d`,
    row.sensitive ? `${row.criticality}, sensitive` : row.criticality,
    displayText(mounters.join(', ')) || nothing,
    row.state === 'missing' ? 'not found' : displayText(row.dockerVolume ?? row.directory ?? ''),
  ];
}
