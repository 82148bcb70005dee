/** What most commands begin with: the configuration, if there is one, and the repository, opened. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Configuration, VolumeConfiguration } from '../control/configuration/configuration.ts';
import { type WarmLanes, warmLanes } from '../engine/lanes/pool.ts';
import type { LaneJob } from '../engine/lanes/protocol.ts';
import type { Clock } from '../model/clock.ts';
import { HoldfastError } from '../model/errors.ts';
import { lockRepository } from '../repository/locks.ts';
import { openRepository, type Repository } from '../repository/repository.ts';
import type { StorageAddress } from '../storage/storage.ts';
import { addressOf } from './address.ts';
import type { CommandContext } from './command.ts';
import { openStorage } from './compose.ts';
import { findPassword } from './password.ts';

export const systemClock: Clock = {
  now: () => new Date(),
  sleep: (durationMs, signal) => setTimeout(durationMs, undefined, { ref: false, ...(signal ? { signal } : {}) }).catch(() => undefined),
};

/** Module of the lanes' threads, for the engine. */
export const laneEntry = new URL('./lane.ts', import.meta.url);

type Context = CommandContext<unknown>;

/** The configuration, or undefined when there is none and none was named. @throws `configuration`, `configuration-missing`. */
export async function findProject(context: Context): Promise<Configuration | undefined> {
  const { cwd, global } = context;
  const { findConfiguration } = await import('../control/configuration/find.ts');
  const file = global.config === undefined ? await findConfiguration(cwd) : resolve(cwd, global.config);
  if (file === undefined) return undefined;
  if (global.config !== undefined && !(await exists(file)))
    throw new HoldfastError('configuration-missing', `there is no file ${file}`, { file });
  const { loadConfiguration } = await import('../control/configuration/load.ts');
  return loadConfiguration(file);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** @throws `configuration-missing` as well. */
export async function requireProject(context: Context): Promise<Configuration> {
  const project = await findProject(context);
  if (project === undefined) throw new HoldfastError('configuration-missing', `there is no holdfast.yaml in ${context.cwd} or above`);
  return project;
}

/** The volumes that were named, or all. @throws `unknown-volume` with the nearest name. */
export async function selectVolumes(configuration: Configuration, names: readonly string[]): Promise<VolumeConfiguration[]> {
  if (names.length === 0) return configuration.volumes;
  const { nearest } = await import('../control/configuration/nearest.ts');
  return [...new Set(names)].map((name) => {
    const found = configuration.volumes.find((volume) => volume.name === name);
    if (found) return found;
    const suggestion = nearest(
      name,
      configuration.volumes.map((volume) => volume.name),
    );
    throw new HoldfastError('unknown-volume', `there is no volume ${JSON.stringify(name)} in ${configuration.file}`, {
      remedy: suggestion === undefined ? 'run `holdfast volumes`' : `did you mean \`${suggestion}\`? Otherwise run \`holdfast volumes\``,
    });
  });
}

export type Session = {
  repository: Repository;
  /** What lanes open the storage by. */
  address: StorageAddress;
  /** Name in holdfast.yaml, or the URL. */
  label: string;
  /** Aborts at interruption, and when the lock is lost. */
  signal: AbortSignal;
};

/** `none` for reading what may change meanwhile, `shared` for work that a prune must wait for. */
export type LockKind = 'none' | 'shared' | 'exclusive';

/** Opens the repository, locks it, works, and unlocks it whatever happens. */
export async function withRepository<Result>(
  context: Context,
  configuration: Configuration | undefined,
  lock: LockKind,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const { address, label, password } = await chooseRepository(context, configuration);
  const storage = await openStorage(address);
  try {
    const repository = await openRepository(storage, await password);
    return await withLock({ repository, address, label, signal: context.signal }, lock, work);
  } finally {
    await storage.close?.();
  }
}

async function withLock<Result>(session: Session, lock: LockKind, work: (session: Session) => Promise<Result>): Promise<Result> {
  if (lock === 'none') return work(session);
  const held = await lockRepository(session.repository, { exclusive: lock === 'exclusive', clock: systemClock });
  let result: Result;
  try {
    result = await work({ ...session, signal: AbortSignal.any([session.signal, held.lost]) });
  } catch (error) {
    // What failed matters more than the lock, which goes stale by itself.
    await held.release().catch(() => undefined);
    throw error;
  }
  await held.release();
  return result;
}

type ChosenRepository = { address: StorageAddress; label: string; password: Promise<Buffer> };

/** @throws `configuration-missing` when nothing names a repository. */
async function chooseRepository(context: Context, configuration: Configuration | undefined): Promise<ChosenRepository> {
  const { cwd, environment, global } = context;
  const named = global.repository ?? environment.HOLDFAST_REPOSITORY;
  const configured =
    named === undefined ? configuration?.repositories[0] : configuration?.repositories.find((repository) => repository.name === named);
  const restic = configured === undefined ? (named ?? environment.RESTIC_REPOSITORY) : undefined;
  if (configured === undefined && restic === undefined) {
    throw new HoldfastError('configuration-missing', `there is no holdfast.yaml in ${cwd} or above, and no repository was named`);
  }
  const url = configured?.url ?? absoluteUrl(restic as string, cwd);
  const password = findPassword({ file: global.passwordFile, environment, configured, cwd });
  // Awaited later; a failure must not count as unhandled until then.
  password.catch(() => undefined);
  return { address: addressOf(url), label: configured?.name ?? url, password };
}

/** A path is resolved; a URL stays. */
export const absoluteUrl = (url: string, cwd: string): string => (/^[a-z][a-z0-9+.-]+:/.test(url) ? url : resolve(cwd, url));

/** Lanes that load while the repository is opened, for the time of some work. */
export async function withWarmLanes<Result>(job: LaneJob, count: number, work: (warm: WarmLanes) => Promise<Result>): Promise<Result> {
  const warm = warmLanes({ entry: laneEntry, count, job });
  try {
    return await work(warm);
  } finally {
    await warm.close();
  }
}
