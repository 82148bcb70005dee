/** At the start of every command: containers that a killed run left halted come back. */
import { findJournals, type Journal } from '../control/cut/journal.ts';
import { formatDuration } from '../model/quantities.ts';
import type { Containers } from '../platform/containers.ts';
import type { CommandContext } from './command.ts';
import { displayText } from './output/text.ts';
import { stateFolder } from './state-folder.ts';
import { wakefulClock } from './wakeful-clock.ts';

const healthTimeoutMs = 60_000;

/** Costs a look into a folder when there is nothing to do. What fails is told of, and keeps no command from its work. */
export async function undoInterruptedCuts({ environment, output, signal }: CommandContext<unknown>): Promise<void> {
  const folder = stateFolder(environment);
  const found = await findJournals(folder);
  if (found.length === 0) return;
  for (const { journal } of found.filter(({ life }) => life === 'unknown')) {
    output.warning(
      `run ${journal.run} may have left containers halted, and it cannot be told from here whether it still works: ${namesOf(journal)}`,
    );
  }
  for (const left of found.filter(({ life }) => life === 'dead')) {
    const { journal } = left;
    const startedMs = performance.now();
    const { undoCut } = await import('../control/cut/undo.ts');
    const undone = await undoCut(left, {
      stateFolder: folder,
      connect: (of) => connect(of, environment),
      healthTimeoutMs,
      onLateStops: (containers) =>
        output.warning(
          `run ${journal.run} was killed while it stopped containers; waiting for those that may still end, to start them again: ${displayText(containers.join(', '))}`,
        ),
      clock: wakefulClock,
      signal,
    });
    for (const failure of undone.failures) output.error(failure);
    if (undone.containers.length === 0) continue;
    output.warning(
      `run ${journal.run} was killed; brought back what it had halted: ${namesOf(journal)} (${formatDuration(performance.now() - startedMs)})`,
    );
  }
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
  const given = { ...environment, DOCKER_HOST: undefined, DOCKER_CONTEXT: undefined, ...reach };
  return createDockerContainers(
    createDockerEngine(await findEndpoint({ environment: given, home: environment.HOME, uid: process.getuid?.() })),
  );
}
