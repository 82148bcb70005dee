import { setTimeout } from 'node:timers/promises';
import type { Clock } from '../model/clock.ts';

/** The system's time, for those whose waiting keeps the process alive: containers are to come back. */
export const wakefulClock: Clock = {
  now: () => new Date(),
  sleep: (durationMs, signal) => setTimeout(durationMs, undefined, signal ? { signal } : {}).catch(() => undefined),
};
