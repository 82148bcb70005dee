/** How long a cron schedule can leave between two runs. */

const minutesPerDay = 1440;
const daysLookedAt = 4 * 366;

/** Month, day of the month and of the week of every day from 2024 on, a leap year: enough for the 29th of February to come twice. */
const calendar = Array.from({ length: daysLookedAt }, (_, day) => {
  const date = new Date(Date.UTC(2024, 0, 1 + day));
  return { month: date.getUTCMonth() + 1, dayOfMonth: date.getUTCDate(), dayOfWeek: date.getUTCDay() };
});

/** The longest time between two runs, in milliseconds, of an expression that the configuration has accepted; Infinity when it never runs. */
export function longestGapMs(cron: string): number {
  const [minutes, hours, daysOfMonth, months, daysOfWeek] = cron.trim().split(/\s+/) as [string, string, string, string, string];
  const [minuteSet, hourSet] = [valuesOf(minutes, 0, 59), valuesOf(hours, 0, 23)];
  const times = [...hourSet].flatMap((hour) => [...minuteSet].map((minute) => hour * 60 + minute)).sort((a, b) => a - b);
  const matches = dayMatcher(daysOfMonth, months, daysOfWeek);
  const [first, last] = [times[0] as number, times.at(-1) as number];
  const withinDay = Math.max(0, ...times.slice(1).map((time, i) => time - (times[i] as number)));
  const days = calendar.flatMap((day, number) => (matches(day) ? [number] : []));
  if (days.length < 2) return Number.POSITIVE_INFINITY;
  const betweenDays = Math.max(...days.slice(1).map((day, i) => day - (days[i] as number)));
  return Math.max(withinDay, betweenDays * minutesPerDay - last + first) * 60_000;
}

type Day = (typeof calendar)[number];

/** As cron(8): with both kinds of days restricted, either will do. */
function dayMatcher(daysOfMonth: string, months: string, daysOfWeek: string): (day: Day) => boolean {
  const monthSet = valuesOf(months, 1, 12);
  const [ofMonth, ofWeek] = [valuesOf(daysOfMonth, 1, 31), new Set([...valuesOf(daysOfWeek, 0, 7)].map((day) => day % 7))];
  const either = !daysOfMonth.startsWith('*') && !daysOfWeek.startsWith('*');
  return ({ month, dayOfMonth, dayOfWeek }) => {
    if (!monthSet.has(month)) return false;
    const [byMonth, byWeek] = [ofMonth.has(dayOfMonth), ofWeek.has(dayOfWeek)];
    return either ? byMonth || byWeek : byMonth && byWeek;
  };
}

const names: Readonly<Record<string, number>> = Object.fromEntries([
  ...['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'].map((name, number) => [name, number] as const),
  ...['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'].map(
    (name, number) => [name, number + 1] as const,
  ),
]);
const numberOf = (text: string): number => names[text.toLowerCase()] ?? Number(text);

function valuesOf(field: string, least: number, most: number): Set<number> {
  const values = new Set<number>();
  for (const part of field.split(',')) {
    const [range = '*', step] = part.split('/');
    const [from, to] = range === '*' ? [least, most] : range.split('-').map(numberOf);
    const end = to ?? (step === undefined ? (from as number) : most);
    for (let value = from as number; value <= end; value += Number(step ?? 1)) values.add(value);
  }
  return values;
}
