import { HoldfastError } from '../model/errors.ts';
import { type HeldLock, type LockOptions, lockRepository } from './locks.ts';
import type { Repository } from './repository.ts';
import { stayAwake } from './stay-awake.ts';

export type PatientLockOptions = LockOptions & {
  /** How long to wait while others hold the repository, in milliseconds; 0 not to wait. */
  patienceMs: number;
  /** Ends the waiting. */
  signal: AbortSignal;
  /** Told once who is waited for, when it comes to that. */
  onWait: (held: HoldfastError) => void;
};

const firstPauseMs = 1000;
const longestPauseMs = 30_000;

/**
 * Locks the repository as soon as those have finished who hold it.
 * @throws `locked` when they hold it still after `patienceMs`; the reason of the signal; `storage`, `storage-full`.
 */
export async function waitForLock(repository: Repository, options: PatientLockOptions): Promise<HeldLock> {
  const { clock, signal, patienceMs, onWait } = options;
  const untilMs = clock.now().getTime() + patienceMs;
  for (let pauseMs = firstPauseMs, told = false; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      return await lockRepository(repository, options);
    } catch (error) {
      const leftMs = untilMs - clock.now().getTime();
      if (!(error instanceof HoldfastError) || error.code !== 'locked' || leftMs <= 0) throw error;
      if (!told) onWait(error);
      told = true;
      await stayAwake(clock.sleep(Math.min(pauseMs, leftMs), signal));
      signal.throwIfAborted();
    }
  }
}
