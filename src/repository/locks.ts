/**
 * Locks, on storage exactly as restic's: sealed JSON in `locks/`, refreshed every five minutes, stale after thirty.
 *
 * Staleness is decided by evidence. Host names and process ids repeat in containers, so that "same host, no such process"
 * alone proves nothing: such a lock is stale when it has also missed a refresh. Any other lock is stale after thirty minutes.
 */
import { hostname, userInfo } from 'node:os';
import { decodeLock, encodeLock, type LockFile } from '../format/lock-file.ts';
import { formatTime, parseTime } from '../format/time.ts';
import type { Clock } from '../model/clock.ts';
import { HoldfastError } from '../model/errors.ts';
import { type Repository, readSealedJson, writeSealedJson } from './repository.ts';

const refreshMs = 5 * 60 * 1000;
const staleMs = 30 * 60 * 1000;
/** A refresh was missed, with a minute's grace for clocks and slow storages. */
const missedRefreshMs = refreshMs + 60 * 1000;

export type HeldLock = {
  /** Aborts, with the reason, when the lock could not be refreshed in time: whoever holds it must stop. */
  readonly lost: AbortSignal;
  /** Removes the lock. Harmless when called twice. */
  release(): Promise<void>;
};

export type FoundLock = LockFile & { name: string; stale: boolean };

export type LockOptions = { exclusive: boolean; clock: Clock };

/**
 * Locks the repository. Stale locks that stand in the way are removed first.
 * @throws `locked` naming the holder; `storage`, `storage-full`.
 */
export async function lockRepository(repository: Repository, { exclusive, clock }: LockOptions): Promise<HeldLock> {
  await refuseConflicts(repository, exclusive, clock, undefined);
  let name = await writeLock(repository, exclusive, clock);
  try {
    // Who else locked in the same moment either sees this lock or is seen now.
    await refuseConflicts(repository, exclusive, clock, name);
  } catch (error) {
    await repository.storage.remove({ kind: 'locks', name });
    throw error;
  }

  const ended = new AbortController();
  const lost = new AbortController();
  const refreshing = refresh();
  return {
    lost: lost.signal,
    async release() {
      if (ended.signal.aborted) return;
      ended.abort();
      await refreshing;
      await repository.storage.remove({ kind: 'locks', name });
    },
  };

  /** Writes the lock anew and removes the old file, in this order, so that there is always one. */
  async function refresh(): Promise<void> {
    let refreshedMs = clock.now().getTime();
    for (;;) {
      await clock.sleep(refreshMs, ended.signal);
      if (ended.signal.aborted) return;
      try {
        const fresh = await writeLock(repository, exclusive, clock);
        const old = name;
        name = fresh;
        refreshedMs = clock.now().getTime();
        await repository.storage.remove({ kind: 'locks', name: old });
      } catch (error) {
        if (clock.now().getTime() - refreshedMs < staleMs - refreshMs) continue;
        lost.abort(new HoldfastError('locked', 'the lock of the repository could not be refreshed in time', { cause: error }));
        return;
      }
    }
  }
}

async function writeLock(repository: Repository, exclusive: boolean, clock: Clock): Promise<string> {
  const nowMs = clock.now().getTime();
  const { username, uid, gid } = userInfo();
  const time = formatTime(Math.floor(nowMs / 1000), (nowMs % 1000) * 1e6);
  const lock = { time, exclusive, hostname: hostname(), username, pid: process.pid, uid: Math.max(uid, 0), gid: Math.max(gid, 0) };
  return writeSealedJson(repository, 'locks', encodeLock(lock));
}

/** All locks of the repository. One that vanishes while it is read was released. */
export async function listLocks(repository: Repository, clock: Clock): Promise<FoundLock[]> {
  const found: FoundLock[] = [];
  for await (const { name } of repository.storage.list('locks')) {
    try {
      const lock = decodeLock(await readSealedJson(repository, 'locks', name), name);
      found.push({ ...lock, name, stale: isStale(lock, clock) });
    } catch (error) {
      if (error instanceof HoldfastError && error.code === 'file-missing') continue;
      throw error;
    }
  }
  return found;
}

function isStale(lock: LockFile, clock: Clock): boolean {
  const ageMs = clock.now().getTime() - parseTime(lock.time).sec * 1000;
  if (ageMs > staleMs) return true;
  return ageMs > missedRefreshMs && lock.hostname === hostname() && !processLives(lock.pid);
}

function processLives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function refuseConflicts(repository: Repository, exclusive: boolean, clock: Clock, own: string | undefined): Promise<void> {
  for (const lock of await listLocks(repository, clock)) {
    if (lock.name === own) continue;
    if (lock.stale) {
      await repository.storage.remove({ kind: 'locks', name: lock.name });
      continue;
    }
    if (!exclusive && !lock.exclusive) continue;
    const kind = lock.exclusive ? 'exclusively ' : '';
    throw new HoldfastError(
      'locked',
      `the repository is ${kind}locked since ${lock.time} by process ${lock.pid} of ${lock.username} on ${lock.hostname}`,
    );
  }
}
