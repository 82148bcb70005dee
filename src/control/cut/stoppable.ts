/** Whether containers can be stopped for a cut. Pure. */
import type { PlatformContainer } from '../../platform/platform.ts';

/** A service of Swarm, which starts other tasks instead of those that are stopped. */
export type SwarmService = {
  id: string;
  name: string;
  /** Undefined when it isn't replicated. */
  replicas: number | undefined;
};

export type HaltingFacts = {
  /** Containers that are not to be stopped, by id, and why: it completes "container x ...". */
  unstoppable: ReadonlyMap<string, string>;
  /** By id; those that the engine doesn't tell of, because it manages no Swarm, are not there. */
  services: ReadonlyMap<string, SwarmService>;
  /** How long containers want to be given to end (`stop_grace_period`), by id, in milliseconds; those that don't say are not there. */
  stopTimeoutsMs: ReadonlyMap<string, number>;
};

const serviceLabel = 'com.docker.swarm.service.id';
export const serviceIdOf = ({ labels }: PlatformContainer): string | undefined => labels[serviceLabel];

/** Why a container must not be stopped, for people: it completes "container x ..."; undefined when it can be. */
export function whyUnstoppable(container: PlatformContainer, { unstoppable, services }: HaltingFacts): string | undefined {
  const known = unstoppable.get(container.id);
  if (known !== undefined) return known;
  const id = serviceIdOf(container);
  if (id === undefined) return undefined;
  const service = services.get(id);
  if (service === undefined)
    return 'belongs to a Swarm service, and this Engine, which manages no Swarm or keeps its services to itself, cannot scale it';
  if (service.replicas === undefined)
    return `belongs to the Swarm service ${service.name}, which is not replicated and cannot be scaled to 0`;
  return undefined;
}
