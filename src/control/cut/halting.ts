/** What decides whether containers can be stopped: asked of the engine before a cut is planned. */
import { HoldfastError } from '../../model/errors.ts';
import type { ContainerDetails, Containers } from '../../platform/containers.ts';
import { isInMemory, isMountedOnDemand } from '../../platform/mounted-on-demand.ts';
import type { Inventory, PlatformContainer } from '../../platform/platform.ts';
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
  const read = new Set(volumes.map(({ engineVolume }) => engineVolume));
  const unstoppable = new Map<string, string>();
  for (const container of writers.values()) {
    const reason = lossOf(container, inventory) ?? mountOf(container, inventory, read);
    if (reason !== undefined) unstoppable.set(container.id, reason);
  }
  const stopTimeoutsMs = new Map<string, number>();
  for (const [id, { removedWhenStopped, stopTimeoutMs }] of await inspectAll(plain, containers)) {
    if (removedWhenStopped) unstoppable.set(id, 'would be removed when it stops (--rm)');
    if (stopTimeoutMs !== undefined) stopTimeoutsMs.set(id, stopTimeoutMs);
  }
  const services = new Map<string, SwarmService>();
  for (const id of new Set([...writers.values()].map(serviceIdOf))) {
    const service = id === undefined ? undefined : await readService(containers, id);
    if (service !== undefined) services.set(service.id, service);
  }
  return { unstoppable, services, stopTimeoutsMs };
}

/** Ids of those that the engine removes when they end. @throws as `Containers.inspect`. */
export async function removedWhenStopped(
  some: readonly { id: string }[],
  containers: Pick<Containers, 'inspect'>,
): Promise<readonly string[]> {
  return [...(await inspectAll(some, containers))].filter(([, details]) => details.removedWhenStopped).map(([id]) => id);
}

/** By id; those that are gone are not there. */
async function inspectAll(
  some: readonly { id: string }[],
  containers: Pick<Containers, 'inspect'>,
): Promise<ReadonlyMap<string, ContainerDetails>> {
  const all = new Map<string, ContainerDetails>();
  for (let first = 0; first < some.length; first += atOnce) {
    const ids = some.slice(first, first + atOnce).map(({ id }) => id);
    const found = await Promise.all(ids.map((id) => containers.inspect(id)));
    for (const [i, details] of found.entries()) if (details !== undefined) all.set(ids[i] as string, details);
  }
  return all;
}

const usedBy = ({ mounts }: PlatformContainer, { volumes }: Pick<Inventory, 'volumes'>) => {
  const names = new Set(mounts.flatMap(({ kind, from }) => (kind === 'volume' ? [from] : [])));
  return volumes.filter(({ name }) => names.has(name));
};

/** Why a container would lose data when it stops: what is in memory is gone with the last container that uses it. Completes "container x ...". */
export function lossOf(container: PlatformContainer, inventory: Pick<Inventory, 'volumes'>): string | undefined {
  const inMemory = usedBy(container, inventory).find(isInMemory);
  return inMemory && `holds the volume ${inMemory.name} in memory (tmpfs), and would lose it when it stops`;
}

/** What is mounted for containers would be gone when it is to be read. */
function mountOf(container: PlatformContainer, inventory: Inventory, read: ReadonlySet<string | undefined>): string | undefined {
  const mounted = usedBy(container, inventory).find((volume) => read.has(volume.name) && isMountedOnDemand(volume));
  return mounted && `has the volume ${mounted.name}, which is mounted only while it runs`;
}

/** A worker of a Swarm has tasks of services that it cannot tell of, and a proxy of the socket may keep them from us. */
async function readService(containers: Pick<Containers, 'inspectService'>, id: string): Promise<SwarmService | undefined> {
  try {
    const details = await containers.inspectService(id);
    return details && { id, name: details.name, replicas: details.replicas };
  } catch (error) {
    if (error instanceof HoldfastError && (error.code === 'engine' || error.code === 'engine-denied')) return undefined;
    throw error;
  }
}
