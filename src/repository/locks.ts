/**
 * Locks, on storage exactly as restic's: sealed JSON in `locks/`, refreshed every five minutes, stale after thirty.
 *
 * Staleness is decided by evidence. Host names and process ids repeat in containers, so that "same host, no such process"
 * alone proves nothing: such a lock is stale when it has also missed a refresh. Any other lock is stale after thirty minutes.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { decodeLock, encodeLock, type LockFile } from '../format/lock-file.ts';
import { formatTime, parseTime } from '../format/time.ts';
import type { Clock } from '../model/clock.ts';
import { HoldfastError } from '../model/errors.ts';
import type { Storage } from '../storage/storage.ts';
import { processOwner } from './process-owner.ts';
import { type Repository, readSealedJson, sealJsonFile } from './repository.ts';

const refreshMs = 5 * 60 * 1000;
/** How often a lock looks whether it is due: a machine that slept finds out a minute after it woke. */
const pollMs = 60 * 1000;
const staleMs = 30 * 60 * 1000;
/** A lock that is not refreshed by then is given up, while there is time left to stop before others take it for stale. */
const giveUpMs = staleMs - refreshMs;
/** A refresh was missed, with a minute's grace for clocks and slow storages. */
const missedRefreshMs = refreshMs + 60 * 1000;
/** No file takes so long to write: what is older and unfinished was left behind. */
const leftoverMs = 24 * 60 * 60 * 1000;

export type HeldLock = {
  /**
   * Aborts with the reason, a `locked` error, when the lock could not be refreshed in time or was removed by somebody: whoever holds it
   * must stop, and must no longer rely on what the repository held.
   */
  readonly lost: AbortSignal;
  /** Removes the lock. Harmless when called twice. @throws `storage`: then the lock goes stale by itself. */
  release(): Promise<void>;
};

export type FoundLock = LockFile & { name: string; stale: boolean };

export type LockOptions = { exclusive: boolean; clock: Clock };

/**
 * Locks the repository. Stale locks are removed first, and with them the unfinished files that dead processes left behind.
 * @throws `locked` naming the holder; `storage`, `storage-full`.
 */
export async function lockRepository(repository: Repository, { exclusive, clock }: LockOptions): Promise<HeldLock> {
  const { storage } = repository;
  const robbed = await refuseConflicts(repository, exclusive, clock, undefined);
  if (robbed > 0) await storage.removeLeftovers?.(leftoverMs);
  const first = await writeLock(repository, exclusive, clock);
  try {
    // Who else locked in the same moment either sees this lock or is seen now.
    await refuseConflicts(repository, exclusive, clock, first);
  } catch (error) {
    await removeQuietly(storage, first);
    throw error;
  }

  /** Ours on the storage: the last is in force, those before could not be removed yet. */
  let names = [first];
  const ended = new AbortController();
  const lost = new AbortController();
  const refreshing = keepFresh();
  return {
    lost: lost.signal,
    async release() {
      if (ended.signal.aborted) return;
      ended.abort();
      await refreshing;
      await Promise.all(names.map((name) => storage.remove({ kind: 'locks', name })));
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
        const removed = cause instanceof HoldfastError && cause.code === 'locked';
        if (!removed && clock.now().getTime() - freshMs < giveUpMs) continue;
        lost.abort(removed ? cause : new HoldfastError('locked', 'the lock of the repository could not be refreshed in time', { cause }));
        return;
      }
    }
  }

  /** Writes the lock anew before the old file is removed, so that there is always one. */
  async function renew(): Promise<void> {
    const fresh = await writeLock(repository, exclusive, clock);
    try {
      // Whoever took it for stale (this machine slept, say) may have begun to work as if we were dead.
      await storage.sizeOf({ kind: 'locks', name: names.at(-1) as string });
    } catch (cause) {
      await removeQuietly(storage, fresh);
      if (!(cause instanceof HoldfastError) || cause.code !== 'file-missing') throw cause;
      throw new HoldfastError('locked', 'the lock of the repository was removed by another process', { cause });
    }
    const old = names;
    names = [...old, fresh];
    for (const name of old) if (await removeQuietly(storage, name)) names = names.filter((other) => other !== name);
  }
}

/** @returns whether it is gone. */
async function removeQuietly(storage: Storage, name: string): Promise<boolean> {
  try {
    await storage.remove({ kind: 'locks', name });
    return true;
  } catch {
    return false;
  }
}

async function writeLock(repository: Repository, exclusive: boolean, clock: Clock): Promise<string> {
  const nowMs = clock.now().getTime();
  const time = formatTime(Math.floor(nowMs / 1000), (nowMs % 1000) * 1e6);
  const lock = { time, exclusive, pid: process.pid, ...processOwner() };
  const file = sealJsonFile(repository, encodeLock(lock));
  try {
    await repository.storage.write({ kind: 'locks', name: file.name }, [file.sealed]);
  } catch (error) {
    // It may be there all the same: a reply can be lost on its way.
    await removeQuietly(repository.storage, file.name);
    throw error;
  }
  return file.name;
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
 * All locks of the repository that can be read. One that vanishes while it is read was released.
 * @throws `locked` for one that cannot be read, unless `onUnreadable` takes it; `storage`.
 */
export async function listLocks(repository: Repository, clock: Clock, onUnreadable = refuseUnreadable): Promise<FoundLock[]> {
  const found: FoundLock[] = [];
  for await (const { name } of repository.storage.list('locks')) {
    try {
      const lock = decodeLock(await readSealedJson(repository, 'locks', name), name);
      found.push({ ...lock, name, stale: isStale(lock, clock) });
    } catch (error) {
      if (!(error instanceof HoldfastError) || (error.code !== 'file-missing' && error.code !== 'damaged')) throw error;
      if (error.code === 'damaged') onUnreadable(name, error);
    }
  }
  return found;
}

function isStale(lock: LockFile, clock: Clock): boolean {
  const ageMs = clock.now().getTime() - parseTime(lock.time).sec * 1000;
  if (ageMs > staleMs) return true;
  return ageMs > missedRefreshMs && lock.hostname === hostname() && !processLives(lock.pid);
}

/** A process that has ended but was not waited for (a zombie) holds no lock. */
function processLives(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    // `pid (name) state ...`; the name may hold anything, the last parenthesis ends it.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return true;
  }
}

/** @returns how many stale locks were removed. */
async function refuseConflicts(repository: Repository, exclusive: boolean, clock: Clock, own: string | undefined): Promise<number> {
  let removed = 0;
  for (const lock of await listLocks(repository, clock)) {
    if (lock.name === own) continue;
    if (lock.stale) {
      await repository.storage.remove({ kind: 'locks', name: lock.name });
      removed++;
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
