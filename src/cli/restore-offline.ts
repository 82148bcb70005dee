/** The frame of a restore into volumes that containers use: they are stopped, a guard is taken, and after the restore they start again. */
import { join } from 'node:path';
import { openRestoreJournal, type StoppedContainer } from '../control/restoring/restore-journal.ts';
import { type ContainerStep, refuseTransient, startAll, stopAll } from '../control/restoring/start-again.ts';
import type { CommandContext } from './command.ts';
import type { InDocker } from './restore-targets.ts';
import { stateFolder } from './state-folder.ts';
import { systemClock } from './system-clock.ts';

export type OfflineWork = {
  /** Everything that may still fail without harm. `runBefore` is that of the guard of a restore that was killed and is carried on. */
  prepare(guardBefore: string | undefined): Promise<string | undefined>;
  /** Changes the volumes. */
  restore(): Promise<number>;
};

/**
 * Stops what uses the volumes, prepares, restores, starts what was stopped, also by a restore of the same volumes that was killed. When
 * preparing fails, nothing has changed, and everything starts again. When the restore itself fails, containers stay stopped over volumes that are
 * half-written, and the message says so.
 * @throws what `work` throws; `volume-in-use`; `container-down` after a restore that is complete.
 */
export async function whileStopped(
  context: CommandContext<unknown>,
  { access, plan, inventory }: InDocker,
  volumes: readonly string[],
  work: OfflineWork,
  { signal, healthTimeoutMs }: { signal: AbortSignal; healthTimeoutMs: number },
): Promise<number> {
  const { output } = context;
  const { containers } = access;
  const planned = plan.stop.flat();
  await refuseTransient(containers, inventory, planned);
  const place = { folder: join(stateFolder(context.environment), 'restores'), engine: await access.identity() };
  const journal = await openRestoreJournal(place, volumes, systemClock.now());
  const onStep = ({ step, container }: ContainerStep) => {
    output.note(`${container}: ${step}`);
    output.document({ event: 'container', step, container });
  };
  const stopped = union(planned, journal.inherited.stopped);
  // What is to be started must start also when the restore itself was interrupted.
  const startOptions = { containers, signal: new AbortController().signal, onStep };
  let touched = journal.inherited.stopped.length > 0 || journal.inherited.guard !== undefined;
  let exitCode: number;
  try {
    if (stopped.length > 0) await journal.note({ stopped });
    await stopAll({ containers, signal, onStep }, plan.stop);
    const guard = await work.prepare(journal.inherited.guard);
    await journal.note(guard === undefined ? {} : { guard });
    touched = true;
    exitCode = await work.restore();
  } catch (error) {
    if (touched) {
      await journal.leave().catch(() => undefined);
      if (stopped.length > 0) output.warning(`${names(stopped)} stay stopped: the restore is not complete. Run it again; then they start`);
      throw error;
    }
    await startAll(startOptions, stopped, healthTimeoutMs).catch((problem: unknown) => output.warning((problem as Error).message));
    await journal.close();
    throw error;
  }
  try {
    await startAll({ ...startOptions, signal }, stopped, healthTimeoutMs);
  } finally {
    await journal.close();
  }
  return exitCode;
}

const names = (containers: readonly StoppedContainer[]) => containers.map(({ name }) => name).join(', ');

/** Those of an earlier restore come last: they start first, as they may be what the others depend on. */
function union(planned: readonly StoppedContainer[], inherited: readonly StoppedContainer[]): StoppedContainer[] {
  const known = new Map([...planned, ...inherited].map(({ id, name }) => [id, { id, name }]));
  return [...known.values()];
}
