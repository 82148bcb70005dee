import type { QuietHours } from '../configuration/configuration.ts';

const minutesPerDay = 1440;
const weekdays: Readonly<Record<string, number>> = { Sun: 0, Mon: 1, Tue: 2, Wed: 3, Thu: 4, Fri: 5, Sat: 6 };

/** Which quiet hours an instant is in, if any. */
export function quietAt(hours: readonly QuietHours[], ms: number): QuietHours | undefined {
  return hours.find((quiet) => isQuiet(quiet, ms));
}

/** Of quiet hours that follow one another, the most that are looked at: those of a fortnight. */
const mostFollowing = 14;
const minuteMs = 60_000;

/** When it is quiet no more, to the minute; undefined when it is not quiet. Where hours leave no time between them, after a fortnight of them. */
export function quietUntilMs(hours: readonly QuietHours[], ms: number): number | undefined {
  let untilMs: number | undefined;
  for (let i = 0; i < mostFollowing; i++) {
    const quiet = quietAt(hours, untilMs ?? ms);
    if (quiet === undefined) break;
    untilMs = endOf(quiet, untilMs ?? ms);
  }
  return untilMs;
}

function endOf({ toMinute, timeZone }: QuietHours, ms: number): number {
  const left = (of: number) => (toMinute - localTime(of, timeZone).minute + minutesPerDay) % minutesPerDay;
  const endMs = (Math.floor(ms / minuteMs) + (left(ms) || minutesPerDay)) * minuteMs;
  // Clocks may have been put forward or back meanwhile.
  const off = left(endMs);
  return endMs + (off > minutesPerDay / 2 ? off - minutesPerDay : off) * minuteMs;
}

function isQuiet({ fromMinute, toMinute, days, timeZone }: QuietHours, ms: number): boolean {
  const { day, minute } = localTime(ms, timeZone);
  if (fromMinute < toMinute) return days.includes(day) && minute >= fromMinute && minute < toMinute;
  // It ends on the day after, so that the early hours belong to the day before.
  const dayBefore = (day + 6) % 7;
  return (days.includes(day) && minute >= fromMinute) || (days.includes(dayBefore) && minute < toMinute);
}

const formats = new Map<string | undefined, Intl.DateTimeFormat>();

function localTime(ms: number, timeZone: string | undefined): { day: number; minute: number } {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone });
    formats.set(timeZone, format);
  }
  const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
  return { day: weekdays[parts.weekday ?? ''] ?? 0, minute: (Number(parts.hour) * 60 + Number(parts.minute)) % minutesPerDay };
}
