/** Stopping containers, and starting them again until they are well. */
import { setTimeout } from 'node:timers/promises';
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';

export type ContainerName = { id: string; name: string };

/** What became of a container, for people and programs. */
export type ContainerStep = { step: 'stopped' | 'started'; container: string };

export type StopOptions = {
  containers: Pick<Containers, 'inspect' | 'stop' | 'start'>;
  signal: AbortSignal;
  onStep: (step: ContainerStep) => void;
};

/** How long a container has to end before it is killed. Databases may take long to write what they hold. */
const stopTimeoutMs = 30_000;
const pollMs = 250;
/** How long one without a health check must run to count as started: one that cannot start ends at once. */
const steadyMs = 1000;

/** Refuses before anything is stopped what would be gone once it is. @throws `volume-in-use`. */
export async function refuseTransient(containers: Pick<Containers, 'inspect'>, stop: readonly ContainerName[]): Promise<void> {
  for (const { id, name } of stop) {
    const details = await containers.inspect(id);
    if (details?.removedWhenStopped !== true) continue;
    throw new HoldfastError('volume-in-use', `container ${name} mounts the volume, and would be removed when it stops (--rm)`, {
      remedy: `end it yourself: docker stop ${name}`,
    });
  }
}

/** One after the other, in the order given. Harmless for those that don't run. */
export async function stopAll({ containers, signal, onStep }: StopOptions, stop: readonly ContainerName[]): Promise<void> {
  for (const { id, name } of stop) {
    if (signal.aborted) throw interruption(signal);
    await containers.stop(id, { timeoutMs: stopTimeoutMs });
    onStep({ step: 'stopped', container: name });
  }
}

/**
 * Starts containers in the reverse of the order in which they were stopped. Each must be well before the next one starts: healthy where it
 * has a health check, else running for a second. All are tried.
 * @param timeoutMs for each.
 * @throws `container-down` naming all that are not well.
 */
export async function startAll(options: StopOptions, stopped: readonly ContainerName[], timeoutMs: number): Promise<void> {
  const down: string[] = [];
  for (const { id, name } of stopped.toReversed()) {
    try {
      if ((await options.containers.inspect(id)) === undefined) {
        down.push(`${name} is gone`);
        continue;
      }
      await options.containers.start(id);
      options.onStep({ step: 'started', container: name });
      const state = await awaitHealth(options, id, timeoutMs);
      if (state !== undefined) down.push(`${name} ${state}`);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      down.push(`${name}: ${error.message}`);
    }
  }
  if (down.length === 0) return;
  throw new HoldfastError('container-down', `not all containers came back: ${down.join('; ')}`, {
    remedy: 'look at `docker ps -a` and `docker logs CONTAINER`',
  });
}

/** @returns what is wrong; undefined when the container is well. */
export async function awaitHealth(
  { containers, signal }: Pick<StopOptions, 'containers' | 'signal'>,
  id: string,
  timeoutMs: number,
): Promise<string | undefined> {
  const beginMs = performance.now();
  for (;;) {
    const details = await containers.inspect(id);
    const elapsedMs = performance.now() - beginMs;
    if (details === undefined) return 'is gone';
    if (details.state === 'stopped') return 'has ended';
    if (details.health === 'unhealthy') return 'is unhealthy';
    if (details.health === 'healthy') return undefined;
    if (details.health === undefined && details.state === 'running' && elapsedMs >= Math.min(steadyMs, timeoutMs)) return undefined;
    if (elapsedMs >= timeoutMs) return `is not healthy after ${Math.round(timeoutMs / 1000)} s`;
    if (signal.aborted) throw interruption(signal);
    await setTimeout(pollMs, undefined, { signal }).catch(() => undefined);
  }
}

const interruption = ({ reason }: AbortSignal) =>
  reason instanceof HoldfastError ? reason : new HoldfastError('interrupted', 'interrupted');
