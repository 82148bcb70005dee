import { HoldfastError } from '../model/errors.ts';

/**
 * Times as Go's `time.Time` writes them in JSON: RFC 3339 with as many digits of a second as are needed, in the local zone
 * (source: Go, src/time/format_rfc3339.go). Instants are whole seconds since 1970 (negative before) and
 * nanoseconds 0 to 999,999,999 after them.
 */
export type Instant = { sec: number; nsec: number };

/** Seconds that local time is ahead of UTC at an instant (seconds since 1970). */
export type OffsetAt = (sec: number) => number;

const secondsPerDay = 86_400;
/** The calendar, weekdays included, repeats after 400 years: so do the rules of time zones. */
const cycleYears = 400;
const secondsPerCycle = 146_097 * secondsPerDay;

/**
 * Days since 1970 of a date of the proleptic Gregorian calendar.
 * Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil. `month` is 1 to 12.
 */
function daysFromDate(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / cycleYears);
  const yearOfEra = shifted - era * cycleYears;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468;
}

/** The inverse of {@link daysFromDate}; same source, civil_from_days. */
function dateFromDays(days: number): { year: number; month: number; day: number } {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = yearOfEra + era * cycleYears + (month <= 2 ? 1 : 0);
  return { year, month, day: dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1 };
}

/** The offset of this process's zone (environment variable TZ, else the system's), by Node's zone data, exact to the second. */
export function localOffset(sec: number): number {
  const date = new Date(sec * 1000);
  const days = daysFromDate(date.getFullYear(), date.getMonth() + 1, date.getDate());
  return days * secondsPerDay + date.getHours() * 3600 + date.getMinutes() * 60 + date.getSeconds() - sec;
}

const twoDigits = (value: number): string => (value < 10 ? `0${value}` : `${value}`);

function formatZone(offset: number): string {
  if (offset === 0) return 'Z';
  // Go drops the seconds of the offset, so that a zone may be "+00:00".
  const minutes = Math.trunc(Math.abs(offset) / 60);
  const sign = offset <= -60 ? '-' : '+';
  return `${sign}${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}`;
}

function formatSecond(sec: number, offset: number): string {
  const local = sec + offset;
  const days = Math.floor(local / secondsPerDay);
  const rest = local - days * secondsPerDay;
  const { year, month, day } = dateFromDays(days);
  const hour = Math.floor(rest / 3600);
  const minute = Math.floor((rest % 3600) / 60);
  const date = `${String(year).padStart(4, '0')}-${twoDigits(month)}-${twoDigits(day)}`;
  return `${date}T${twoDigits(hour)}:${twoDigits(minute)}:${twoDigits(rest % 60)}`;
}

const startOfYear1 = daysFromDate(1, 1, 1) * secondsPerDay;
const startOfYear9999 = daysFromDate(9999, 1, 1) * secondsPerDay;

/** As restic's fixTime: a time of a year that RFC 3339 cannot say keeps everything but its year, which becomes 0 or 9999. */
function clampYear(sec: number, offsetAt: OffsetAt): number {
  if (sec > startOfYear1 && sec < startOfYear9999) return sec;
  const { year } = dateFromDays(Math.floor(sec / secondsPerDay));
  // Zone data ends long before: an equivalent year of the 400-year cycle tells the offset.
  const cycles = year > 9999 ? Math.ceil((year - 9999) / cycleYears) : year < 0 ? Math.floor(year / cycleYears) : 0;
  const equivalent = sec - cycles * secondsPerCycle;
  const local = equivalent + offsetAt(equivalent);
  const days = Math.floor(local / secondsPerDay);
  const date = dateFromDays(days);
  const localYear = date.year + cycles * cycleYears;
  if (localYear >= 0 && localYear <= 9999) return sec;
  const clamped = daysFromDate(localYear < 0 ? 0 : 9999, date.month, date.day) * secondsPerDay + (local - days * secondsPerDay);
  const guess = clamped - offsetAt(clamped);
  return clamped - offsetAt(guess);
}

/** The fraction of a second, with its point, without trailing zeros. */
function formatFraction(nsec: number): string {
  if (nsec === 0) return '';
  let value = nsec;
  let length = 9;
  while (value % 10 === 0) {
    value /= 10;
    length--;
  }
  const text = value.toString();
  return `.${text.length === length ? text : text.padStart(length, '0')}`;
}

const offsetStepSec = 900;
const offsetsKept = 10_000;
const slots = 1024;

/** Whole seconds in their written form, with what was formatted lately remembered: files that belong together have times that repeat. */
class SecondFormatter {
  readonly #offsetAt: OffsetAt;
  /** Offsets by quarter of an hour; NaN where it changes within. */
  readonly #offsets = new Map<number, number>();
  readonly #seconds = new Float64Array(slots).fill(Number.NaN);
  readonly #prefixes: string[] = new Array(slots).fill('');
  readonly #zones: string[] = new Array(slots).fill('');

  constructor(offsetAt: OffsetAt) {
    this.#offsetAt = offsetAt;
  }

  #offset(sec: number): number {
    const quarter = Math.floor(sec / offsetStepSec);
    let offset = this.#offsets.get(quarter);
    if (offset === undefined) {
      if (this.#offsets.size >= offsetsKept) this.#offsets.clear();
      offset = this.#offsetAt(quarter * offsetStepSec);
      if (offset !== this.#offsetAt((quarter + 1) * offsetStepSec - 1)) offset = Number.NaN;
      this.#offsets.set(quarter, offset);
    }
    return Number.isNaN(offset) ? this.#offsetAt(sec) : offset;
  }

  format(sec: number, nsec: number): string {
    const slot = sec & (slots - 1);
    if (this.#seconds[slot] !== sec) {
      const clamped = clampYear(sec, this.#offsetAt);
      const offset = this.#offset(clamped);
      this.#prefixes[slot] = formatSecond(clamped, offset);
      this.#zones[slot] = formatZone(offset);
      this.#seconds[slot] = sec;
    }
    return this.#prefixes[slot] + formatFraction(nsec) + this.#zones[slot];
  }
}

/** A {@link formatTime} for another zone. */
export function timeFormatter(offsetAt: OffsetAt): (sec: number, nsec: number) => string {
  const formatter = new SecondFormatter(offsetAt);
  return (sec, nsec) => formatter.format(sec, nsec);
}

/**
 * An instant as restic writes it, in the zone of this process; a year before 0 or after 9999 is clamped. The
 * zone is assumed not to change while the process lives.
 */
export const formatTime: (sec: number, nsec: number) => string = timeFormatter(localOffset);

const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

function daysInMonth(year: number, month: number): number {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % cycleYears === 0);
  return month === 2 && leap ? 29 : (monthDays[month - 1] as number);
}

const digitZero = 0x30;

/** The number that `length` digits from `at` make; NaN when one is no digit or missing. */
function digits(text: string, at: number, length: number): number {
  let value = 0;
  for (let index = at; index < at + length; index++) {
    const digit = text.charCodeAt(index) - digitZero;
    value = digit >= 0 && digit <= 9 ? value * 10 + digit : Number.NaN;
  }
  return value;
}

/** Seconds since 1970 of the 19 characters `YYYY-MM-DDTHH:MM:SS` as if they were UTC; NaN when they are no date and time. */
function parseSecond(text: string): number {
  if (text[4] !== '-' || text[7] !== '-' || text[10] !== 'T' || text[13] !== ':' || text[16] !== ':') return Number.NaN;
  const year = digits(text, 0, 4);
  const month = digits(text, 5, 2);
  const day = digits(text, 8, 2);
  const hour = digits(text, 11, 2);
  const minute = digits(text, 14, 2);
  const second = digits(text, 17, 2);
  const valid = month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month) && hour <= 23 && minute <= 59 && second <= 59;
  return valid ? daysFromDate(year, month, day) * secondsPerDay + hour * 3600 + minute * 60 + second : Number.NaN;
}

/** Seconds of the offset that begins at `at` and ends the text; NaN when there is none. */
function parseZone(text: string, at: number): number {
  const sign = text[at];
  if (sign === 'Z') return text.length === at + 1 ? 0 : Number.NaN;
  if ((sign !== '+' && sign !== '-') || text[at + 3] !== ':' || text.length !== at + 6) return Number.NaN;
  const hours = digits(text, at + 1, 2);
  const minutes = digits(text, at + 4, 2);
  if (!(hours <= 23 && minutes <= 59)) return Number.NaN;
  return (sign === '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

/** Like {@link parseTime}, but undefined for what is not a time. */
export function tryParseTime(text: string): Instant | undefined {
  let end = 19;
  let nsec = 0;
  if (text[end] === '.') {
    const start = end + 1;
    end = start;
    while (end < text.length && text.charCodeAt(end) >= digitZero && text.charCodeAt(end) <= digitZero + 9) end++;
    if (end === start || end > start + 9) return undefined;
    nsec = digits(text, start, end - start) * 10 ** (start + 9 - end);
  }
  const sec = parseSecond(text) - parseZone(text, end);
  return Number.isNaN(sec) ? undefined : { sec, nsec };
}

/** The instant that an RFC 3339 text with any offset and up to nine digits of a second means. @throws `damaged` when it is no such text. */
export function parseTime(text: string): Instant {
  const instant = tryParseTime(text);
  if (instant === undefined) throw new HoldfastError('damaged', `not a time: ${JSON.stringify(text.slice(0, 64))}`);
  return instant;
}
