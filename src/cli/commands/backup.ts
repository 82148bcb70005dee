import { randomBytes } from 'node:crypto';
import type { Configuration, VolumeConfiguration } from '../../control/configuration/configuration.ts';
import type { Cut } from '../../control/cut/cut.ts';
import { type BackupOptions, backUp } from '../../engine/backup/backup.ts';
import type { VolumeToBackUp } from '../../engine/backup/read-volume.ts';
import type { WarmLanes } from '../../engine/lanes/pool.ts';
import { canSettle, settleMappedWrites } from '../../engine/source/mapped-writes.ts';
import { errorDocument, exitCodes, HoldfastError } from '../../model/errors.ts';
import { parseDuration } from '../../model/quantities.ts';
import type { SnapshotClass } from '../../model/snapshot.ts';
import type { Platform, VolumeContent } from '../../platform/platform.ts';
import { loadIndex } from '../../repository/load-index.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { type CutSettings, type OpenCut, type PreparedVolumes, wantsEngine, withConsistentCut } from '../consistent-cut.ts';
import { completeProject, tellLabels } from '../labelled-project.ts';
import { configureLanes, type LaneOptions, parseLanes } from '../lane-options.ts';
import { createPlatforms, type Platforms } from '../platforms.ts';
import { requireProject, selectVolumes } from '../project.ts';
import { laneEntry, type Session, withRepository, withWarmLanes } from '../session.ts';
import { stateFolder } from '../state-folder.ts';
import { systemClock } from '../system-clock.ts';
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
  cut?: string;
  warmPass: boolean;
  maxDowntime: string;
  stopTimeout: string;
  healthTimeout: string;
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
      .option('--compression <level>', 'fastest, auto, better or max', 'auto')
      .option('--cut <way>', 'how volumes are read that containers use: auto, live, pause, stop or dump; instead of holdfast.yaml')
      .option('--no-warm-pass', 'read everything while containers are halted, not only what changed since a pass before')
      .option('--max-downtime <duration>', 'containers come back after that, whatever is not read yet', '5m')
      .option('--stop-timeout <duration>', 'how long a container has to stop that does not say so itself (stop_grace_period)', '30s')
      .option('--health-timeout <duration>', 'how long a container may take to be healthy again', '2m');
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
  const declared = await requireProject(context);
  const platforms = createPlatforms(context, declared);
  const contents: VolumeContent[] = [];
  try {
    const project = await completeProject(declared, platforms);
    tellLabels(project, output);
    const { configuration } = project;
    const chosen = await selectVolumes(configuration, operands);
    const volumes = await locate(configuration, chosen, options, output.report, async (reference) => {
      const content = await platforms.open(reference);
      contents.push(content);
      return content;
    });
    return await backUpLocated(context, settings, warm, { configuration, chosen, volumes, platforms });
  } finally {
    await Promise.allSettled(contents.map((content) => (content.way === 'directory' ? undefined : content.close())));
    platforms.close();
  }
}

async function backUpLocated(
  context: CommandContext<Options>,
  settings: Settings,
  warm: WarmLanes,
  {
    configuration,
    chosen,
    volumes,
    platforms,
  }: { configuration: Configuration; chosen: readonly VolumeConfiguration[]; volumes: Located; platforms: Platforms },
): Promise<number> {
  const { options, output } = context;
  const run = runId(systemClock.now());
  const startedMs = performance.now();
  output.report({ event: 'run-started', operation: 'backup', run, volumes: chosen.map(({ name }) => name) });
  const connected = wantsEngine(configuration, chosen, settings.cut.way) ? await platforms.docker() : undefined;
  const cut = await withConsistentCut(
    {
      context,
      configuration,
      chosen,
      volumes: volumes.found,
      run,
      dryRun: options.dryRun ?? false,
      settings: settings.cut,
      stateFolder: stateFolder(context.environment),
      containers: connected && (await import('../../platform/docker/containers.ts')).createDockerContainers(connected.engine),
    },
    (open) =>
      withRepository(context, configuration, options.dryRun ? 'none' : 'shared', async (session) => {
        const result = await runBackup(context, session, { configuration, open, volumes: volumes.found, run, warm, ...settings });
        return { result, failed: result !== exitCodes.done && result !== exitCodes.incomplete };
      }),
  );
  const finalExit = volumes.failed || cut.failed ? exitCodes.failed : cut.result;
  output.report({
    event: 'run-finished',
    operation: 'backup',
    run,
    durationMs: Math.round(performance.now() - startedMs),
    exitCode: finalExit,
  });
  return finalExit;
}

type Settings = { class: SnapshotClass; lanes: number; compressionLevel: number; cut: CutSettings };

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
  return { class: snapshotClass, lanes: parseLanes(options).lanes, compressionLevel, cut: parseCut(options) };
}

const ways = ['auto', 'live', 'pause', 'stop', 'dump'] as const;

function parseCut({ cut, maxDowntime, stopTimeout, healthTimeout }: Options): CutSettings {
  const way = ways.find((known) => known === cut);
  if (cut !== undefined && way === undefined)
    throw new HoldfastError('usage', `there is no cut "${cut}"`, { remedy: `use one of ${ways.join(', ')}` });
  return {
    way,
    maxDowntimeMs: durationOf('--max-downtime', maxDowntime),
    stopTimeoutMs: durationOf('--stop-timeout', stopTimeout),
    healthTimeoutMs: durationOf('--health-timeout', healthTimeout),
  };
}

function durationOf(option: string, text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs !== undefined) return durationMs;
  throw new HoldfastError('usage', `${option} takes a duration, not ${JSON.stringify(text)}`, { remedy: `for example: ${option} 30s` });
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
  open: Platform['open'],
): Promise<Located> {
  const found: VolumeToBackUp[] = [];
  let failed = false;
  for (const volume of volumes) {
    try {
      const content = await open({ name: volume.name, project: configuration.project, source: volume.source });
      found.push({
        name: volume.name,
        directory: content.directory,
        ...(content.way === 'directory' ? {} : { stream: content }),
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
  what: Settings & { configuration: Configuration; open: OpenCut; volumes: VolumeToBackUp[]; run: string; warm: WarmLanes },
): Promise<number> {
  const { repository, address, signal } = session;
  const { configuration, open, volumes, run, lanes, compressionLevel } = what;
  const { options, output } = context;
  const [index, snapshots] = await Promise.all([loadIndex(repository), listSnapshots(repository, warnOfDamage(output))]);
  const all: Fixed = {
    repository,
    address,
    laneEntry,
    index,
    snapshots,
    project: configuration.project,
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
  };
  if (!open.halts || !options.warmPass) return readCut(all, volumes, what.warm, open, output.report);
  // Those of the second pass load during the first: nothing is to be halted for that.
  return withWarmLanes('backup', lanes, async (fresh) => readCut(all, await readWarm(all, volumes, what.warm), fresh, open, output.report));
}

type Fixed = Omit<BackupOptions, 'volumes' | 'warmLanes'>;
type Report = CommandContext['output']['report'];

/**
 * Stores all that is in the volumes while everything runs, so that little is left to read when it is halted. A stream can be read only once, and
 * is left to that time.
 */
async function readWarm(all: Fixed, volumes: readonly VolumeToBackUp[], warmLanes: WarmLanes): Promise<VolumeToBackUp[]> {
  // Files that were touched while their content was read, or in the tick of the clock before, are read again.
  const distrustedFromSec = Math.floor(all.clock.now().getTime() / 1000) - 1;
  const directories: VolumeToBackUp[] = [];
  for (const volume of volumes) if (volume.stream === undefined && (await canSettle(volume.directory))) directories.push(volume);
  // After that moment: what is written from here on through mapped memory shows in times, which the second pass compares.
  await settle(directories, all.report);
  // What fails or changes now is told of, and judged, when it counts.
  const report: Report = (event) => {
    if (event.event === 'progress') all.report(event);
  };
  const { snapshots } = await backUp({ ...all, volumes: directories, warmLanes, withoutSnapshots: true, report });
  return volumes.map((volume) => {
    const pass = snapshots.find((candidate) => candidate.volume === volume.name);
    return pass === undefined ? volume : { ...volume, warmPass: pass, changes: { ...volume.changes, force: false, distrustedFromSec } };
  });
}

/** Where nothing is ever flushed, times tell nothing of what is written through mapped memory: everything is read. */
async function distrustMemory(volumes: readonly VolumeToBackUp[]): Promise<VolumeToBackUp[]> {
  const trusted = await Promise.all(volumes.map(({ stream, directory }) => stream !== undefined || canSettle(directory)));
  return volumes.map((volume, i) => (trusted[i] ? volume : { ...volume, changes: { ...volume.changes, force: true } }));
}

async function readCut(
  all: Fixed,
  volumes: readonly VolumeToBackUp[],
  warmLanes: WarmLanes,
  open: OpenCut,
  report: Report,
): Promise<number> {
  const prepared = await open.prepare(open.halts ? await distrustMemory(volumes) : volumes);
  if (prepared.volumes.length === 0) return exitCodes.failed;
  const halting = open.cut && settlingCut(open.cut, open.pauses ? prepared.volumes : [], report);
  const result = await backUp({ ...all, cut: withGrades(halting, prepared.grades), volumes: prepared.volumes, warmLanes });
  for (const { error } of result.failures) report({ event: 'error', error: errorDocument(error) });
  return prepared.failed ? exitCodes.failed : result.exitCode;
}

/** A cut that also tells the grades that were known before it began. */
const withGrades = (cut: BackupOptions['cut'], grades: PreparedVolumes['grades']): NonNullable<BackupOptions['cut']> => ({
  begin: async () => cut?.begin(),
  async end() {
    const cuts = new Map(await cut?.end());
    for (const [volume, consistency] of grades) cuts.set(volume, { ...cuts.get(volume), consistency });
    return cuts;
  },
});

/**
 * Programs that are paused keep what they have mapped, and go on writing to it: what is read meanwhile must be settled, so that the next backup sees
 * that they did. Most of it is flushed before they are paused.
 */
function settlingCut(cut: Cut, volumes: readonly VolumeToBackUp[], report: Report): NonNullable<BackupOptions['cut']> {
  return {
    async begin() {
      await settle(volumes, report);
      await cut.begin();
      await settle(volumes, report);
    },
    end: () => cut.end(),
  };
}

async function settle(volumes: readonly VolumeToBackUp[], report: Report): Promise<void> {
  const directories = volumes.filter(({ stream }) => stream === undefined).map(({ directory }) => directory);
  if (await settleMappedWrites(directories)) return;
  report({
    event: 'warning',
    volume: volumes.map(({ name }) => name).join(', '),
    warning: 'the kernel cannot flush a file system; what programs write through mapped memory may be missed',
    count: 1,
  });
}

const warnOfDamage = (output: CommandContext['output']) => (name: string) =>
  output.warning(`the snapshot file ${name} is damaged; run \`holdfast check\``);
