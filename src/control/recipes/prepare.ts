/** What applications are asked around a cut: how they persist, to write out what they hold, to let writes wait while they are halted. */
import { join } from 'node:path';
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';
import type { Inventory, PlatformContainer } from '../../platform/platform.ts';
import { type ApplicationFacts, type CutPlan, type VolumeOfCut, writersOf } from '../cut/plan.ts';
import { applicationOfImage } from './application.ts';
import { dumpDatabases } from './databases.ts';
import { holdWrites, isAppendOnly, type RedisContext, releaseWrites, saveInBackground } from './redis.ts';

export type ApplicationContext = { containers: Containers; clock: Clock; signal: AbortSignal };

/** What an application does right before its container is halted, and when it runs again. */
export type HeldApplication = { container: string; hold(): Promise<void>; release(): Promise<void> };

const redisOf = (context: ApplicationContext, { id, name }: PlatformContainer): RedisContext => ({ ...context, id, name });

/** Asks what a plan depends on; changes nothing. @param hostname of this process: in a container it is the beginning of the container's id. */
export async function askApplications(
  inventory: Inventory,
  volumes: readonly VolumeOfCut[],
  hostname: string,
  context: ApplicationContext,
): Promise<ApplicationFacts> {
  const redis = new Map<string, PlatformContainer>();
  for (const volume of volumes) {
    for (const container of writersOf(inventory, volume)) {
      const isRedis = (volume.app ?? applicationOfImage(container.image)) === 'redis';
      if (isRedis && container.state === 'running') redis.set(container.id, container);
    }
  }
  const answers = await Promise.all(
    [...redis.values()].map(async (container) => [container.id, await isAppendOnly(redisOf(context, container))] as const),
  );
  const own = /^[0-9a-f]{12,64}$/.test(hostname) ? inventory.containers.find(({ id }) => id.startsWith(hostname)) : undefined;
  return { redisAppendOnly: new Map(answers), ownContainer: own?.id };
}

/** Redis with an append-only file, before it is paused. */
export function heldApplications(plan: CutPlan, facts: ApplicationFacts, context: ApplicationContext): HeldApplication[] {
  const paused = plan.halts.flat().filter(({ container: { id }, action }) => action === 'pause' && facts.redisAppendOnly.get(id) === true);
  return paused.map(({ container }) => ({
    container: container.id,
    hold: () => holdWrites(redisOf(context, container)),
    release: () => releaseWrites(redisOf(context, container)),
  }));
}

/**
 * Dumps what is to be dumped, one after the other.
 * @param folder each dump gets a folder of the volume's name in it. Redis needs none: it saves into its volume.
 * @returns for each volume that was to be dumped where it is read from instead, undefined for its own place, or what failed.
 */
export async function dumpApplications(
  plan: CutPlan,
  folder: string,
  context: ApplicationContext,
): Promise<Map<string, string | undefined | HoldfastError>> {
  const dumped = new Map<string, string | undefined | HoldfastError>();
  for (const { name, way, app, writers } of plan.volumes) {
    const [container] = writers;
    if (way !== 'dump' || app === undefined || app === 'sqlite' || container === undefined) continue;
    try {
      if (app === 'redis') await saveInBackground(redisOf(context, container));
      else await dumpDatabases(app, join(folder, name), { ...context, id: container.id, name: container.name });
      dumped.set(name, app === 'redis' ? undefined : join(folder, name));
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code === 'interrupted') throw error;
      dumped.set(name, error);
    }
  }
  return dumped;
}
