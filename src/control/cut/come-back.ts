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
  const { id, action } = entry;
  for (let attempt = 1; ; attempt++) {
    try {
      if (action === 'pause') await containers.unpause(id);
      else await containers.start(id);
      onBack?.(id);
      return undefined;
    } catch (error) {
      if ((await containers.inspect(id).catch(() => 'unknown')) === undefined) return undefined;
      if (attempt >= attempts) return down(entry, error instanceof Error ? error.message : String(error), error);
      await clock.sleep(firstWaitMs * attempt);
    }
  }
}

async function awaitHealth(
  entry: JournalEntry,
  { containers, clock, healthTimeoutMs }: ComeBackOptions,
): Promise<HoldfastError | undefined> {
  const late = clock.now().getTime() + healthTimeoutMs;
  let seen = 'it cannot be inspected';
  for (let waitMs = firstWaitMs; ; waitMs = Math.min(2 * waitMs, longestWaitMs)) {
    try {
      const details = await containers.inspect(entry.id);
      if (details === undefined) return undefined;
      if (details.state === 'running' && (details.health === undefined || details.health === 'healthy')) return undefined;
      seen = details.state === 'running' ? `its health is "${details.health}"` : `it is ${details.state}`;
    } catch (error) {
      seen = error instanceof Error ? error.message : String(error);
    }
    if (clock.now().getTime() >= late) return down(entry, `${seen} after ${healthTimeoutMs / 1000} s`);
    await clock.sleep(waitMs);
  }
}

const down = ({ name, action }: JournalEntry, why: string, cause?: unknown) =>
  new HoldfastError(
    'container-down',
    `container ${name} was ${action === 'pause' ? 'paused' : 'stopped'} for the backup and did not come back: ${why}`,
    {
      cause,
      remedy: `docker ${action === 'pause' ? 'unpause' : 'start'} ${name}; the snapshots are as good as they say`,
    },
  );
