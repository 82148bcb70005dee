import { HoldfastError } from '../model/errors.ts';

/** How a point in time is written, for remedies. */
export const timeExamples = '`2026-11-22 14:30`, `2026-11-22`, `2026-11-22T14:30:00Z`, `2 hours ago`, `90m ago`, `yesterday 14:00`, `now`';

/**
 * The instant that `--at` names. ISO 8601 with or without a zone (without: the machine's own), a day alone (its end, in the
 * machine's zone; today: now), `now`, `today`, `yesterday`, both with or without a time, and `2 hours ago`, `1d 12h ago`. A day
 * ago is 24 hours ago; a month or year ago is the same day and time of that month, or its last day.
 * @throws `usage` for anything else, and for what is later than `now`.
 */
export function parsePointInTime(text: string, now: Date): Date {
  const instant = findPointInTime(text, now);
  if (instant !== undefined) return instant;
  throw new HoldfastError('usage', `${JSON.stringify(text)} is not a point in time`, { remedy: `write it as one of ${timeExamples}` });
}

/** The same; undefined for what is no point in time. @throws `usage` for what is later than `now`. */
export function findPointInTime(text: string, now: Date): Date | undefined {
  const trimmed = text.trim();
  const instant = namedTime(trimmed, now) ?? timeAgo(trimmed, now) ?? isoTime(trimmed, now);
  if (instant === undefined || Number.isNaN(instant.getTime())) return undefined;
  if (instant.getTime() > now.getTime()) {
    const remedy = 'name a time in the past, or `now`';
    throw new HoldfastError('usage', `${JSON.stringify(text)} is in the future: it is ${now.toISOString()} now`, { remedy });
  }
  return instant;
}

function namedTime(text: string, now: Date): Date | undefined {
  if (/^now$/i.test(text)) return now;
  const match = /^(today|yesterday)(?:\s+(?:at\s+)?(\d{1,2}):(\d{2})(?::(\d{2}))?)?$/i.exec(text);
  if (match === null) return undefined;
  const [, day, hour, minute, second = '0'] = match as unknown as [string, string, string | undefined, string, string | undefined];
  const date = new Date(now);
  if (day.toLowerCase() === 'yesterday') date.setDate(date.getDate() - 1);
  if (hour === undefined) return endOfDay(date, now);
  return localTime(date.getFullYear(), date.getMonth() + 1, date.getDate(), Number(hour), Number(minute), Number(second), 0);
}

/** The last millisecond of the local day, or now when the day is today. */
function endOfDay(date: Date, now: Date): Date {
  if (date.toDateString() === now.toDateString()) return now;
  const end = new Date(date);
  end.setHours(23, 59, 59, 999);
  return end;
}

const unitsMs: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const unit = '(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|months?|y|years?)';
const ago = new RegExp(`^(?:(?:\\d+(?:\\.\\d+)?|an?)\\s*${unit}\\s*)+\\s+ago$`, 'i');

function timeAgo(text: string, now: Date): Date | undefined {
  if (!ago.test(text)) return undefined;
  const instant = new Date(now);
  for (const [, countText, word] of text.matchAll(new RegExp(`(\\d+(?:\\.\\d+)?|an?)\\s*${unit}(?![a-z])`, 'gi'))) {
    const count = /^a/i.test(countText as string) ? 1 : Number(countText);
    const name = (word as string).toLowerCase();
    if (name.startsWith('month')) goBackMonths(instant, count);
    else if (name.startsWith('y')) goBackMonths(instant, count * 12);
    else instant.setTime(instant.getTime() - count * (unitsMs[name[0] as string] as number));
  }
  return instant;
}

function goBackMonths(instant: Date, months: number): void {
  const day = instant.getDate();
  instant.setDate(1);
  instant.setMonth(instant.getMonth() - months);
  const lastDay = new Date(instant.getFullYear(), instant.getMonth() + 1, 0).getDate();
  instant.setDate(Math.min(day, lastDay));
}

const iso = /^(\d{4})-(\d{2})-(\d{2})(?:(?:[Tt]|\s+)(\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(Z|z|[+-]\d{2}(?::?\d{2})?)?)?$/;

function isoTime(text: string, now: Date): Date | undefined {
  const match = iso.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const milliseconds = Number((match[7] ?? '').padEnd(3, '0').slice(0, 3));
  if (match[4] === undefined) {
    const noon = localTime(year, month, day, 12, 0, 0, 0);
    return noon === undefined ? undefined : endOfDay(noon, now);
  }
  const zone = match[8];
  if (zone === undefined) return localTime(year, month, day, hour, minute, second, milliseconds);
  const utc = Date.UTC(year, month - 1, day, hour, minute, second, milliseconds);
  const offsetMinutes = zoneOffsetMinutes(zone);
  if (offsetMinutes === undefined || !exists(year, month, day, hour, minute, second)) return undefined;
  return new Date(utc - offsetMinutes * 60_000);
}

function zoneOffsetMinutes(zone: string): number | undefined {
  if (/^z$/i.test(zone)) return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(3).replace(':', '') || '0');
  if (hours > 14 || minutes > 59) return undefined;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}

/** Whether the calendar and the clock have it; no 30 February, no 24:00. */
function exists(year: number, month: number, day: number, hour: number, minute: number, second: number): boolean {
  const date = new Date(Date.UTC(year, month - 1, day));
  const dayExists = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return dayExists && hour < 24 && minute < 60 && second < 60;
}

/** In the machine's zone. A time that the change to summer time skips is taken as much later as the clock is advanced. */
function localTime(
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
  milliseconds: number,
): Date | undefined {
  if (!exists(year, month, day, hour, minute, second)) return undefined;
  return new Date(year, month - 1, day, hour, minute, second, milliseconds);
}
