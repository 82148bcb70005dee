/** In which order containers are halted and come back. Pure. */
import type { PlatformContainer } from '../../platform/platform.ts';

/**
 * Containers in groups: all of a group are halted together, those that others depend on in later groups. They come back in the reverse order.
 * What is between two of them, and is not halted itself, counts. Of what depends on itself in a circle any order is as good.
 */
export function haltGroups(halted: readonly PlatformContainer[], all: readonly PlatformContainer[]): PlatformContainer[][] {
  const services = new Map<string, PlatformContainer[]>();
  for (const container of all) {
    const key = serviceKey(container.project, container.service);
    services.set(key, [...(services.get(key) ?? []), container]);
  }
  const depths = new Map<string, number>();
  const depthOf = (container: PlatformContainer): number => {
    const known = depths.get(container.id);
    if (known !== undefined) return known;
    depths.set(container.id, 0);
    let depth = 0;
    for (const { service } of container.dependsOn) {
      for (const needed of services.get(serviceKey(container.project, service)) ?? []) depth = Math.max(depth, depthOf(needed) + 1);
    }
    depths.set(container.id, depth);
    return depth;
  };
  const groups = new Map<number, PlatformContainer[]>();
  for (const container of halted) groups.set(depthOf(container), [...(groups.get(depthOf(container)) ?? []), container]);
  return [...groups].sort(([a], [b]) => b - a).map(([, group]) => group.sort((a, b) => (a.name < b.name ? -1 : 1)));
}

const serviceKey = (project: string | undefined, service: string | undefined) => `${project ?? ''}\n${service ?? ''}`;

/** Whether something waits for a container's health check before it starts. */
export const isAwaitedHealthy = (container: PlatformContainer, others: readonly PlatformContainer[]): boolean =>
  others.some(
    (other) =>
      other.project === container.project &&
      other.dependsOn.some(({ service, condition }) => service === container.service && condition === 'service_healthy'),
  );
