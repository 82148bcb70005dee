import { HoldfastError } from '../model/errors.ts';

/** Places for answers that have no end: so many at a time, and not all of them for one caller. */
export type Places = {
  /** Holds one until the abort. @throws `too-many-requests`. */
  take(who: string, signal: AbortSignal): void;
};

export function createPlaces({ all, each }: { all: number; each: number }): Places {
  const held = new Map<string, number>();
  let taken = 0;
  const change = (who: string, by: 1 | -1) => {
    taken += by;
    const own = (held.get(who) ?? 0) + by;
    if (own === 0) held.delete(who);
    else held.set(who, own);
  };
  return {
    take(who, signal) {
      const own = held.get(who) ?? 0;
      if (taken >= all || own >= each)
        throw new HoldfastError('too-many-requests', `${taken >= all ? taken : own} follow events already`, { retryAfterMs: 30_000 });
      // A signal that has aborted tells nobody.
      if (signal.aborted) return;
      change(who, 1);
      signal.addEventListener('abort', () => change(who, -1), { once: true });
    },
  };
}
