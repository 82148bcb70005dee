import { setTimeout } from 'node:timers/promises';

/** Works until the abort, every so many milliseconds; a failure is told of, and the next time comes all the same. */
export async function repeatedly(
  work: () => Promise<void>,
  everyMs: number,
  signal: AbortSignal,
  onFailure: (error: unknown) => void,
): Promise<void> {
  while (!signal.aborted) {
    await work().catch(onFailure);
    await setTimeout(everyMs, undefined, { signal }).catch(() => undefined);
  }
}
