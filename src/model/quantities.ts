/** Durations and sizes as people write them, in configuration, options and output. Durations are milliseconds, sizes are bytes. */

const durationUnitsMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, y: 31_536_000_000 } as const;
type DurationUnit = keyof typeof durationUnitsMs;

/** What {@link parseDuration} accepts, as a regular expression for schemas. */
export const durationPattern = /^(?:\d+(?:\.\d+)?(?:ms|[smhdwy]))+$/;

/**
 * Milliseconds of a duration: a number and a unit (`ms`, `s`, `m`inutes, `h`, `d`, `w`, `y`ears of 365 days), one or more
 * times: `90d`, `1h30m`, `1.5h`. There are no months. Undefined when the text is not one, or is beyond 2^53 milliseconds.
 */
export function parseDuration(text: string): number | undefined {
  if (!durationPattern.test(text)) return undefined;
  let totalMs = 0;
  for (const [, count, unit] of text.matchAll(/([\d.]+)(ms|[smhdwy])/g)) totalMs += Number(count) * durationUnitsMs[unit as DurationUnit];
  const rounded = Math.round(totalMs);
  return Number.isSafeInteger(rounded) ? rounded : undefined;
}

/**
 * A duration for people, which {@link parseDuration} reads: its two largest units, the rest cut off (`1h30m`, `90d`,
 * `4m5s`); below ten seconds with milliseconds (`3.2s`, `350ms`).
 */
export function formatDuration(durationMs: number): string {
  const wholeMs = Math.max(0, Math.round(durationMs));
  if (wholeMs === 0) return '0s';
  if (wholeMs < 1_000) return `${wholeMs}ms`;
  if (wholeMs < 10_000) return `${Math.floor(wholeMs / 100) / 10}s`;
  const units: DurationUnit[] = ['d', 'h', 'm', 's'];
  const first = units.findIndex((unit) => wholeMs >= durationUnitsMs[unit]);
  let out = '';
  let restMs = wholeMs;
  for (const unit of units.slice(first, first + 2)) {
    const count = Math.floor(restMs / durationUnitsMs[unit]);
    restMs -= count * durationUnitsMs[unit];
    if (count > 0) out += `${count}${unit}`;
  }
  return out;
}

const sizeLetters = 'kmgtpe';

/** What {@link parseSize} accepts, as a regular expression for schemas. */
export const sizePattern = /^\d+(?:\.\d+)? ?(?:[kKMGTPE](?:i?B|i)?|B)?$/;

/**
 * Bytes of a size, with the units that Kubernetes uses: `50Gi` and `50GiB` are powers of 1024, `500M` and `500MB` powers of
 * 1000, a bare number or `B` is bytes. Undefined when the text is not one, or is beyond 2^53 bytes.
 */
export function parseSize(text: string): number | undefined {
  if (!sizePattern.test(text)) return undefined;
  const [, count, letter, binary] = /^([\d.]+) ?([kKMGTPE]?)(i?)/.exec(text) as unknown as [string, string, string, string];
  const power = letter === '' ? 0 : sizeLetters.indexOf(letter.toLowerCase()) + 1;
  const bytes = Math.round(Number(count) * (binary === 'i' ? 1024 : 1000) ** power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** A size for people, in powers of 1024 and three figures: `1.46 GiB`, `50 GiB`, `999 B`. {@link parseSize} reads it back, rounded. */
export function formatSize(bytes: number): string {
  let value = Math.max(0, bytes);
  let power = 0;
  // 999.5 and above would print as four figures of the smaller unit.
  while (power < sizeLetters.length && value >= (power === 0 ? 1024 : 999.5)) {
    value /= 1024;
    power += 1;
  }
  if (power === 0) return `${Math.round(value)} B`;
  const figures = Number(value.toPrecision(3));
  return `${figures} ${(sizeLetters[power - 1] as string).toUpperCase()}iB`;
}
