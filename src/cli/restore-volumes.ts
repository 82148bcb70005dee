/** The restore of chosen snapshots, each to its target: a directory by the lanes, any other volume through the Engine. */
import type { LanePool, WarmLanes } from '../engine/lanes/pool.ts';
import type { LaneStart } from '../engine/lanes/protocol.ts';
import { placeInVolume } from '../engine/restore/in-place.ts';
import type { Overwrite, OwnerOptions } from '../engine/restore/options.ts';
import { restoreVolume } from '../engine/restore/restore.ts';
import { restoreStream } from '../engine/restore/restore-stream.ts';
import { exitCodes, HoldfastError } from '../model/errors.ts';
import type { RestoreResult } from '../model/events.ts';
import { shortId } from '../model/ids.ts';
import { formatSize } from '../model/quantities.ts';
import { rawFromText } from '../model/raw-bytes.ts';
import { isRepaired, type StoredSnapshot } from '../model/snapshot.ts';
import { BlobIndex } from '../repository/blob-index.ts';
import { createBlobReader } from '../repository/blob-reader.ts';
import { loadIndex } from '../repository/load-index.ts';
import type { CommandContext } from './command.ts';
import { reach } from './docker-access.ts';
import type { LaneBudget } from './lane-options.ts';
import type { Target, TargetOptions, Targets } from './restore-targets.ts';
import type { Session } from './session.ts';

export type RestoreChoices = TargetOptions & { delete?: boolean; verify?: boolean; dryRun?: boolean; sparse: boolean };
export type RestoreSettings = OwnerOptions & LaneBudget & { overwrite: Overwrite; path: string | undefined };
type Context = CommandContext<RestoreChoices>;

/** More planned work than this makes a restore no quicker. */
const plannedBytes = 16 * 1024 * 1024;

/** Says which volumes are written as a whole. @throws `usage` for what that cannot do. */
export function tellOfStreams({ options, output }: Context, targets: readonly Target[], { overwrite }: RestoreSettings): void {
  for (const { choice, engineVolume } of targets.filter(({ remote }) => remote)) {
    if (overwrite !== 'always') {
      throw new HoldfastError(
        'usage',
        `--overwrite ${overwrite} needs the directory of volume ${choice.volume}, which is not reached from here`,
        {
          volume: choice.volume,
          remedy: 'run as root on the host of the Engine, or leave --overwrite out: the volume is then written anew',
        },
      );
    }
    const { totalFilesProcessed: files, totalBytesProcessed: bytes } = choice.snapshot.summary ?? {};
    const size = files === undefined || bytes === undefined ? '' : ` (${files} files, ${formatSize(bytes)})`;
    if (options.dryRun) output.line(`would write ${engineVolume} anew through the Engine${size}: its directory is not reached from here`);
    else output.note(`${choice.volume}: written anew through the Engine${size}, as its directory is not reached from here`);
  }
}

/** Opens the volumes that are there and have no directory. */
export async function openStreams({ targets, docker }: Targets): Promise<void> {
  for (const target of targets) {
    if (docker !== undefined && target.remote) target.stream ??= await docker.access.writerOf(target.engineVolume as string);
  }
}

/** Makes the volumes that are missing; then all have a directory, or are opened. */
export async function makeVolumes({ targets, docker }: Targets): Promise<Target[]> {
  if (docker === undefined || docker.plan.create.length === 0) return targets;
  const { access, plan } = docker;
  for (const volume of plan.create) await access.volumes.create(volume);
  const { volumes } = await access.containers.inventory();
  const reached: Target[] = [];
  for (const target of targets) {
    const isReached = target.directory !== undefined || target.stream !== undefined;
    const made = isReached ? undefined : volumes.find(({ name }) => name === target.engineVolume);
    if (!isReached && made === undefined) {
      throw new HoldfastError('volume-missing', `the Docker volume ${target.engineVolume} was made, and is gone`, {
        volume: target.choice.volume,
      });
    }
    reached.push(made === undefined ? target : ({ ...target, ...(await reach(access, made)) } as Target));
  }
  return reached;
}

/** @returns the exit code: `failed` when anything is not as in the snapshots, `incomplete` when something could not be set. */
export async function restoreAll(
  context: Context,
  session: Session,
  { targets, inPlace }: Pick<Targets, 'targets' | 'inPlace'>,
  settings: RestoreSettings,
  warm: WarmLanes,
): Promise<number> {
  const { repository, address } = session;
  const index = new BlobIndex();
  const { config, masterKey } = repository;
  const start: LaneStart = { job: 'restore', address, config, masterKey, index: index.memory, settings: undefined };
  const pool = warm.start(start, () => undefined);
  let exitCode: number = exitCodes.done;
  try {
    // While the lanes open the storage.
    await loadIndex(repository, undefined, index);
    for (const target of targets) {
      const { volume, snapshot, fromEarlierPoint } = target.choice;
      if (isRepaired(snapshot)) context.output.warning(repairedWarning(volume, snapshot));
      if (fromEarlierPoint) context.output.warning(`${volume} is not in the newest restore point: it is restored from ${snapshot.time}`);
      const work = { context, session, index, pool, inPlace, settings };
      const { problems, warnings } = await (target.stream === undefined ? toDirectory(target, work) : throughEngine(target, work));
      if (problems > 0) exitCode = exitCodes.failed;
      else if (warnings > 0 && exitCode === exitCodes.done) exitCode = exitCodes.incomplete;
    }
  } finally {
    await pool.close();
  }
  return exitCode;
}

type Work = {
  context: Context;
  session: Session;
  index: BlobIndex;
  pool: LanePool;
  inPlace: boolean;
  settings: RestoreSettings;
};
type Outcome = Pick<RestoreResult, 'problems' | 'warnings'>;

async function throughEngine(
  { choice: { volume, snapshot }, stream }: Target,
  { context, session, index, settings }: Work,
): Promise<Outcome> {
  const { repository, signal } = session;
  const { owner, mapUid, mapGid, path } = settings;
  return restoreStream({
    ...{ repository, index, snapshot, volume, signal },
    target: stream as NonNullable<Target['stream']>,
    subtree: rawFromText(path ?? ''),
    ...(owner && { owner }),
    ...(mapUid && { mapUid }),
    ...(mapGid && { mapGid }),
    delete: context.options.delete ?? false,
    verify: context.options.verify ?? false,
    report: context.output.report,
  });
}

async function toDirectory(target: Target, { context, session, index, pool, inPlace, settings }: Work): Promise<Outcome> {
  const { options, output } = context;
  const { repository, signal } = session;
  const { volume, snapshot } = target.choice;
  const { lanes: _, memoryBytes, path, ...rest } = settings;
  const subtree = rawFromText(path ?? '');
  const dryRun = options.dryRun ?? false;
  const directory = target.directory as string;
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
    ...(inPlace && {
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
  return { problems, warnings: warnings + refused };
}

/** A restore of such a snapshot ends well: nothing else says what is missing. */
function repairedWarning(volume: string, { id, original }: StoredSnapshot): string {
  const of = original === undefined ? 'a damaged one' : `the damaged ${shortId(original)}`;
  return `${volume}: snapshot ${shortId(id)} is repaired: it lacks what was lost of ${of}, files may be shortened and directories empty`;
}
