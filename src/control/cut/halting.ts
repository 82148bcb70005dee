/** What decides whether containers can be stopped: asked of the engine before a cut is planned. */
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';
import type { Inventory } from '../../platform/platform.ts';
import { type VolumeOfCut, writersOf } from './plan.ts';
import { type HaltingFacts, type SwarmService, serviceIdOf } from './stoppable.ts';

/** Containers that are inspected at a time: an Engine with hundreds of them is left room for others. */
const atOnce = 8;

/** Looks at all that may write to the volumes; changes nothing. @throws as `Containers.inspect`. */
export async function askHalting(
  inventory: Inventory,
  volumes: readonly VolumeOfCut[],
  containers: Pick<Containers, 'inspect' | 'inspectService'>,
): Promise<HaltingFacts> {
  const writers = new Map(volumes.flatMap((volume) => writersOf(inventory, volume)).map((container) => [container.id, container]));
  const plain = [...writers.values()].filter((container) => serviceIdOf(container) === undefined);
  const vanishing = new Set<string>();
  for (let first = 0; first < plain.length; first += atOnce) {
    const some = plain.slice(first, first + atOnce);
    const details = await Promise.all(some.map(({ id }) => containers.inspect(id)));
    for (const [i, { id }] of some.entries()) if (details[i]?.removedWhenStopped === true) vanishing.add(id);
  }
  const services = new Map<string, SwarmService>();
  for (const id of new Set([...writers.values()].map(serviceIdOf))) {
    const service = id === undefined ? undefined : await readService(containers, id);
    if (service !== undefined) services.set(service.id, service);
  }
  return { vanishing, services };
}

/** A worker of a Swarm has tasks of services that it cannot tell of. */
async function readService(containers: Pick<Containers, 'inspectService'>, id: string): Promise<SwarmService | undefined> {
  try {
    const details = await containers.inspectService(id);
    return details && { id, name: details.name, replicas: details.replicas };
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'engine') return undefined;
    throw error;
  }
}
