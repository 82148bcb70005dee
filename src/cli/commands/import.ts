import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { Configuration } from '../../control/configuration/configuration.ts';
import { parsePointInTime } from '../../control/point-in-time.ts';
import { type StoringRun, startStoringRun } from '../../engine/backup/storing-run.ts';
import type { WarmLanes } from '../../engine/lanes/pool.ts';
import { type KnownVolume, type Layout, layouts } from '../../engine/transfer/archive-layout.ts';
import { type ArchiveToImport, type ImportResult, importArchive } from '../../engine/transfer/import-archive.ts';
import { type ErrorCode, errorDocument, exitCodes, HoldfastError } from '../../model/errors.ts';
import { shortId } from '../../model/ids.ts';
import { formatSize, parseSize } from '../../model/quantities.ts';
import { displayRaw } from '../../model/raw-bytes.ts';
import { type Consistency, consistencies, type StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { loadIndex } from '../../repository/load-index.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { completedConfiguration } from '../labelled-project.ts';
import { configureLanes, type LaneOptions, parseLanes } from '../lane-options.ts';
import { displayText } from '../output/text.ts';
import { requireProject } from '../project.ts';
import { laneEntry, type Session, withRepository, withWarmLanes } from '../session.ts';
import { systemClock } from '../system-clock.ts';
import { packageVersion } from '../version.ts';

type Options = LaneOptions & {
  volume?: string;
  layout: string;
  time: string;
  consistency: string;
  maxSize: string;
  devices?: boolean;
  force?: boolean;
  dryRun?: boolean;
};

/** zstd's, as `backup` has it by default. */
const compressionLevel = 2;
const fromArchive = 'from-archive';

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('<archive...>', 'tar archives, as they are or with gzip, zstd, xz or bzip2; - for standard input')
      .option('--volume <name>', 'what the archive is of; where it holds several volumes, the only one to take')
      .option('--layout <layout>', `${layouts.join(', ')}: how volumes lie in the archive`, 'auto')
      .option('--time <from-archive|time>', 'what the snapshots are as old as', fromArchive)
      .option('--consistency <grade>', `how the archives were made: ${consistencies.join(', ')}`, 'crash')
      .option('--max-size <size>', 'refuse an archive that holds more', '1TiB')
      .option('--devices', 'take device nodes over')
      .option('--force', 'import an archive also when it was imported before')
      .option('-n, --dry-run', 'write nothing; say what would be imported');
    configureLanes(commander);
    commander.addHelpText(
      'after',
      '\nNothing is unpacked: the content goes into the repository at once. An archive that was imported before is noticed. Exit code 3 says that something in an archive was left out.',
    );
  },

  async run(context) {
    const settings = parseOptions(context.options);
    const { operands, options } = context;
    if (operands.filter((operand) => operand === '-').length > 1) throw new HoldfastError('usage', 'standard input can be read once');
    const configuration = await completedConfiguration(context, await requireProject(context));
    return withWarmLanes('backup', settings.lanes, (warm) =>
      withRepository(context, configuration, options.dryRun ? 'none' : 'shared', (session) =>
        importAll(context, session, configuration, settings, warm),
      ),
    );
  },
};

type Settings = { layout: Layout; timeMs: number | undefined; consistency: Consistency; maxBytes: number; lanes: number };

function parseOptions(options: Options): Settings {
  const layout = layouts.find((one) => one === options.layout);
  if (layout === undefined) throw new HoldfastError('usage', `--layout takes ${layouts.join(', ')}, not ${JSON.stringify(options.layout)}`);
  const consistency = consistencies.find((one) => one === options.consistency);
  if (consistency === undefined)
    throw new HoldfastError('usage', `--consistency takes ${consistencies.join(', ')}, not ${JSON.stringify(options.consistency)}`);
  const maxBytes = parseSize(options.maxSize);
  if (maxBytes === undefined || maxBytes === 0)
    throw new HoldfastError('usage', `--max-size takes a size, not ${JSON.stringify(options.maxSize)}`, { remedy: 'for example: 2TiB' });
  const timeMs = options.time === fromArchive ? undefined : parsePointInTime(options.time, systemClock.now()).getTime();
  return { layout, timeMs, consistency, maxBytes, lanes: parseLanes(options).lanes };
}

/** What spoils one archive, and not the others. */
const archiveFailures: readonly ErrorCode[] = ['archive-damaged', 'archive-too-large', 'unsupported', 'usage', 'unknown-volume'];

const worstFirst: readonly number[] = [exitCodes.failed, exitCodes.usage, exitCodes.incomplete];

async function importAll(
  context: CommandContext<Options>,
  session: Session,
  configuration: Configuration,
  settings: Settings,
  warm: WarmLanes,
): Promise<number> {
  const { operands, options, output } = context;
  const { repository, address, signal } = session;
  const startedMs = performance.now();
  const names = operands.map((operand) => (operand === '-' ? 'standard input' : basename(operand)));
  const [index, snapshots] = await Promise.all([
    loadIndex(repository),
    listSnapshots(repository, (name) => output.warning(`the snapshot file ${name} is damaged; run \`holdfast check\``)),
  ]);
  const run = startStoringRun({
    ...{ repository, address, laneEntry, lanes: settings.lanes, warmLanes: warm, index },
    ...{ rememberTrees: false, compressionLevel, dryRun: options.dryRun ?? false, signal, clock: systemClock },
  });
  output.report({ event: 'run-started', operation: 'import', run: '', volumes: names });
  const codes = new Set<number>();
  try {
    const known: StoredSnapshot[] = [...snapshots];
    for (const operand of operands) {
      codes.add(await importOne(context, { session, configuration, settings, run, index, known }, operand));
    }
  } finally {
    await run.close();
  }
  const exitCode = worstFirst.find((code) => codes.has(code)) ?? exitCodes.done;
  output.report({ event: 'run-finished', operation: 'import', run: '', durationMs: Math.round(performance.now() - startedMs), exitCode });
  return exitCode;
}

type Work = {
  session: Session;
  configuration: Configuration;
  settings: Settings;
  run: StoringRun;
  index: BlobIndex;
  /** Snapshots of the repository, those of this run included. */
  known: StoredSnapshot[];
};

/** @returns its exit code; what spoils more than this archive is thrown. */
async function importOne(context: CommandContext<Options>, work: Work, operand: string): Promise<number> {
  const { options, output } = context;
  const { session, configuration, settings, run, index, known } = work;
  const { layout, timeMs, consistency, maxBytes } = settings;
  try {
    const result = await importArchive({
      ...{ repository: session.repository, index, run, snapshots: known },
      project: configuration.project,
      volumes: configuration.volumes.map((volume) => knownVolume(configuration, volume)),
      archive: await open(context, operand),
      volume: options.volume,
      ...{ layout, timeMs, consistency, maxBytes },
      devices: options.devices ?? false,
      again: options.force ?? false,
      programVersion: `holdfast ${packageVersion()}`,
      dryRun: options.dryRun ?? false,
      report: output.report,
      signal: session.signal,
      clock: systemClock,
    });
    known.push(...result.snapshots);
    tell(context, operand, result);
    return result.leftOut > 0 ? exitCodes.incomplete : exitCodes.done;
  } catch (error) {
    if (!(error instanceof HoldfastError) || !archiveFailures.includes(error.code)) throw error;
    output.report({
      event: 'error',
      error: { ...errorDocument(error), file: operand, message: `${displayText(operand)}: ${error.message}` },
    });
    return error.exitCode;
  }
}

function knownVolume({ project }: Configuration, { name, path, source }: Configuration['volumes'][number]): KnownVolume {
  return { name, path, platformName: source.kind === 'docker' ? source.volume : `${project}_${name}` };
}

/** @throws `usage` when there is no such file. */
async function open({ cwd }: CommandContext<Options>, operand: string): Promise<ArchiveToImport> {
  if (operand === '-') {
    // The only command that reads more than an answer: contexts bring a keyboard only.
    const { stdin } = await import('node:process');
    return { name: 'standard input', fileName: undefined, fileTimeMs: undefined, bytes: stdin };
  }
  const path = resolve(cwd, operand);
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    throw new HoldfastError('usage', `cannot be read (${cause.code})`, { file: path, remedy: 'check the name of the archive', cause });
  });
  if (found.isDirectory()) {
    throw new HoldfastError('usage', 'is a directory', { file: path, remedy: 'back it up with `holdfast backup`, or name archives in it' });
  }
  const fileName = basename(path);
  return { name: fileName, fileName, fileTimeMs: found.mtimeMs, bytes: createReadStream(path, { highWaterMark: 1024 * 1024 }) };
}

function tell({ output }: CommandContext<Options>, archive: string, { layout, time, digest, volumes, leftOut }: ImportResult): void {
  output.document({
    archive,
    sha256: digest,
    layout,
    time: new Date(time.ms).toISOString(),
    timeFrom: time.from,
    leftOut,
    volumes: volumes.map(({ volume, root, declared, outcome, id, files, bytes }) => ({
      volume,
      root: displayRaw(root),
      declared,
      outcome,
      snapshot: id,
      files,
      bytes,
    })),
  });
  for (const { volume, outcome, id, declared } of volumes) {
    if (outcome === 'present') output.line(`${displayText(volume)}: the same archive is snapshot ${shortId(id)} already`);
    if (!declared) output.warning(`${displayText(volume)} is no volume of holdfast.yaml: its snapshot is kept under that name`);
  }
  const bytes = volumes.reduce((sum, volume) => sum + volume.bytes, 0);
  const when = new Date(time.ms).toISOString().replace(/\.\d+/, '');
  output.note(`${displayText(archive)}: ${formatSize(bytes)}, layout ${layout}, of ${when} (${time.from})`);
}
