/** Longer waits than this are not believed. */
const longestWaitMs = 60 * 60 * 1000;

/**
 * How long a server wants to be left alone, in milliseconds; undefined when it does not say so.
 * Source: RFC 9110, section 10.2.3: seconds, or a date.
 * @param header the value of `Retry-After`.
 */
export function retryAfterOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), longestWaitMs);
}
