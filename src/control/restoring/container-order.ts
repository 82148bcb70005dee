/** In which order containers are stopped and started: as Compose does it. Pure. */
import type { PlatformContainer } from '../../platform/platform.ts';

/**
 * Those that others depend on come last; what depends on itself in a circle is in any order. Of containers without known dependencies (Compose
 * 1 doesn't record them) the order is that of their names.
 */
export function stopOrder(containers: readonly PlatformContainer[]): PlatformContainer[] {
  const sorted = [...containers].sort((a, b) => (a.name < b.name ? -1 : 1));
  const started: PlatformContainer[] = [];
  const seen = new Set<PlatformContainer>();
  const visit = (container: PlatformContainer): void => {
    if (seen.has(container)) return;
    seen.add(container);
    for (const { service } of container.dependsOn) {
      for (const other of sorted) if (other.project === container.project && other.service === service) visit(other);
    }
    started.push(container);
  };
  for (const container of sorted) visit(container);
  return started.reverse();
}
