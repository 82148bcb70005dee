/** Stopping containers, and starting them again until they are well. */
import { setTimeout } from 'node:timers/promises';
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';
import type { Inventory } from '../../platform/platform.ts';
import { lossOf, removedWhenStopped } from '../cut/halting.ts';

export type ContainerName = { id: string; name: string };

/** What became of a container, for people and programs. */
export type ContainerStep = { step: 'stopped' | 'started'; container: string };

export type StopOptions = {
  containers: Pick<Containers, 'inspect' | 'stop' | 'start'>;
  signal: AbortSignal;
  onStep: (step: ContainerStep) => void;
};

/** How long a container has to end before it is killed, if it doesn't say so itself. Databases may take long to write what they hold. */
const stopTimeoutMs = 30_000;
const pollMs = 250;
/** How long one without a health check must run to count as started: one that cannot start ends at once. */
const steadyMs = 1000;

/** Refuses before anything is stopped what would be gone once it is: containers, and what they hold in memory. @throws `volume-in-use`. */
export async function refuseTransient(
  containers: Pick<Containers, 'inspect'>,
  inventory: Inventory,
  stop: readonly ContainerName[],
): Promise<void> {
  const removed = new Set(await removedWhenStopped(stop, containers));
  for (const { id, name } of stop) {
    const container = inventory.containers.find((known) => known.id === id);
    const reason = removed.has(id) ? 'would be removed when it stops (--rm)' : container && lossOf(container, inventory);
    if (reason === undefined) continue;
    throw new HoldfastError('volume-in-use', `container ${name} mounts the volume, and ${reason}`, {
      remedy: `if that may go, end it yourself, then run again: docker stop ${name}`,
    });
  }
}

/**
 * One group after the other, those of a group together. A container has as long as it says itself (`stop_grace_period`), else 30 s. Harmless for
 * those that don't run.
 * @throws the first error, when all of the group have ended or failed.
 */
export async function stopAll({ containers, signal, onStep }: StopOptions, groups: readonly (readonly ContainerName[])[]): Promise<void> {
  const stop = async ({ id, name }: ContainerName) => {
    const details = await containers.inspect(id);
    await containers.stop(id, { timeoutMs: details?.stopTimeoutMs ?? stopTimeoutMs });
    onStep({ step: 'stopped', container: name });
  };
  for (const group of groups) {
    if (signal.aborted) throw interruption(signal);
    const stopping = group.map(stop);
    await Promise.allSettled(stopping);
    await Promise.all(stopping);
  }
}

/** For containers that are noted in their order only. */
export const oneByOne = (stop: readonly ContainerName[]): ContainerName[][] => stop.map((container) => [container]);

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
