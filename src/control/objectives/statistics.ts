/** Statistics that a few wild values don't move. Pure. */

/** Undefined of nothing. */
export function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** 1.4826 median absolute deviations are a standard deviation, where values are normally distributed. */
const deviationsPerMad = 1.4826;

/** Robust standard deviation about the median; 0 of nothing. */
export function spread(values: readonly number[]): number {
  const middle = median(values);
  if (middle === undefined) return 0;
  return deviationsPerMad * (median(values.map((value) => Math.abs(value - middle))) as number);
}

/**
 * How long it may take the next time: what is usual and three deviations, or where the last five times lead if they were longer than the
 * five before. Undefined of nothing.
 * @param durationsMs the newest last.
 */
export function longestNext(durationsMs: readonly number[]): number | undefined {
  const recent = durationsMs.slice(-10);
  const usual = median(recent);
  if (usual === undefined) return undefined;
  const [before, last] = [median(recent.slice(0, -5)), median(recent.slice(-5)) as number];
  const trend = before === undefined || recent.length < 10 ? 0 : 2 * last - before;
  return Math.max(usual + 3 * spread(recent), trend);
}
