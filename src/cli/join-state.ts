import { readState } from '../control/state/read-state.ts';
import { openState, type State } from '../control/state/state.ts';

/**
 * Opens the state of a daemon, which may be at work with it, to add something. Undefined when there is none, or none that is sound and of this
 * version: that is the daemon's to put in order, at its start. @throws what SQLite says.
 */
export function joinState(path: string): State | undefined {
  const readable = readState(path);
  if (readable === undefined) return undefined;
  try {
    const { quick_check: verdict } = readable.database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
    if (verdict !== 'ok') return undefined;
  } finally {
    readable.close();
  }
  return openState(path);
}
