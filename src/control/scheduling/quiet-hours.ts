import type { QuietHours } from '../configuration/configuration.ts';

const minutesPerDay = 1440;
const weekdays: Readonly<Record<string, number>> = { Sun: 0, Mon: 1, Tue: 2, Wed: 3, Thu: 4, Fri: 5, Sat: 6 };

/** Which quiet hours an instant is in, if any. */
export function quietAt(hours: readonly QuietHours[], ms: number): QuietHours | undefined {
  return hours.find((quiet) => isQuiet(quiet, ms));
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
