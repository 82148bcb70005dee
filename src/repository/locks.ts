/**
 * Locks, on storage exactly as restic's: sealed JSON in `locks/`, refreshed every five minutes, stale after thirty.
 *
 * Whether a lock is stale is decided by evidence, see lock-life.ts.
 *
 * With credentials that may not remove anything, locks stay where they are: nobody minds those that are stale, and whoever may remove
 * them does so at the next opportunity.
 */
import { decodeLock, encodeLock, type LockEvidence, type LockFile } from '../format/lock-file.ts';
import { formatTime } from '../format/time.ts';
import type { Clock } from '../model/clock.ts';
import { HoldfastError } from '../model/errors.ts';
import type { Storage } from '../storage/storage.ts';
import { lightBeacon } from './beacon.ts';
import { evidenceWith, isStale, refreshMs, staleMs } from './lock-life.ts';
import { processOwner } from './process-owner.ts';
import { type Repository, readSealedJson, sealJsonFile } from './repository.ts';
import { stayAwake } from './stay-awake.ts';

/** How often a lock looks whether it is due: a machine that slept finds out a minute after it woke. */
const pollMs = 60 * 1000;
/** A lock that is not refreshed by then is given up, while there is time left to stop before others take it for stale. */
const giveUpMs = staleMs - refreshMs;
/** For so long it is believed that the lock is there, once that was seen. */
const believedMs = 2 * 1000;
/** No file takes so long to write: what is older and unfinished was left behind. */
const leftoverMs = 24 * 60 * 60 * 1000;
/** A lock that is not what was written may still be being written, on servers that write in place: it is looked at again after so long. */
const unreadableMs = 1000;
/** Where locks cannot be removed there are many, and each is a round trip. */
const readsAtOnce = 8;

export type HeldLock = {
  /**
   * Aborts with the reason, a `locked` error, when the lock could not be refreshed in time or was removed by somebody: whoever holds it
   * must stop, and must no longer rely on what the repository held.
   */
  readonly lost: AbortSignal;
  /**
   * Looks whether the lock is still there, if nobody did in the last two seconds.
   * @throws `locked` when it was removed, and `lost` aborts; `storage`.
   */
  confirm(): Promise<void>;
  /**
   * Removes the lock, or leaves it to go stale where that is not allowed. Harmless when called twice.
   * @throws `storage`: then the lock goes stale by itself.
   */
  release(): Promise<void>;
};

export type FoundLock = LockFile & { name: string; stale: boolean };

export type LockOptions = {
  exclusive: boolean;
  clock: Clock;
  /** Told, once, that the storage refuses to remove locks (`storage-denied`): they stay, and go stale by themselves. */
  onKept?: (reason: HoldfastError) => void;
  /** Told that the lock is on the storage: what is read from now on counts if the lock is obtained, and is worth nothing otherwise. */
  onWritten?: () => void;
};

/**
 * Locks the repository. Stale locks are removed first, and with them the unfinished files that dead processes left behind.
 * @throws `locked` naming the holder; `storage`, `storage-full`.
 */
export async function lockRepository(repository: Repository, { exclusive, clock, onKept, onWritten }: LockOptions): Promise<HeldLock> {
  const { storage } = repository;
  let told = false;
  // A shared lock that is there for a moment before it is found to be refused bothers nobody, and saves a round trip.
  const removedBefore = exclusive ? await refuseConflicts(repository, exclusive, clock, undefined) : undefined;
  // Before there is a lock that could be taken for one of a process that is dead.
  const beacon = storage.hostFile === undefined ? undefined : lightBeacon(storage.hostFile);
  const held = { exclusive, clock, ...evidenceWith(beacon) };
  let first: string;
  try {
    first = await lockOnce(repository, held, removedBefore, onWritten);
  } catch (error) {
    beacon?.end();
    throw error;
  }

  /** Ours on the storage: the last is in force, those before could not be removed yet. */
  let names = [first];
  const ended = new AbortController();
  const lost = new AbortController();
  let seenMs = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;
  const refreshing = keepFresh();
  return {
    lost: lost.signal,
    async confirm() {
      lost.signal.throwIfAborted();
      // The time of day: others count a sleep of this machine, too.
      const sinceMs = clock.now().getTime() - seenMs;
      if (sinceMs >= 0 && sinceMs < believedMs) return;
      looking ??= look().finally(() => {
        looking = undefined;
      });
      await looking;
    },
    async release() {
      if (ended.signal.aborted) return;
      ended.abort();
      await refreshing;
      // Before the locks go: those that stay are stale at once.
      beacon?.end();
      await Promise.all(names.map(removeOrKeep));
    },
  };

  async function keepFresh(): Promise<void> {
    let freshMs = clock.now().getTime();
    for (;;) {
      await clock.sleep(pollMs, ended.signal);
      if (ended.signal.aborted) return;
      const nowMs = clock.now().getTime();
      if (nowMs - freshMs < refreshMs) continue;
      try {
        await renew();
        freshMs = nowMs;
      } catch (cause) {
        if (lost.signal.aborted) return;
        const removed = cause instanceof HoldfastError && cause.code === 'locked';
        if (!removed && clock.now().getTime() - freshMs < giveUpMs) continue;
        lost.abort(removed ? cause : new HoldfastError('locked', 'the lock of the repository could not be refreshed in time', { cause }));
        return;
      }
    }
  }

  /** Writes the lock anew before the old file is removed, so that there is always one. */
  async function renew(): Promise<void> {
    const lock = sealLock(repository, held);
    const fresh = lock.name;
    await storeLock(repository, lock);
    try {
      // Whoever took it for stale (this machine slept, say) may have begun to work as if we were dead.
      await storage.sizeOf({ kind: 'locks', name: names.at(-1) as string });
    } catch (cause) {
      await removeQuietly(storage, fresh);
      throw isMissing(cause) ? wasRemoved(cause) : cause;
    }
    const old = names;
    names = [...old, fresh];
    for (const name of old) {
      // What failed is tried again with the next refresh, and with the release.
      if (await succeeds(removeOrKeep(name))) names = names.filter((other) => other !== name);
    }
  }

  async function look(): Promise<void> {
    const startMs = clock.now().getTime();
    for (;;) {
      const name = names.at(-1) as string;
      try {
        await storage.sizeOf({ kind: 'locks', name });
        seenMs = startMs;
        return;
      } catch (cause) {
        if (!isMissing(cause)) throw cause;
        // It was renewed meanwhile.
        if (names.at(-1) !== name) continue;
        lost.abort(wasRemoved(cause));
        throw lost.signal.reason;
      }
    }
  }

  /** Removes a lock file of ours; where that is not allowed, it is left behind for good. @throws `storage`. */
  async function removeOrKeep(name: string): Promise<void> {
    try {
      await storage.remove({ kind: 'locks', name });
    } catch (error) {
      if (!isDenied(error)) throw error;
      if (!told) onKept?.(error);
      told = true;
    }
  }
}

const isMissing = (error: unknown): boolean => error instanceof HoldfastError && error.code === 'file-missing';

const wasRemoved = (cause: unknown) => new HoldfastError('locked', 'the lock of the repository was removed by another process', { cause });

const isDenied = (error: unknown): error is HoldfastError => error instanceof HoldfastError && error.code === 'storage-denied';

const succeeds = (attempt: Promise<void>): Promise<boolean> =>
  attempt.then(
    () => true,
    () => false,
  );

/** When it cannot be removed, it goes stale by itself. */
async function removeQuietly(storage: Storage, name: string): Promise<void> {
  await storage.remove({ kind: 'locks', name }).catch(() => undefined);
}

type NewLock = { exclusive: boolean; clock: Clock; evidence?: LockEvidence };

/** @param removedBefore how many stale locks were removed before; undefined when nobody has looked whether it is locked already. */
async function lockOnce(
  repository: Repository,
  held: NewLock,
  removedBefore: number | undefined,
  onWritten: LockOptions['onWritten'],
): Promise<string> {
  const { exclusive, clock } = held;
  const lock = sealLock(repository, held);
  // Not ours, which may show half-written meanwhile: not all servers hide what is on its way.
  const free = removedBefore ?? refuseConflicts(repository, exclusive, clock, lock.name);
  Promise.resolve(free).catch(() => undefined);
  await storeLock(repository, lock);
  onWritten?.();
  try {
    if ((await free) > 0) await repository.storage.removeLeftovers?.(leftoverMs);
    // Who else locked in the same moment either sees this lock or is seen now.
    await refuseConflicts(repository, exclusive, clock, lock.name);
    return lock.name;
  } catch (error) {
    await removeQuietly(repository.storage, lock.name);
    throw error;
  }
}

type SealedLock = { name: string; sealed: Buffer };

function sealLock(repository: Repository, { exclusive, clock, evidence }: NewLock): SealedLock {
  const nowMs = clock.now().getTime();
  const time = formatTime(Math.floor(nowMs / 1000), (nowMs % 1000) * 1e6);
  const lock = { time, exclusive, pid: process.pid, ...processOwner(), ...(evidence === undefined ? {} : { evidence }) };
  return sealJsonFile(repository, encodeLock(lock));
}

async function storeLock({ storage }: Repository, { name, sealed }: SealedLock): Promise<void> {
  try {
    await storage.write({ kind: 'locks', name }, [sealed]);
  } catch (error) {
    // It may be there all the same: a reply can be lost on its way.
    await removeQuietly(storage, name);
    throw error;
  }
}

/** Told of a lock file that is damaged: nobody knows whose it is, nor how old. */
export type OnUnreadableLock = (name: string, reason: HoldfastError) => void;

const refuseUnreadable: OnUnreadableLock = (name, cause) => {
  throw new HoldfastError('locked', `the lock file ${name} cannot be read, so that nobody knows whether its process is at work`, {
    file: `locks/${name}`,
    remedy: 'run `holdfast unlock --remove-all` when you are sure that no process is at work on the repository',
    cause,
  });
};

/**
 * All locks of the repository that can be read, but for the file `except`. One that vanishes while it is read was released.
 * @throws `locked` for one that cannot be read, unless `onUnreadable` takes it; `storage`.
 */
export async function listLocks(
  repository: Repository,
  clock: Clock,
  onUnreadable = refuseUnreadable,
  except?: string,
): Promise<FoundLock[]> {
  const names: string[] = [];
  for await (const { name } of repository.storage.list('locks')) if (name !== except) names.push(name);
  const found: FoundLock[] = [];
  const readNext = async (): Promise<void> => {
    for (let name = names.pop(); name !== undefined; name = names.pop()) {
      const lock = await readLock(repository, name, clock, onUnreadable).catch((error: unknown) => {
        // The other readers stop too.
        names.length = 0;
        throw error;
      });
      if (lock !== undefined) found.push({ ...lock, name, stale: isStale(lock, clock.now().getTime(), repository.storage.hostFile) });
    }
  };
  await Promise.all(Array.from({ length: readsAtOnce }, readNext));
  return found;
}

/** @returns undefined for one that has gone, or that `onUnreadable` took. */
async function readLock(repository: Repository, name: string, clock: Clock, onUnreadable: OnUnreadableLock): Promise<LockFile | undefined> {
  for (let looks = 1; ; looks++) {
    try {
      return decodeLock(await readSealedJson(repository, 'locks', name), name);
    } catch (error) {
      if (!(error instanceof HoldfastError) || (error.code !== 'file-missing' && error.code !== 'damaged')) throw error;
      if (error.code === 'file-missing') return undefined;
      if (looks === 2) {
        onUnreadable(name, error);
        return undefined;
      }
      await stayAwake(clock.sleep(unreadableMs));
    }
  }
}

/**
 * For who works without a lock, on a storage that has no room for one: looks whether anybody is at work now, and removes stale locks.
 * @throws `locked` naming the holder; `storage`.
 */
export async function refuseOthers(repository: Repository, clock: Clock): Promise<void> {
  await refuseConflicts(repository, true, clock, undefined);
}

/** @returns how many stale locks were removed. */
async function refuseConflicts(repository: Repository, exclusive: boolean, clock: Clock, own: string | undefined): Promise<number> {
  let removed = 0;
  for (const lock of await listLocks(repository, clock, refuseUnreadable, own)) {
    if (lock.stale) {
      if (await removeStale(repository.storage, lock.name)) removed++;
      continue;
    }
    if (!exclusive && !lock.exclusive) continue;
    const kind = lock.exclusive ? 'exclusively ' : '';
    throw new HoldfastError(
      'locked',
      `the repository is ${kind}locked since ${lock.time} by process ${lock.pid} of ${lock.username} on ${lock.hostname}`,
    );
  }
  return removed;
}

/** @returns whether it was removed: where that is not allowed it stays, and is as stale as before. @throws `storage`. */
async function removeStale(storage: Storage, name: string): Promise<boolean> {
  try {
    await storage.remove({ kind: 'locks', name });
    return true;
  } catch (error) {
    if (!isDenied(error)) throw error;
    return false;
  }
}
