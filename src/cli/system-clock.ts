import { setTimeout } from 'node:timers/promises';
import type { Clock } from '../model/clock.ts';

/** The system's time; waiting does not keep the process alive. */
export const systemClock: Clock = {
  now: () => new Date(),
  sleep: (durationMs, signal) => setTimeout(durationMs, undefined, { ref: false, ...(signal ? { signal } : {}) }).catch(() => undefined),
};
