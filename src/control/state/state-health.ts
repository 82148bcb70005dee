import { HoldfastError } from '../../model/errors.ts';
import { createFacts } from './log-tables.ts';
import type { State } from './state.ts';

/** That the state cannot be written, since when, and what the database said last. Milliseconds since 1970. */
export type StateFailure = { sinceMs: number; message: string };

export type StateHealth = {
  /** Something went wrong; what is not of the database is left. */
  failed(error: unknown): void;
  /** Undefined while it can be written. */
  failure(): StateFailure | undefined;
  /** Whether what could not be written can be now, or not any more: says whether that has changed. @throws `state-lost`. */
  look(): boolean;
};

export function createStateHealth(state: State, now: () => number): StateHealth {
  const facts = createFacts(state);
  let failure: StateFailure | undefined;
  let told: StateFailure | undefined;

  function failed(error: unknown): void {
    if ((error as { errcode?: number } | undefined)?.errcode === undefined) return;
    failure = { sinceMs: failure?.sinceMs ?? now(), message: (error as Error).message };
  }

  return {
    failed,
    failure: () => failure,
    look() {
      if (!state.isInPlace())
        throw new HoldfastError('state-lost', `${state.path} was removed or replaced while the daemon worked`, { file: state.path });
      if (failure !== undefined)
        try {
          facts.set('state', { atMs: now() });
          failure = undefined;
        } catch (error) {
          failed(error);
        }
      const changed = (failure === undefined) !== (told === undefined);
      told = failure;
      return changed;
    },
  };
}
