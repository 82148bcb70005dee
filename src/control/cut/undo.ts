/** Brings back what a run that was killed has left halted. */
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';
import { runHooks } from '../hooks/hooks.ts';
import { comeBack } from './come-back.ts';
import { type FoundJournal, forgetHooks, type Journal, removeJournal } from './journal.ts';
import { findLateStops, startAfterLateStops } from './late-stops.ts';

export type UndoOptions = {
  stateFolder: string;
  /** Connects to the engine that a journal was written for. */
  connect: (journal: Journal) => Promise<Containers>;
  healthTimeoutMs: number;
  /** Told of containers that run and may be ending, before they are waited for. */
  onLateStops(containers: readonly string[]): void;
  clock: Clock;
  signal: AbortSignal;
};

/** What was done about a journal: whether all that was halted is back, and what failed. */
export type Undone = { isBack: boolean; failures: HoldfastError[] };

/**
 * Starts and resumes containers in order, waits for their health, runs the hooks that were to come, and forgets the journal. When a container
 * doesn't run again the journal stays, for the next time, without the hooks: they are run once. A container that was just being stopped is started when it has ended: that takes as
 * long as it has to end.
 */
export async function undoCut({ journal, atMs }: Pick<FoundJournal, 'journal' | 'atMs'>, options: UndoOptions): Promise<Undone> {
  const { run, project, groups } = journal;
  let containers: Containers | undefined;
  try {
    if (needsEngine(journal)) containers = await options.connect(journal);
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return { isBack: false, failures: [error] };
  }
  try {
    const failures: HoldfastError[] = [];
    let lost = 0;
    if (containers !== undefined) {
      const reached = { ...options, containers };
      const late = await findLateStops(groups, atMs, reached);
      const back = await comeBack(groups, reached);
      lost = back.failures.length;
      failures.push(...back.failures);
      if (late.stops.length > 0) options.onLateStops(late.stops.map(({ name }) => name));
      const settled = await startAfterLateStops(late, reached).catch((error: unknown) => {
        if (!(error instanceof HoldfastError)) throw error;
        failures.push(error);
        return false;
      });
      if (!settled) lost += 1;
      failures.push(...(await back.health));
    }
    if (!options.signal.aborted) {
      const inventory = await containers?.inventory().catch(() => undefined);
      for (const hooks of [journal.hooks.onError, journal.hooks.after]) {
        failures.push(...(await runHooks(hooks, { containers, inventory, project, signal: options.signal })));
      }
    }
    // After an abort, the next one runs the hooks: they may not have come to their end.
    if (!options.signal.aborted) await (lost === 0 ? removeJournal : forgetHooks)(options.stateFolder, run);
    return { isBack: lost === 0, failures };
  } finally {
    containers?.close();
  }
}

const needsEngine = ({ groups, hooks }: Journal): boolean =>
  groups.flat().length > 0 || [...hooks.onError, ...hooks.after].some((hook) => hook.in !== undefined);
