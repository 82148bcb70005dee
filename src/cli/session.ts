/** What most commands begin with: the repository, opened and locked. */
import { resolve } from 'node:path';
import type { Configuration, RepositoryConfiguration } from '../control/configuration/configuration.ts';
import { type WarmLanes, warmLanes } from '../engine/lanes/pool.ts';
import type { LaneJob } from '../engine/lanes/protocol.ts';
import { HoldfastError } from '../model/errors.ts';
import { parseDuration } from '../model/quantities.ts';
import { listAhead } from '../repository/listing-ahead.ts';
import type { HeldLock } from '../repository/locks.ts';
import type { Repository } from '../repository/repository.ts';
import { underLock } from '../repository/under-lock.ts';
import { waitForLock } from '../repository/wait-for-lock.ts';
import type { FileKind, StorageAddress } from '../storage/storage.ts';
import { addressOf, cacheRootOf } from './address.ts';
import type { CommandContext } from './command.ts';
import { type OnNoCache, openRepositoryAt, type RepositoryPlace } from './open-repository.ts';
import { displayText } from './output/text.ts';
import { findPassword, type PasswordSources } from './password.ts';
import { askSecret, terminalOf } from './prompt.ts';
import { systemClock } from './system-clock.ts';

/** Module of the lanes' threads, for the engine. */
export const laneEntry = new URL('./lane.ts', import.meta.url);

type Context = CommandContext<unknown>;

export type Session = {
  repository: Repository;
  /** What lanes open the storage by. */
  address: StorageAddress;
  /** Name in holdfast.yaml, or where the storage is. */
  label: string;
  /** Aborts at interruption, and when the lock is lost. */
  signal: AbortSignal;
};

/** `none` for reading what may change meanwhile, `shared` for work that a prune must wait for. */
export type LockKind = 'none' | 'shared' | 'exclusive';

type Opening = Pick<RepositoryPlace, 'freshCache'> & {
  /** Tries to make room when the storage is too full for a lock, which is then tried once more. */
  makeRoom?: (session: Session) => Promise<void>;
  /** What the work lists first, in this order: begun as soon as the lock is written, and given to the work when the lock is obtained. */
  listsFirst?: readonly FileKind[];
  /** What to do where no lock can be written; by default, of commands with the option, `--no-lock`. */
  lockRemedy?: string;
};

/** Opens the repository, locks it, works, and unlocks it whatever happens. With `freshCache`, nothing comes from an earlier run's cache. */
export async function withRepository<Result>(
  context: Context,
  configuration: Configuration | undefined,
  lock: LockKind,
  work: (session: Session) => Promise<Result>,
  { freshCache = false, ...locking }: Opening = {},
): Promise<Result> {
  return withOpened(context, { ...chooseRepository(context, configuration), freshCache }, { lock, ...locking }, context.signal, work);
}

/** The other repository of commands that work on two: what `--from` and its like say. */
export type OtherRepository = { named: string | undefined; passwordFile?: string; passwordCommand?: string };

/**
 * Opens two repositories, the source first, and locks them; the signal of both sessions aborts when a lock is lost. The source is what
 * `from` names, or HOLDFAST_FROM_REPOSITORY or RESTIC_FROM_REPOSITORY; the destination what `to` names, or what all commands work on.
 * @throws `usage` when nothing names a source, or both are the same: one place by two names has one id, too.
 */
export async function withTwoRepositories<Result>(
  context: Context,
  configuration: Configuration | undefined,
  { from, to }: { from: OtherRepository; to: string | undefined },
  locks: { source: LockKind; destination: LockKind },
  work: (source: Session, destination: Session) => Promise<Result>,
): Promise<Result> {
  const destination = chooseRepository(context, configuration, to);
  const source = chooseSource(context, configuration, from);
  if (source.address.url === destination.address.url)
    throw new HoldfastError('usage', 'the source and the destination are the same repository');
  return withOpened(context, source, { lock: locks.source }, context.signal, (opened) =>
    withOpened(context, destination, { lock: locks.destination }, opened.signal, (second) => {
      if (opened.repository.config.id === second.repository.config.id) throw sameRepository(opened, second);
      return work({ ...opened, signal: second.signal }, second);
    }),
  );
}

function sameRepository({ label: source }: Session, { label: destination }: Session): HoldfastError {
  const message = `the source ${displayText(source)} and the destination ${displayText(destination)} are the same repository: they have one id`;
  return new HoldfastError('usage', message, {
    remedy: 'make the destination with `holdfast init`; where it is a copy of the files of the source, keep it up to date by copying files',
  });
}

/** Reads what a new repository takes from another one. @throws what opening it throws. */
export async function withSource<Result>(
  context: Context,
  configuration: Configuration | undefined,
  from: OtherRepository,
  work: (source: Session) => Promise<Result>,
): Promise<Result> {
  return withOpened(context, chooseSource(context, configuration, from), { lock: 'none' }, context.signal, work);
}

type Locking = { lock: LockKind } & Omit<Opening, 'freshCache'>;

async function withOpened<Result>(
  context: Context,
  { name, cacheIsNamed, ...place }: ChosenRepository,
  locking: Locking,
  signal: AbortSignal,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const { repository, address, close } = await openRepositoryAt(
    place,
    { signal, report: context.output.report },
    cacheIsNamed ? noCacheTeller(context) : undefined,
  );
  try {
    return await withLock(context, { repository, address, label: name ?? repository.storage.location, signal }, locking, work);
  } finally {
    await close();
  }
}

/** Folders of caches that were told of: a run may open several repositories. */
const toldOfCaches = new Set<string>();

/** Who names a folder hears once why it is not used. */
function noCacheTeller({ output }: Context): OnNoCache {
  return (folder, reason) => {
    if (toldOfCaches.has(folder)) return;
    toldOfCaches.add(folder);
    output.warning(`no cache is used, which costs time: ${displayText(folder)} cannot hold one (${reason})`);
  };
}

async function withLock<Result>(
  context: Context,
  session: Session,
  { lock, listsFirst = [], ...locking }: Locking,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  if (lock === 'none') return work(session);
  const ahead = listAhead(session.repository.storage, listsFirst);
  try {
    const held = await lockOrMakeRoom(context, session, { lock, ...locking }, ahead.begin);
    return await whileHeld({ ...session, repository: { ...session.repository, storage: ahead.storage } }, held, work);
  } finally {
    // Nothing may be under way when the storage is closed.
    await ahead.settled();
  }
}

async function lockOrMakeRoom(
  context: Context,
  session: Session,
  { lock, makeRoom, lockRemedy = noLockRemedy(context.options) }: Locking & { lock: 'shared' | 'exclusive' },
  onWritten: () => void,
): Promise<HeldLock> {
  const take = () => takeLock(context, session, lock, onWritten);
  return take()
    .catch(async (error: unknown) => {
      if (makeRoom === undefined || !(error instanceof HoldfastError) || error.code !== 'storage-full') throw error;
      await makeRoom(session);
      return take();
    })
    .catch((error: unknown) => {
      throw withoutLock(error, lockRemedy);
    });
}

/** Works, and unlocks whatever happens. */
async function whileHeld<Result>(session: Session, held: HeldLock, work: (session: Session) => Promise<Result>): Promise<Result> {
  let result: Result;
  try {
    const repository = underLock(session.repository, held);
    result = await work({ ...session, repository, signal: AbortSignal.any([session.signal, held.lost]) });
  } catch (error) {
    // What failed matters more than the lock, which goes stale by itself.
    await held.release().catch(() => undefined);
    throw error;
  }
  await held.release();
  return result;
}

function takeLock({ global, output }: Context, session: Session, lock: 'shared' | 'exclusive', onWritten: () => void): Promise<HeldLock> {
  return waitForLock(session.repository, {
    exclusive: lock === 'exclusive',
    clock: systemClock,
    patienceMs: parsePatience(global.retryLock),
    signal: session.signal,
    onWritten,
    onKept: ({ message }) => output.warning(`the lock stays, and goes stale by itself: ${displayText(message)}`),
    onWait: ({ message }) => output.note(`${displayText(message)}: waiting`),
  });
}

/** On the worst day, a repository that has no room or permission for a lock still has the data. */
const noLockRemedy = (options: unknown): string | undefined =>
  typeof options === 'object' && options !== null && 'lock' in options
    ? 'or work without a lock, while nobody prunes the repository: --no-lock'
    : undefined;

function withoutLock(error: unknown, way: string | undefined): unknown {
  if (!(error instanceof HoldfastError) || way === undefined) return error;
  const { code, message, file, cause } = error;
  if (code !== 'storage-full' && code !== 'storage-denied') return error;
  return new HoldfastError(code, message, { cause, remedy: `${error.remedy}; ${way}`, ...(file === undefined ? {} : { file }) });
}

/** `--retry-lock`; without it, nobody waits. */
function parsePatience(text: string | undefined): number {
  const patienceMs = text === undefined ? 0 : parseDuration(text);
  if (patienceMs !== undefined) return patienceMs;
  throw new HoldfastError('usage', `--retry-lock takes a duration, not ${JSON.stringify(text)}`, {
    remedy: 'for example: --retry-lock 10m',
  });
}

/** `cacheIsNamed`: the folder of caches is not the usual one. `name` is that in holdfast.yaml. The password is asked for once the storage is there. */
type ChosenRepository = RepositoryPlace & { name: string | undefined; cacheIsNamed: boolean };

/** @throws `configuration-missing` when nothing names a repository. */
function chooseRepository(context: Context, configuration: Configuration | undefined, to?: string): ChosenRepository {
  const { cwd, environment, global } = context;
  const named = to ?? global.repository ?? environment.HOLDFAST_REPOSITORY;
  const configured = configuredRepository(configuration, named);
  const url = configured?.url ?? named ?? environment.RESTIC_REPOSITORY;
  if (url === undefined)
    throw new HoldfastError('configuration-missing', `there is no holdfast.yaml in ${cwd} or above, and no repository was named`);
  return chosen(context, configured, url, { file: global.passwordFile, command: global.passwordCommand });
}

function chooseSource(
  context: Context,
  configuration: Configuration | undefined,
  { named: option, passwordFile, passwordCommand }: OtherRepository,
): ChosenRepository {
  const { environment } = context;
  const named = option ?? environment.HOLDFAST_FROM_REPOSITORY ?? environment.RESTIC_FROM_REPOSITORY;
  if (named === undefined) throw new HoldfastError('usage', 'no source was named', { remedy: 'name a repository with --from' });
  const configured = configuration?.repositories.find(({ name }) => name === named);
  return chosen(context, configured, configured?.url ?? named, { file: passwordFile, command: passwordCommand, role: 'FROM_' });
}

function configuredRepository(configuration: Configuration | undefined, named: string | undefined): RepositoryConfiguration | undefined {
  return named === undefined ? configuration?.repositories[0] : configuration?.repositories.find(({ name }) => name === named);
}

function chosen(
  context: Context,
  configured: RepositoryConfiguration | undefined,
  url: string,
  given: Pick<PasswordSources, 'file' | 'command' | 'role'>,
): ChosenRepository {
  const { cwd, environment } = context;
  const terminal = terminalOf(context);
  const question = `password of ${configured === undefined ? `the ${given.role === undefined ? '' : 'source '}repository` : configured.name}`;
  const ask = terminal && (() => askSecret(terminal, question));
  const sources = { url: absoluteUrl(url, cwd), global: context.global, environment, configured, cwd };
  return {
    address: addressOf(sources),
    cacheRoot: cacheRootOf(sources),
    cacheIsNamed: Boolean(context.global.cacheDir ?? environment.HOLDFAST_CACHE_DIR),
    name: configured?.name,
    password: () => findPassword({ ...given, environment, configured, cwd, ask }),
  };
}

/** A path is resolved; a URL stays, in whatever case its scheme is written. */
export const absoluteUrl = (url: string, cwd: string): string => (/^[a-z][a-z0-9+.-]+:/i.test(url) ? url : resolve(cwd, url));

/** Lanes that load while the repository is opened, for the time of some work. */
export async function withWarmLanes<Result>(job: LaneJob, count: number, work: (warm: WarmLanes) => Promise<Result>): Promise<Result> {
  const warm = warmLanes({ entry: laneEntry, count, job });
  try {
    return await work(warm);
  } finally {
    await warm.close();
  }
}
