import { findJournals, mayHaveJournals } from '../control/cut/journal.ts';
import type { CommandContext } from './command.ts';
import { repeatedly } from './repeatedly.ts';
import { stateFolder } from './state-folder.ts';
import { undoInterruptedCuts } from './undo-cuts.ts';

const lookEveryMs = 1_000;
const againMs = 60_000;

/** Brings back, until the abort, what killed jobs and killed commands of this user leave halted: soon, and again when it fails. */
export function watchCuts(context: CommandContext<unknown>, onFailure: (error: unknown) => void): Promise<void> {
  const { environment, signal } = context;
  const triedMs = new Map<string, number>();
  const folder = stateFolder(environment);
  const look = async () => {
    if (!mayHaveJournals(folder)) return triedMs.clear();
    const dead = (await findJournals(folder)).filter(({ life }) => life === 'dead').map(({ journal }) => journal.run);
    for (const run of triedMs.keys()) if (!dead.includes(run)) triedMs.delete(run);
    const nowMs = performance.now();
    if (!dead.some((run) => nowMs - (triedMs.get(run) ?? Number.NEGATIVE_INFINITY) >= againMs)) return;
    for (const run of dead) triedMs.set(run, nowMs);
    await undoInterruptedCuts(context);
  };
  return repeatedly(look, lookEveryMs, signal, onFailure);
}
