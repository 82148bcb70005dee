import { setTimeout } from 'node:timers/promises';

/** Server-sent events, as the HTML standard has them (https://html.spec.whatwg.org/multipage/server-sent-events.html). */

/** JSON has no line breaks of its own. */
export const frame = ({ id, event, data }: { id?: string; event: string; data: unknown }): string =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

export const keepAlive = ': \n\n';
const keepAliveMs = 15_000;

/** Waits for news. `quiet` when there was none for so long that the connection should show that it lives. Ends at the abort, too. */
export async function nextOf(news: Promise<void>, signal: AbortSignal): Promise<'news' | 'quiet'> {
  const done = new AbortController();
  const either = AbortSignal.any([signal, done.signal]);
  try {
    return await Promise.race([
      news.then(() => 'news' as const),
      setTimeout(keepAliveMs, 'quiet' as const, { ref: false, signal: either }).catch(() => 'news' as const),
    ]);
  } finally {
    done.abort();
  }
}
