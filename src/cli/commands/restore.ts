import { join, resolve } from 'node:path';
import type { Configuration } from '../../control/configuration/configuration.ts';
import type { Choice } from '../../control/restore-points.ts';
import type { WarmLanes } from '../../engine/lanes/pool.ts';
import type { LaneStart } from '../../engine/lanes/protocol.ts';
import { placeInVolume } from '../../engine/restore/in-place.ts';
import type { Overwrite, OwnerOptions } from '../../engine/restore/options.ts';
import { restoreVolume } from '../../engine/restore/restore.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { shortId } from '../../model/ids.ts';
import { rawFromText } from '../../model/raw-bytes.ts';
import { isRepaired, type StoredSnapshot } from '../../model/snapshot.ts';
import { createDirectoryPlatform } from '../../platform/directory/directory.ts';
import { createBlobReader } from '../../repository/blob-reader.ts';
import { loadIndex } from '../../repository/load-index.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import { chooseSnapshots } from '../choose-snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { configureLanes, type LaneBudget, type LaneOptions, parseLanes } from '../lane-options.ts';
import { findProject, type Session, selectVolumes, systemClock, withRepository, withWarmLanes } from '../session.ts';

type Options = LaneOptions & {
  at?: string;
  to?: string;
  path?: string;
  delete?: boolean;
  overwrite?: string;
  verify?: boolean;
  dryRun?: boolean;
  owner?: string;
  mapUid: string[];
  mapGid: string[];
  sparse: boolean;
  lock: boolean;
};

/** More planned work than this makes a restore no quicker. */
const plannedBytes = 16 * 1024 * 1024;

const overwrites: readonly string[] = ['always', 'if-changed', 'if-newer', 'never'] satisfies Overwrite[];
const collect = (value: string, previous: string[]) => [...previous, value];

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('[volume...]', 'volumes to restore; all of the restore point when none is named')
      .option('--at <time|snapshot|latest>', 'the restore point at or before this time (`2 hours ago`), or a snapshot', 'latest')
      .option(
        '--to <directory>',
        'restore to this directory instead of into the volumes; several volumes go to directories of their names in it',
      )
      .option(
        '--path <subtree>',
        "restore only this file or directory of the volume, to where it was; with --to, a directory's content goes into that directory",
      )
      .option('--delete', 'remove what is in the target and not in the snapshot')
      .option('--overwrite <when>', 'always, if-changed, if-newer or never', 'always')
      .option('--verify', 'read everything back and compare it')
      .option('-n, --dry-run', 'write nothing; say what would be done')
      .option('--owner <uid:gid>', 'give everything to this owner')
      .option('--map-uid <from:to>', 'give what belonged to one user to another (repeatable)', collect, [])
      .option('--map-gid <from:to>', 'the same for groups (repeatable)', collect, [])
      .option('--no-sparse', 'write zeros instead of making holes')
      .option('--no-lock', 'write no lock: for a repository that cannot be written, while nobody prunes it');
    configureLanes(commander);
    commander.addHelpText(
      'after',
      '\nAn interrupted restore is carried on by running it again: it verifies what is there and fetches the rest.',
    );
  },

  async run(context) {
    const settings = parseOptions(context.options);
    return withWarmLanes('restore', settings.lanes, (warm) => restoreChosen(context, settings, warm));
  },
};

async function restoreChosen(context: CommandContext<Options>, settings: Settings, warm: WarmLanes): Promise<number> {
  const { options, output, operands } = context;
  const configuration = await findProject(context);
  if (configuration) await selectVolumes(configuration, operands);
  const startedMs = performance.now();
  return withRepository(context, configuration, options.dryRun || !options.lock ? 'none' : 'shared', async (session) => {
    const snapshots = await listSnapshots(session.repository, (name) => output.warning(`the snapshot file ${name} is damaged`));
    const choices = chooseSnapshots({ snapshots, configuration, volumes: operands, at: options.at, now: systemClock.now() });
    if (settings.path !== undefined && choices.length !== 1) {
      throw new HoldfastError('usage', '--path needs exactly one volume', { remedy: 'name the volume that the path is in' });
    }
    const run = choices.map(({ snapshot }) => shortId(snapshot.id)).join(' ');
    output.report({ event: 'run-started', operation: 'restore', run, volumes: choices.map(({ volume }) => volume) });
    const exitCode = await restoreAll(context, session, configuration, choices, settings, warm);
    output.report({ event: 'run-finished', operation: 'restore', run, durationMs: Math.round(performance.now() - startedMs), exitCode });
    return exitCode;
  });
}

type Settings = OwnerOptions & LaneBudget & { overwrite: Overwrite; path: string | undefined };

function parseOptions(options: Options): Settings {
  const overwrite = options.overwrite ?? 'always';
  if (!overwrites.includes(overwrite)) {
    throw new HoldfastError('usage', `--overwrite takes ${overwrites.join(', ')}, not ${JSON.stringify(overwrite)}`);
  }
  const owner = options.owner === undefined ? undefined : parseIdPair(options.owner, '--owner', 'UID:GID');
  return {
    overwrite: overwrite as Overwrite,
    ...parseLanes(options),
    path: options.path?.replace(/^\/+|\/+$/g, ''),
    ...(owner ? { owner: { uid: owner[0], gid: owner[1] } } : {}),
    mapUid: new Map(options.mapUid.map((text) => parseIdPair(text, '--map-uid', 'FROM:TO'))),
    mapGid: new Map(options.mapGid.map((text) => parseIdPair(text, '--map-gid', 'FROM:TO'))),
  };
}

function parseIdPair(text: string, option: string, shape: string): [number, number] {
  const parts = /^(\d{1,10}):(\d{1,10})$/.exec(text)?.slice(1).map(Number);
  if (parts?.every((id) => id < 2 ** 32 - 1)) return parts as [number, number];
  throw new HoldfastError('usage', `${option} takes ${shape}, two numbers, not ${JSON.stringify(text)}`);
}

async function restoreAll(
  context: CommandContext<Options>,
  { repository, address, signal }: Session,
  configuration: Configuration | undefined,
  choices: readonly Choice[],
  settings: Settings,
  warm: WarmLanes,
): Promise<number> {
  const { options, output } = context;
  const targets = await targetsOf(context, configuration, choices);
  const index = await loadIndex(repository);
  const { config, masterKey } = repository;
  const start: LaneStart = { job: 'restore', address, config, masterKey, index: index.memory, settings: undefined };
  const pool = warm.start(start, () => undefined);
  let exitCode: number = exitCodes.done;
  try {
    for (const { volume, snapshot, fromEarlierPoint } of choices) {
      if (isRepaired(snapshot)) output.warning(repairedWarning(volume, snapshot));
      if (fromEarlierPoint) output.warning(`${volume} is not in the newest restore point: it is restored from ${snapshot.time}`);
      const { lanes: _, memoryBytes, path, ...rest } = settings;
      const subtree = rawFromText(path ?? '');
      const dryRun = options.dryRun ?? false;
      const directory = targets.get(volume) as string;
      let refused = 0;
      const warn = (warning: string) => {
        refused++;
        output.report({ event: 'warning', volume, warning, count: 1 });
      };
      const blobs = createBlobReader({ storage: repository.storage, seal: repository.seal, index });
      const { problems, warnings } = await restoreVolume({
        repository,
        index,
        lanes: pool,
        snapshot,
        volume,
        // `--to` says where the content goes; without it, everything goes to where it was.
        target: directory,
        ...(options.to === undefined && {
          beneath: await placeInVolume({ blobs, snapshot, volume, directory, subtree, dryRun, warn, ...rest }),
        }),
        subtree,
        ...rest,
        delete: options.delete ?? false,
        verify: options.verify ?? false,
        dryRun,
        sparse: options.sparse,
        ...(memoryBytes === undefined ? {} : { memoryBytes: Math.min(memoryBytes / 4, plannedBytes) }),
        report: output.report,
        signal,
      });
      if (problems > 0) exitCode = exitCodes.failed;
      else if (warnings + refused > 0 && exitCode === exitCodes.done) exitCode = exitCodes.incomplete;
    }
  } finally {
    await pool.close();
  }
  return exitCode;
}

/** A restore of such a snapshot ends well: nothing else says what is missing. */
function repairedWarning(volume: string, { id, original }: StoredSnapshot): string {
  const of = original === undefined ? 'a damaged one' : `the damaged ${shortId(original)}`;
  return `${volume}: snapshot ${shortId(id)} is repaired: it lacks what was lost of ${of}, files may be shortened and directories empty`;
}

/** Where each volume goes: its own place, or below `--to`. */
async function targetsOf(
  { options, cwd, operands }: CommandContext<Options>,
  configuration: Configuration | undefined,
  choices: readonly Choice[],
): Promise<Map<string, string>> {
  if (options.to !== undefined) {
    const to = resolve(cwd, options.to);
    const single = choices.length === 1 && (operands.length === 1 || configuration === undefined);
    return new Map(choices.map(({ volume }) => [volume, single ? to : join(to, volume)]));
  }
  if (configuration === undefined) throw new HoldfastError('usage', 'without a holdfast.yaml, a restore needs --to DIRECTORY');
  const platform = createDirectoryPlatform();
  const targets = new Map<string, string>();
  for (const { volume } of choices) {
    const known = configuration.volumes.find(({ name }) => name === volume);
    if (known === undefined) {
      throw new HoldfastError('unknown-volume', `volume ${volume} is not in ${configuration.file}`, {
        remedy: 'say where to restore it with --to DIRECTORY',
      });
    }
    targets.set(volume, (await platform.locate({ name: volume, project: configuration.project, source: known.source })).directory);
  }
  return targets;
}
