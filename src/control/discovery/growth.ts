/** How fast a volume grows, from the sizes that its snapshots had; and when it is full. */

export type Measurement = { timeMs: number; bytes: number };

const dayMs = 86_400_000;
/** What was longer ago says little about tomorrow. */
export const growthWindowMs = 30 * dayMs;
/** Over less than this, a chance download looks like a trend. */
const leastMs = dayMs / 2;

/** Bytes a day, by least squares over the last 30 days; undefined when the snapshots span less than half a day. */
export function growthPerDay(measurements: readonly Measurement[], nowMs: number): number | undefined {
  const recent = measurements.filter(({ timeMs }) => nowMs - timeMs <= growthWindowMs);
  const times = recent.map(({ timeMs }) => timeMs);
  if (recent.length < 2 || Math.max(...times) - Math.min(...times) < leastMs) return undefined;
  const meanTime = times.reduce((a, b) => a + b, 0) / recent.length;
  const meanBytes = recent.reduce((sum, { bytes }) => sum + bytes, 0) / recent.length;
  let [above, below] = [0, 0];
  for (const { timeMs, bytes } of recent) {
    above += (timeMs - meanTime) * (bytes - meanBytes);
    below += (timeMs - meanTime) ** 2;
  }
  return Math.round((above / below) * dayMs);
}

/** Days until a volume has its declared size, or its file system no room; undefined when it does not grow, or neither is known. */
export function daysUntilFull(facts: {
  usedBytes: number | undefined;
  sizeBytes: number | undefined;
  freeBytes: number | undefined;
  growthBytesPerDay: number | undefined;
}): number | undefined {
  const { usedBytes, sizeBytes, freeBytes, growthBytesPerDay: growth } = facts;
  if (growth === undefined || growth <= 0) return undefined;
  const rooms = [usedBytes === undefined || sizeBytes === undefined ? undefined : sizeBytes - usedBytes, freeBytes].filter(
    (room) => room !== undefined,
  );
  return rooms.length === 0 ? undefined : Math.max(0, Math.min(...rooms)) / growth;
}
