import { HoldfastError } from '../model/errors.ts';

/** So many at a time; some wait, the others are sent away. Nobody has all turns, or all places to wait: one who reads slowly holds up himself. */
export type Turns = {
  /** Resolves with how to end the turn. @throws `too-many-requests`; the abort's reason. */
  take(who: string, signal: AbortSignal): Promise<() => void>;
};

/** @param limits all of them at least 2, so that there is something to share. */
export function createTurns({ atOnce, waiting: mostWaiting }: { atOnce: number; waiting: number }): Turns {
  const taken: string[] = [];
  const waiting = new Set<{ who: string; begin: () => void }>();
  const of = (who: string, list: Iterable<string>) => [...list].filter((other) => other === who).length;
  const mayBegin = (who: string) => taken.length < atOnce && of(who, taken) < atOnce - 1;

  const once = (who: string): (() => void) => {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      taken.splice(taken.indexOf(who), 1);
      for (const one of waiting) {
        if (!mayBegin(one.who)) continue;
        waiting.delete(one);
        taken.push(one.who);
        one.begin();
      }
    };
  };

  return {
    async take(who, signal) {
      signal.throwIfAborted();
      if (mayBegin(who)) {
        taken.push(who);
        return once(who);
      }
      const own = of(
        who,
        [...waiting].map((one) => one.who),
      );
      if (waiting.size >= mostWaiting || own >= mostWaiting / 2)
        throw new HoldfastError('too-many-requests', `${taken.length} are at work and ${waiting.size} wait already`, {
          retryAfterMs: 5_000,
        });
      await new Promise<void>((resolve, reject) => {
        const begin = () => {
          signal.removeEventListener('abort', leave);
          resolve();
        };
        const place = { who, begin };
        const leave = () => {
          waiting.delete(place);
          reject(signal.reason);
        };
        waiting.add(place);
        signal.addEventListener('abort', leave, { once: true });
      });
      return once(who);
    },
  };
}
