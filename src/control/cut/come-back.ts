/** Bringing containers back: in order, as they were, and well. */
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';
import type { JournalEntry } from './journal.ts';

export type ComeBackOptions = {
  containers: Containers;
  clock: Clock;
  /** How long a container may take until its health check is content. */
  healthTimeoutMs: number;
  /** Whether others wait for its health before they start. */
  isAwaited?: (id: string) => boolean;
  /** Called when a container runs again. */
  onBack?: (id: string) => void;
};

const attempts = 3;
const firstWaitMs = 100;
const longestWaitMs = 1000;

/**
 * Brings back what was halted, in the reverse order; all are tried, whatever fails.
 * @returns what failed, as `container-down`, and what to wait for until all are healthy.
 */
export async function comeBack(
  groups: readonly (readonly JournalEntry[])[],
  options: ComeBackOptions,
): Promise<{ failures: HoldfastError[]; health: Promise<HoldfastError[]> }> {
  const failures: HoldfastError[] = [];
  const waiting: Promise<HoldfastError | undefined>[] = [];
  for (const group of groups.toReversed()) {
    const results = await Promise.all(group.map((entry) => resume(entry, options)));
    failures.push(...results.filter((error) => error !== undefined));
    const back = group.filter((_, i) => results[i] === undefined);
    const health = back.map((entry) => ({ entry, healthy: awaitHealth(entry, options) }));
    waiting.push(...health.map(({ healthy }) => healthy));
    await Promise.all(health.filter(({ entry }) => options.isAwaited?.(entry.id)).map(({ healthy }) => healthy));
  }
  const health = Promise.all(waiting).then((errors) => errors.filter((error) => error !== undefined));
  return { failures, health };
}

/** A container that somebody has removed meanwhile was not lost by us. */
async function resume(entry: JournalEntry, { containers, clock, onBack }: ComeBackOptions): Promise<HoldfastError | undefined> {
  const { id } = entry;
  for (let attempt = 1; ; attempt++) {
    try {
      await undo(entry, containers);
      onBack?.(id);
      return undefined;
    } catch (error) {
      if (entry.action !== 'scale' && (await containers.inspect(id).catch(() => 'unknown')) === undefined) return undefined;
      if (attempt >= attempts) return down(entry, error instanceof Error ? error.message : String(error), error);
      await clock.sleep(firstWaitMs * attempt);
    }
  }
}

async function undo(entry: JournalEntry, containers: Containers): Promise<void> {
  const { id } = entry;
  if (entry.action === 'scale') {
    // A service that is gone, or was scaled by somebody else meanwhile, is theirs to say.
    if ((await containers.inspectService(id))?.replicas === 0) await containers.scaleService(id, entry.replicas);
  } else if (entry.action === 'pause') await containers.unpause(id);
  else await containers.start(id);
}

async function awaitHealth(
  entry: JournalEntry,
  { containers, clock, healthTimeoutMs }: ComeBackOptions,
): Promise<HoldfastError | undefined> {
  const late = clock.now().getTime() + healthTimeoutMs;
  let seen = 'it cannot be inspected';
  for (let waitMs = firstWaitMs; ; waitMs = Math.min(2 * waitMs, longestWaitMs)) {
    try {
      const wrong = entry.action === 'scale' ? await shortageOf(entry.id, containers) : await illnessOf(entry.id, containers);
      if (wrong === undefined) return undefined;
      seen = wrong;
    } catch (error) {
      seen = error instanceof Error ? error.message : String(error);
    }
    if (clock.now().getTime() >= late) return down(entry, `${seen} after ${healthTimeoutMs / 1000} s`);
    await clock.sleep(waitMs);
  }
}

/** What is wrong with a container; undefined when it is well, or gone. */
async function illnessOf(id: string, containers: Containers): Promise<string | undefined> {
  const details = await containers.inspect(id);
  if (details === undefined) return undefined;
  if (details.state !== 'running') return `it is ${details.state}`;
  return details.health === undefined || details.health === 'healthy' ? undefined : `its health is "${details.health}"`;
}

/** Swarm counts a task as running when it is healthy. */
async function shortageOf(id: string, containers: Containers): Promise<string | undefined> {
  const service = await containers.inspectService(id);
  if (service?.replicas === undefined || service.running >= service.replicas) return undefined;
  return `${service.running} of its ${service.replicas} tasks run`;
}

const down = (entry: JournalEntry, why: string, cause?: unknown) => {
  const { name, action } = entry;
  const what = { pause: `container ${name} was paused`, stop: `container ${name} was stopped`, scale: `service ${name} was scaled to 0` }[
    action
  ];
  const again =
    entry.action === 'scale' ? `service scale ${name}=${entry.replicas}` : `${action === 'pause' ? 'unpause' : 'start'} ${name}`;
  return new HoldfastError('container-down', `${what} for the backup and did not come back: ${why}`, {
    cause,
    remedy: `docker ${again}; the snapshots are as good as they say`,
  });
};
