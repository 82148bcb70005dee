import { formatSize } from '../../model/quantities.ts';

/** Quantities as the command line shows them, beyond the sizes and durations of `model/quantities.ts`. */

/** `40,124`, or with a noun `1 file` and `40,124 files`. The plural defaults to the noun with an s. */
export function formatCount(count: number | bigint, noun?: string, plural = `${noun}s`): string {
  const digits = String(count).replace(/\B(?=(?:\d{3})+$)/g, ',');
  if (noun === undefined) return digits;
  return `${digits} ${digits === '1' ? noun : plural}`;
}

/** `35.2 MiB/s`. */
export const formatRate = (bytesPerSecond: number): string => `${formatSize(bytesPerSecond)}/s`;

/** `45%`, cut off, so that 100% means all. */
export const formatPercent = (done: number, total: number): string =>
  `${total <= 0 ? 100 : Math.min(100, Math.floor((done / total) * 100))}%`;

const ageUnits = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
] as const;

/** How long ago, in the largest unit that fits at least once, cut off: `just now`, `5 minutes ago`, `1 day ago`; the future is `in 5 minutes`. */
export function formatAge(time: Date, now: Date): string {
  const seconds = (now.getTime() - time.getTime()) / 1000;
  const distance = Math.abs(seconds);
  const unit = ageUnits.find(([, size]) => distance >= size);
  if (unit === undefined) return 'just now';
  const amount = formatCount(Math.floor(distance / unit[1]), unit[0]);
  return seconds > 0 ? `${amount} ago` : `in ${amount}`;
}

/** As the clock on the wall shows it: `2026-01-31 02:30`, with `seconds` `2026-01-31 02:30:05`. */
export function formatLocalTime(ms: number, seconds = false): string {
  const at = new Date(ms);
  const two = (value: number) => String(value).padStart(2, '0');
  // Without Intl, whose data would stay in the daemon's memory.
  const minute = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
  return seconds ? `${minute}:${two(at.getSeconds())}` : minute;
}
