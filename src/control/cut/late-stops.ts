/** Stops that a killed run had asked for: the engine goes on with them, so that a container that still runs may end yet. */
import type { Clock } from '../../model/clock.ts';
import type { Containers } from '../../platform/containers.ts';
import type { JournalEntry } from './journal.ts';

type Stop = Extract<JournalEntry, { action: 'stop' }>;

/** What may end yet, and until when, in milliseconds since 1970. */
export type LateStops = { stops: readonly Stop[]; untilMs: number };

export type LateStopOptions = { containers: Pick<Containers, 'inspect' | 'start'>; clock: Clock; signal: AbortSignal };

/** Of journals that don't say. */
const usualTimeoutMs = 30_000;
/** What an engine needs beyond the time that a container has to end. */
const slackMs = 5_000;
const pollMs = 100;

/**
 * Asks before anything is brought back. Groups are halted one after the other: only in the first one that runs can a stop be under way.
 * @param atMs when the journal was written.
 */
export async function findLateStops(
  groups: readonly (readonly JournalEntry[])[],
  atMs: number,
  { containers, clock }: Pick<LateStopOptions, 'containers' | 'clock'>,
): Promise<LateStops> {
  const nowMs = clock.now().getTime();
  let allowedMs = slackMs;
  for (const group of groups) {
    const stops = group.filter((entry) => entry.action === 'stop');
    allowedMs += Math.max(0, ...stops.map(({ timeoutMs = usualTimeoutMs }) => timeoutMs));
    const details = await Promise.all(stops.map(({ id }) => containers.inspect(id).catch(() => undefined)));
    const running = stops.filter((_, i) => details[i] !== undefined && details[i]?.state !== 'stopped');
    // By a clock that was put back, it would seem to take longer.
    if (running.length > 0) return { stops: running, untilMs: Math.min(atMs, nowMs) + allowedMs };
  }
  return { stops: [], untilMs: nowMs };
}

/** Starts what ends in that time. @returns whether all of it is settled: not so after an abort. @throws as `Containers.start`. */
export async function startAfterLateStops({ stops, untilMs }: LateStops, { containers, clock, signal }: LateStopOptions): Promise<boolean> {
  const left = new Map(stops.map((stop) => [stop.id, stop]));
  while (left.size > 0 && clock.now().getTime() < untilMs) {
    if (signal.aborted) return false;
    for (const id of left.keys()) {
      const details = await containers.inspect(id);
      if (details !== undefined && details.state !== 'stopped') continue;
      if (details !== undefined) await containers.start(id);
      left.delete(id);
    }
    if (left.size > 0) await clock.sleep(pollMs, signal);
  }
  return true;
}
