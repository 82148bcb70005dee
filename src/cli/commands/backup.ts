import { randomBytes } from 'node:crypto';
import type { Configuration, VolumeConfiguration } from '../../control/configuration/configuration.ts';
import { backUp, type VolumeToBackUp } from '../../engine/backup/backup.ts';
import type { WarmLanes } from '../../engine/lanes/pool.ts';
import { errorDocument, exitCodes, HoldfastError } from '../../model/errors.ts';
import type { SnapshotClass } from '../../model/snapshot.ts';
import { createDirectoryPlatform } from '../../platform/directory/directory.ts';
import { loadIndex } from '../../repository/load-index.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { configureLanes, type LaneOptions, parseLanes } from '../lane-options.ts';
import { laneEntry, requireProject, type Session, selectVolumes, systemClock, withRepository, withWarmLanes } from '../session.ts';
import { packageVersion } from '../version.ts';

type Options = LaneOptions & {
  class?: string;
  tag: string[];
  exclude: string[];
  iexclude: string[];
  force?: boolean;
  ignoreCtime?: boolean;
  ignoreInode?: boolean;
  withAtime?: boolean;
  allowEmpty?: boolean;
  dryRun?: boolean;
  compression?: string;
};

/** zstd levels; see docs/architecture.md for what they cost. */
const levels: Record<string, number> = { fastest: 1, auto: 2, better: 6, max: 15 };

const collect = (value: string, previous: string[]) => [...previous, value];

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('[volume...]', 'volumes to back up; all when none is named')
      .option('--class <class>', 'scheduled, manual or guard', 'manual')
      .option('--tag <tag>', 'add a tag to the snapshots (repeatable)', collect, [])
      .option('--exclude <pattern>', "leave out what matches, as restic's --exclude (repeatable)", collect, [])
      .option('--iexclude <pattern>', 'the same, whatever the case of letters (repeatable)', collect, [])
      .option('--force', 'read every file, also those that did not change')
      .option('--ignore-ctime', 'a changed ctime alone does not make a file changed')
      .option('--ignore-inode', 'a changed inode number alone does not make a file changed')
      .option('--with-atime', 'record access times')
      .option('--allow-empty', 'accept a volume that is empty and was not before')
      .option('-n, --dry-run', 'write nothing; say what would be stored')
      .option('--compression <level>', 'fastest, auto, better or max', 'auto');
    configureLanes(commander);
    commander.addHelpText(
      'after',
      '\nAll volumes of one run make one restore point. Exit code 3 says that there is a snapshot, but some data or attributes could not be read.',
    );
  },

  async run(context) {
    const { options } = context;
    const settings = parseOptions(options);
    return withWarmLanes('backup', settings.lanes, (warm) => backUpProject(context, settings, warm));
  },
};

async function backUpProject(context: CommandContext<Options>, settings: Settings, warm: WarmLanes): Promise<number> {
  const { options, output, operands } = context;
  const configuration = await requireProject(context);
  const chosen = await selectVolumes(configuration, operands);
  const volumes = await locate(configuration, chosen, options, output.report);
  const run = runId(systemClock.now());
  const startedMs = performance.now();
  output.report({ event: 'run-started', operation: 'backup', run, volumes: chosen.map(({ name }) => name) });
  const exitCode = await withRepository(context, configuration, options.dryRun ? 'none' : 'shared', (session) =>
    runBackup(context, session, { configuration, volumes: volumes.found, run, warm, ...settings }),
  );
  const finalExit = volumes.failed ? exitCodes.failed : exitCode;
  output.report({
    event: 'run-finished',
    operation: 'backup',
    run,
    durationMs: Math.round(performance.now() - startedMs),
    exitCode: finalExit,
  });
  return finalExit;
}

type Settings = { class: SnapshotClass; lanes: number; compressionLevel: number };

function parseOptions(options: Options): Settings {
  const compressionLevel = levels[options.compression ?? 'auto'];
  if (compressionLevel === undefined) {
    throw new HoldfastError('usage', `there is no compression "${options.compression}"`, {
      remedy: `use one of ${Object.keys(levels).join(', ')}`,
    });
  }
  const snapshotClass = options.class ?? 'manual';
  if (snapshotClass !== 'scheduled' && snapshotClass !== 'manual' && snapshotClass !== 'guard') {
    throw new HoldfastError('usage', `there is no class "${snapshotClass}"`, { remedy: 'use one of scheduled, manual, guard' });
  }
  const badTag = options.tag.find((tag) => tag === '' || tag.includes(',') || /^(project|volume|run|class|consistency)=/.test(tag));
  if (badTag !== undefined) {
    throw new HoldfastError('usage', `the tag ${JSON.stringify(badTag)} cannot be used`, {
      remedy: "tags have no commas, and don't begin with project=, volume=, run=, class= or consistency=, which Holdfast sets",
    });
  }
  return { class: snapshotClass, lanes: parseLanes(options).lanes, compressionLevel };
}

/** Sorts by time, and is told apart by people. */
function runId(now: Date): string {
  return `${now.toISOString().replace(/[-:]|\.\d+/g, '')}-${randomBytes(3).toString('hex')}`;
}

type Located = { found: VolumeToBackUp[]; failed: boolean };

/** A volume that cannot be found is reported, and doesn't keep the others from being saved. */
async function locate(
  configuration: Configuration,
  volumes: readonly VolumeConfiguration[],
  options: Options,
  report: CommandContext['output']['report'],
): Promise<Located> {
  const platform = createDirectoryPlatform();
  const found: VolumeToBackUp[] = [];
  let failed = false;
  for (const volume of volumes) {
    try {
      const { directory } = await platform.locate({ name: volume.name, project: configuration.project, source: volume.source });
      found.push({
        name: volume.name,
        directory,
        allowEmpty: options.allowEmpty ?? false,
        excludes: { patterns: options.exclude, insensitivePatterns: options.iexclude, ignorePatterns: volume.exclude },
        excludeIfPresent: volume.excludeIfPresent,
        excludeCaches: volume.excludeCaches,
        oneFileSystem: volume.oneFileSystem,
        withAtime: options.withAtime ?? false,
        changes: { force: options.force ?? false, ignoreCtime: options.ignoreCtime ?? false, ignoreInode: options.ignoreInode ?? false },
      });
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      failed = true;
      report({ event: 'error', error: errorDocument(error) });
    }
  }
  if (found.length === 0) throw new HoldfastError('volume-missing', 'none of the volumes was found');
  return { found, failed };
}

async function runBackup(
  context: CommandContext<Options>,
  session: Session,
  what: Settings & { configuration: Configuration; volumes: VolumeToBackUp[]; run: string; warm: WarmLanes },
): Promise<number> {
  const { repository, address, signal } = session;
  const { configuration, volumes, run, lanes, compressionLevel } = what;
  const { options, output } = context;
  const [index, snapshots] = await Promise.all([loadIndex(repository), listSnapshots(repository, warnOfDamage(output))]);
  const result = await backUp({
    repository,
    address,
    laneEntry,
    warmLanes: what.warm,
    index,
    snapshots,
    project: configuration.project,
    volumes,
    run,
    class: what.class,
    consistency: 'crash',
    tags: options.tag,
    programVersion: `holdfast ${packageVersion()}`,
    lanes,
    compressionLevel,
    dryRun: options.dryRun ?? false,
    report: output.report,
    signal,
    clock: systemClock,
  });
  for (const { error } of result.failures) output.report({ event: 'error', error: errorDocument(error) });
  return result.exitCode;
}

const warnOfDamage = (output: CommandContext['output']) => (name: string) =>
  output.warning(`the snapshot file ${name} is damaged; run \`holdfast check\``);
