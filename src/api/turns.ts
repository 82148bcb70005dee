import { HoldfastError } from '../model/errors.ts';

/** So many at a time; some wait, the others are sent away. */
export type Turns = {
  /** Resolves with how to end the turn. @throws `too-many-requests`; the abort's reason. */
  take(signal: AbortSignal): Promise<() => void>;
};

export function createTurns({ atOnce, waiting: mostWaiting }: { atOnce: number; waiting: number }): Turns {
  let taken = 0;
  const waiting = new Set<() => void>();
  const release = () => {
    const [next] = waiting;
    if (next === undefined) taken--;
    else {
      waiting.delete(next);
      next();
    }
  };
  const once = (): (() => void) => {
    let held = true;
    return () => {
      if (held) release();
      held = false;
    };
  };
  return {
    async take(signal) {
      signal.throwIfAborted();
      if (taken < atOnce) {
        taken++;
        return once();
      }
      if (waiting.size >= mostWaiting)
        throw new HoldfastError('too-many-requests', `${taken} are at work and ${waiting.size} wait already`, { retryAfterMs: 5_000 });
      await new Promise<void>((resolve, reject) => {
        const begin = () => {
          signal.removeEventListener('abort', leave);
          resolve();
        };
        const leave = () => {
          waiting.delete(begin);
          reject(signal.reason);
        };
        waiting.add(begin);
        signal.addEventListener('abort', leave, { once: true });
      });
      return once();
    },
  };
}
