/** At the start of every command: containers that a killed run left halted come back. */
import { closeSync, openSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type FoundJournal, findJournals, type Journal, reachNames } from '../control/cut/journal.ts';
import { HoldfastError } from '../model/errors.ts';
import { formatDuration } from '../model/quantities.ts';
import type { Containers } from '../platform/containers.ts';
import type { CommandContext } from './command.ts';
import { displayText } from './output/text.ts';
import { stateFolder } from './state-folder.ts';
import { wakefulClock } from './wakeful-clock.ts';

const healthTimeoutMs = 60_000;
const turnMs = 100;

/** Costs a look into a folder when there is nothing to do. What fails is told of, and keeps no command from its work. */
export async function undoInterruptedCuts(context: CommandContext<unknown>): Promise<void> {
  const { environment, output, signal } = context;
  const folder = stateFolder(environment);
  const found = await findJournals(folder);
  if (found.length === 0) return;
  for (const { journal } of found.filter(({ life }) => life === 'unknown')) {
    output.warning(
      `run ${journal.run} may have left containers halted, and it cannot be told from here whether it still works: ${namesOf(journal)}`,
    );
  }
  if (!found.some(({ life }) => life === 'dead')) return;
  const leave = await takeTurn(folder, signal);
  if (leave === undefined) return;
  try {
    // Somebody else may have done it meanwhile.
    for (const left of (await findJournals(folder)).filter(({ life }) => life === 'dead')) await undo(left, context);
  } finally {
    leave();
  }
}

async function undo(left: FoundJournal, { environment, output, signal }: CommandContext<unknown>): Promise<void> {
  const { journal } = left;
  const startedMs = performance.now();
  const { undoCut } = await import('../control/cut/undo.ts');
  const undone = await undoCut(left, {
    stateFolder: stateFolder(environment),
    connect: (of) => connect(of, environment),
    healthTimeoutMs,
    onLateStops: (containers) =>
      output.warning(
        `run ${journal.run} was killed while it stopped containers; waiting for those that may still end, to start them again: ${displayText(containers.join(', '))}`,
      ),
    clock: wakefulClock,
    signal,
  }).catch((error: unknown) => {
    // Such as a disk that is full.
    if (!(error instanceof HoldfastError)) throw error;
    return { isBack: false, failures: [error] };
  });
  for (const failure of undone.failures) output.error(failure);
  if (journal.groups.flat().length === 0) return;
  const took = formatDuration(performance.now() - startedMs);
  output.warning(
    undone.isBack
      ? `run ${journal.run} was killed; brought back what it had halted: ${namesOf(journal)} (${took})`
      : `run ${journal.run} was killed, and not all that it had halted is back; the next command tries again: ${namesOf(journal)}`,
  );
}

/**
 * One process at a time, so that hooks are run once; the kernel gives the turn back when a process ends.
 * @returns how to give it back; undefined after an abort. Where no such file can be made, all have their turn.
 */
async function takeTurn(folder: string, signal: AbortSignal): Promise<(() => void) | undefined> {
  const { holdLock } = await import('./kernel-lock.ts');
  const path = join(folder, 'undoing');
  while (!signal.aborted) {
    try {
      // Whoever could read it could keep everybody waiting.
      closeSync(openSync(path, 'a', 0o600));
      const leave = holdLock(path);
      if (leave !== undefined) return leave;
    } catch {
      return () => undefined;
    }
    await setTimeout(turnMs, undefined, { signal }).catch(() => undefined);
  }
  return undefined;
}

const namesOf = ({ groups }: Journal) =>
  displayText(
    groups
      .flat()
      .map(({ name }) => name)
      .join(', ') || 'none',
  );

/** The engine that the killed run had found. */
async function connect({ reach }: Journal, environment: NodeJS.ProcessEnv): Promise<Containers> {
  const [{ findEndpoint }, { createDockerEngine }, { createDockerContainers }] = await Promise.all([
    import('../platform/docker/endpoint.ts'),
    import('../platform/docker/engine.ts'),
    import('../platform/docker/containers.ts'),
  ]);
  const others = Object.entries(environment).filter(([name]) => !reachNames.some((own) => own === name));
  const given = { ...Object.fromEntries(others), ...reach };
  return createDockerContainers(
    createDockerEngine(await findEndpoint({ environment: given, home: environment.HOME || homedir(), uid: process.getuid?.() })),
  );
}
