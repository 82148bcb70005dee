import type { Facts } from './log-tables.ts';

/**
 * Facts whose writes never fail: what the state cannot take (a full disk) is held here and counts like the rest, and is written as soon as the
 * state takes something. Names are few. `onFailure` is told of each write that failed.
 */
export function steadyFacts(facts: Facts, onFailure: (error: unknown) => void): Facts {
  /** Undefined: removed. */
  const unsaved = new Map<string, unknown>();

  function save(name: string, value: unknown): void {
    unsaved.set(name, value);
    try {
      for (const [one, held] of unsaved) {
        if (held === undefined) facts.remove(one);
        else facts.set(one, held);
        unsaved.delete(one);
      }
    } catch (error) {
      onFailure(error);
    }
  }

  return {
    get: <Value>(name: string) => (unsaved.has(name) ? (unsaved.get(name) as Value | undefined) : facts.get<Value>(name)),
    set: save,
    remove: (name) => save(name, undefined),
  };
}
