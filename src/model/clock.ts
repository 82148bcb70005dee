/** Time as a dependency, so that tests can own it. */
export interface Clock {
  now(): Date;
  /** Resolves after the time, or as soon as the signal aborts. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}
