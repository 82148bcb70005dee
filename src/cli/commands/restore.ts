import type { Configuration } from '../../control/configuration/configuration.ts';
import { refuseTooLittleSpace } from '../../control/restoring/plan-restore.ts';
import { refuseTransient } from '../../control/restoring/start-again.ts';
import type { WarmLanes } from '../../engine/lanes/pool.ts';
import type { Overwrite } from '../../engine/restore/options.ts';
import { HoldfastError } from '../../model/errors.ts';
import { shortId } from '../../model/ids.ts';
import { parseDuration } from '../../model/quantities.ts';
import { identityFromTags, type StoredSnapshot } from '../../model/snapshot.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import { chooseSnapshots } from '../choose-snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { beforeRestoreTag } from '../guard-snapshots.ts';
import { completedConfiguration } from '../labelled-project.ts';
import { configureLanes, type LaneOptions, parseLanes } from '../lane-options.ts';
import { findProject, selectVolumes } from '../project.ts';
import { guardTargets, isEmptyDirectory, tellUndo } from '../restore-guard.ts';
import { whileStopped } from '../restore-offline.ts';
import { findTargets, spaceNeeds, type TargetOptions, type Targets } from '../restore-targets.ts';
import { makeVolumes, openStreams, type RestoreSettings, restoreAll, tellOfStreams } from '../restore-volumes.ts';
import { type Session, withRepository, withWarmLanes } from '../session.ts';
import { systemClock } from '../system-clock.ts';

type Options = LaneOptions &
  TargetOptions & {
    at?: string;
    path?: string;
    delete?: boolean;
    overwrite?: string;
    verify?: boolean;
    dryRun?: boolean;
    ignoreSpace?: boolean;
    owner?: string;
    mapUid: string[];
    mapGid: string[];
    sparse: boolean;
    lock: boolean;
    guard: boolean;
    healthTimeout?: string;
  };

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
      .option('--to-volume <name>', 'restore one volume into this Docker volume, which is made when it is not there')
      .option('--to-project <name>', 'restore into the Docker volumes of another Compose project, which are made when they are not there')
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
      .option('--no-guard', 'take no guard snapshots of what is about to be overwritten')
      .option('--ignore-space', 'begin though it may not fit: files with holes take less than they look')
      .option('--health-timeout <duration>', 'how long each container may take to be healthy again', '2m')
      .option('--no-sparse', 'write zeros instead of making holes')
      .option('--no-lock', 'write no lock: for a repository that cannot be written, while nobody prunes it');
    configureLanes(commander);
    commander.addHelpText(
      'after',
      '\nContainers that use the volumes are stopped, and started again. An interrupted restore is carried on by running it again: it verifies what is there and fetches the rest.',
    );
  },

  async run(context) {
    const settings = parseOptions(context.options);
    return withWarmLanes('restore', settings.lanes, (warm) => restoreChosen(context, settings, warm));
  },
};

async function restoreChosen(context: CommandContext<Options>, settings: Settings, warm: WarmLanes): Promise<number> {
  const { options, output, operands } = context;
  const declared = await findProject(context);
  // Volumes that only labels declare are restored as the others are.
  const configuration = declared && (await completedConfiguration(context, declared));
  if (configuration) await selectVolumes(configuration, operands);
  const startedMs = performance.now();
  const lock = options.dryRun || !options.lock ? 'none' : 'shared';
  const work = async (session: Session) => {
    const snapshots = await listSnapshots(session.repository, (name) => output.warning(`the snapshot file ${name} is damaged`));
    const candidates = withoutGuardsOfRestores(snapshots, options.at);
    const choices = chooseSnapshots({ snapshots: candidates, configuration, volumes: operands, at: options.at, now: systemClock.now() });
    if (settings.path !== undefined && choices.length !== 1) {
      throw new HoldfastError('usage', '--path needs exactly one volume', { remedy: 'name the volume that the path is in' });
    }
    const run = choices.map(({ snapshot }) => shortId(snapshot.id)).join(' ');
    output.report({ event: 'run-started', operation: 'restore', run, volumes: choices.map(({ volume }) => volume) });
    const found = await findTargets(context, configuration, choices);
    let exitCode: number;
    try {
      exitCode = await restoreTo(context, session, { configuration, snapshots, found }, settings, warm);
    } finally {
      await found.docker?.access.close();
    }
    output.report({ event: 'run-finished', operation: 'restore', run, durationMs: Math.round(performance.now() - startedMs), exitCode });
    return exitCode;
  };
  return withRepository(context, configuration, lock, work, { listsFirst: ['snapshots', 'index'] });
}

type Settings = RestoreSettings & { healthTimeoutMs: number };

function parseOptions(options: Options): Settings {
  const overwrite = options.overwrite ?? 'always';
  if (!overwrites.includes(overwrite)) {
    throw new HoldfastError('usage', `--overwrite takes ${overwrites.join(', ')}, not ${JSON.stringify(overwrite)}`);
  }
  const healthTimeoutMs = parseDuration(options.healthTimeout ?? '2m');
  if (healthTimeoutMs === undefined) {
    throw new HoldfastError('usage', `--health-timeout takes a duration, not ${JSON.stringify(options.healthTimeout)}`);
  }
  const owner = options.owner === undefined ? undefined : parseIdPair(options.owner, '--owner', 'UID:GID');
  return {
    overwrite: overwrite as Overwrite,
    healthTimeoutMs,
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

/**
 * A restore takes guard snapshots of what it overwrites. Who runs the same restore again, for the newest state or that of a time, means what
 * it meant before: not them, unless it names one.
 */
function withoutGuardsOfRestores(snapshots: readonly StoredSnapshot[], at: string | undefined): StoredSnapshot[] {
  return snapshots.filter(({ id, tags }) => {
    const named = at !== undefined && at !== '' && (id.startsWith(at) || tags.includes(`run=${at}`));
    return named || !tags.includes(beforeRestoreTag);
  });
}

type Context = CommandContext<Options>;

type Chosen = {
  configuration: Configuration | undefined;
  /** All of the repository. */
  snapshots: readonly StoredSnapshot[];
  found: Targets;
};

/** Looks for what speaks against it, and restores in the frame that the targets need. */
async function restoreTo(context: Context, session: Session, chosen: Chosen, settings: Settings, warm: WarmLanes): Promise<number> {
  const { options, output } = context;
  const { configuration, found } = chosen;
  const { targets, docker } = found;
  for (const note of docker?.plan.notes ?? []) output.warning(note);
  await warnOfOwners(context, found);
  if (!options.dryRun && !options.ignoreSpace && settings.path === undefined) await refuseWhatCannotFit(chosen);
  tellOfStreams(context, targets, settings);
  if (options.dryRun) {
    for (const { name } of docker?.plan.create ?? []) output.line(`would make the Docker volume ${name}`);
    const stop = docker?.plan.stop.flat() ?? [];
    if (docker !== undefined) await refuseTransient(docker.access.containers, docker.inventory, stop);
    for (const { name } of stop) output.line(`would stop container ${name}, and start it again`);
    return restoreAll(context, session, { ...found, targets: targets.filter(({ directory }) => directory !== undefined) }, settings, warm);
  }
  // An Engine that refuses the means does so before anything is stopped.
  await openStreams(found);
  const prepare = async (before: string | undefined) => {
    const guard = await guardTargets(context, session, configuration, found, settings);
    const run = guard?.run ?? before;
    if (run !== undefined) tellUndo(context, found, run, guard, settings);
    return run;
  };
  const restore = async () => restoreAll(context, session, { ...found, targets: await makeVolumes(found) }, settings, warm);
  if (docker === undefined) {
    await prepare(undefined);
    return restore();
  }
  const volumes = targets.flatMap(({ engineVolume }) => engineVolume ?? []);
  const { healthTimeoutMs } = settings;
  return whileStopped(context, docker, volumes, { prepare, restore }, { signal: session.signal, healthTimeoutMs });
}

async function refuseWhatCannotFit({ configuration, snapshots, found: { targets } }: Chosen): Promise<void> {
  // What the newest snapshot of a volume holds is about what is there; that of a volume which nobody saved before is not known.
  const present = new Map<string, number>();
  for (const { tags, summary } of snapshots) {
    const identity = identityFromTags(tags);
    if (identity?.project === configuration?.project && identity !== undefined)
      present.set(identity.volume, summary?.totalBytesProcessed ?? 0);
  }
  const empty = new Set(targets.filter(({ choice, directory }) => isEmptyDirectory(choice.volume, directory)));
  refuseTooLittleSpace(await spaceNeeds(targets, (target) => (empty.has(target) ? 0 : (present.get(target.choice.volume) ?? 0))));
}

/** Programs that run as another user than whom the restored files belong to may not be able to write them. */
async function warnOfOwners({ options, output }: Context, { targets, docker }: Targets): Promise<void> {
  if (docker === undefined || options.owner !== undefined || options.path !== undefined) return;
  const { access, inventory } = docker;
  for (const { choice, engineVolume } of targets) {
    const { root } = choice.snapshot;
    for (const { container, readOnly } of inventory.volumes.find(({ name }) => name === engineVolume)?.users ?? []) {
      const user = readOnly ? undefined : await access.volumes.userOfImage(container.image);
      // Names are those of the image's own accounts, which are not known here.
      const uid = Number(/^(\d+)(?::|$)/.exec(user ?? '')?.[1] ?? 0);
      if (uid === 0 || root === undefined || root.uid === uid || (root.mode & 0o002) !== 0) continue;
      const owner = `${root.uid}:${root.gid}`;
      output.warning(
        `${choice.volume}: container ${container.name} runs as user ${user}, and the snapshot's files belong to ${owner}; see --owner and --map-uid`,
      );
    }
  }
}
