/** How work of many requests is carried out: a few at a time, each with some patience. */
import { setTimeout } from 'node:timers/promises';
import { catalogue, HoldfastError } from '../model/errors.ts';

/** What lasts longer is left to whoever tries the whole again. */
const waitsMs = [100, 500, 2000];
const longestWaitMs = 10_000;

/** Tries a step again, up to three times, after failures that may pass. */
export async function persistently<Result>(step: () => Promise<Result>): Promise<Result> {
  for (const waitMs of waitsMs) {
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof HoldfastError) || !catalogue[error.code].retryable) throw error;
      await setTimeout(Math.min(Math.max(waitMs, error.retryAfterMs ?? 0), longestWaitMs));
    }
  }
  return step();
}

/** Works on so many items at a time. After a failure nothing more is begun, and what was begun has ended when this rejects. */
export async function fewAtOnce<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  atOnce: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const waiting = all(items);
  const workers = Array.from({ length: atOnce }, async () => {
    for (let next = await waiting.next(); !next.done; next = await waiting.next()) {
      try {
        await work(next.value);
      } catch (error) {
        await waiting.return();
        throw error;
      }
    }
  });
  await Promise.allSettled(workers);
  await Promise.all(workers);
}

/** Of which several may ask for the next item at the same time. */
async function* all<Item>(items: Iterable<Item> | AsyncIterable<Item>): AsyncGenerator<Item, void> {
  yield* items;
}
