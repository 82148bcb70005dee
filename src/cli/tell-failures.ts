const againMs = 3_600_000;
/** So many different ones an hour are told of: a log that is full of them helps nobody. */
const mostTold = 100;

/**
 * Tells of failures, of those that come again and again once an hour; two are the same when they have the same message.
 * @param nowMs that only grows; a test's own.
 */
export function onceAnHour(tell: (error: unknown) => void, nowMs: () => number = () => performance.now()): (error: unknown) => void {
  const toldMs = new Map<string, number>();
  return (error) => {
    for (const [message, atMs] of toldMs) if (nowMs() - atMs >= againMs) toldMs.delete(message);
    const message = error instanceof Error ? error.message : String(error);
    if (toldMs.has(message) || toldMs.size >= mostTold) return;
    toldMs.set(message, nowMs());
    tell(error);
  };
}
