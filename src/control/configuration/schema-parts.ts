import * as z from 'zod/mini';
import { durationPattern, parseDuration, parseSize, sizePattern } from '../../model/quantities.ts';
import { isEmptySpan, parseSpan, spanPattern } from '../../model/span.ts';
import { cronMistake } from './cron-syntax.ts';

/** What the schema of `holdfast.yaml` is made of: names, texts, durations, sizes, times, each with what to say when a value is none. */

/** Names end up in snapshot tags, Docker volume names and file names: no commas, spaces or slashes. */
export const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
export const nameExpectation = 'a name of letters, digits, `_`, `.` and `-` that begins with a letter or digit';

type Described = { description: string; default?: unknown };

/** A key that may be left out; the description and the default are what editors show. */
export function key<S extends z.ZodMiniType>(schema: S, described: Described): z.ZodMiniOptional<S> {
  const optional = z.optional(schema);
  z.globalRegistry.add(optional, described);
  return optional;
}

export function required<S extends z.ZodMiniType>(schema: S, description: string): S {
  z.globalRegistry.add(schema, { description });
  return schema;
}

export const name = () => z.string({ error: nameExpectation }).check(z.regex(namePattern, nameExpectation));
/** Names are checked apart, so that what a wrong name holds is checked as well. */
export const named = <S extends z.ZodMiniType>(value: S, expected: string) => z.record(z.string(), value, { error: expected });

export const text = (expected: string) => z.string({ error: expected }).check(z.minLength(1, expected));
export const texts = (expected: string) => z.array(text(expected), { error: `a list, each ${expected}` });
export const truth = () => z.boolean({ error: '`true` or `false`' });
const durationExpectation = 'a duration such as `15m`, `1h`, `90d`';
export const duration = () =>
  z.string({ error: durationExpectation }).check(
    z.regex(durationPattern, { error: durationExpectation, abort: true }),
    z.refine((value) => (parseDuration(value) ?? 0) > 0, `${durationExpectation}, more than nothing`),
  );

const dayMs = 86_400_000;
const timeoutExpectation = 'a duration of at most a day, such as `15s`, `5m`';
/** What is waited for with a timer: those of Node that are longer than 24 days are over at once. */
export const timeout = () =>
  z.string({ error: timeoutExpectation }).check(
    z.regex(durationPattern, { error: timeoutExpectation, abort: true }),
    z.refine((value) => {
      const durationMs = parseDuration(value) ?? 0;
      return durationMs > 0 && durationMs <= dayMs;
    }, timeoutExpectation),
  );

const sizeExpectation = 'a size such as `500M`, `50Gi`';
export const size = () =>
  z.union(
    [
      z.int({ error: sizeExpectation }).check(z.gte(0, sizeExpectation)),
      z.string({ error: sizeExpectation }).check(
        z.regex(sizePattern, { error: sizeExpectation, abort: true }),
        z.refine((value) => parseSize(value) !== undefined, `${sizeExpectation}, below 8Pi`),
      ),
    ],
    { error: sizeExpectation },
  );

export const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

const cronExpectation = 'a cron expression of five fields: minute hour day-of-month month day-of-week';
export const cron = () =>
  z.string({ error: cronExpectation }).check(
    z.refine((value: string) => cronMistake(value) === undefined, {
      error: (issue) => `${cronExpectation} (${cronMistake(issue.input as string)})`,
    }),
  );

export const timeZone = () => {
  const expected = 'an IANA time zone such as `Europe/Zurich` or `UTC`';
  return z.string({ error: expected }).check(z.refine(isTimeZone, expected));
};

function isTimeZone(value: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: value });
    return true;
  } catch {
    return false;
  }
}

export const mapping = (what: string) => ({ error: `a mapping: ${what}` });

const spanExpectation = 'a time such as `7d`, `6mo`, `1y6mo` (h, d, w, mo, y)';
export const span = () =>
  z.string({ error: spanExpectation }).check(
    z.regex(spanPattern, { error: spanExpectation, abort: true }),
    z.refine((value) => {
      const parsed = parseSpan(value);
      return parsed !== undefined && !isEmptySpan(parsed);
    }, `${spanExpectation}, more than nothing`),
  );

const rateExpectation = 'a size a second such as `500k`, `10M`, more than nothing';
export const rate = () =>
  z.union(
    [
      z.int({ error: rateExpectation }).check(z.gte(1, rateExpectation)),
      z.string({ error: rateExpectation }).check(
        z.regex(sizePattern, { error: rateExpectation, abort: true }),
        z.refine((value) => (parseSize(value) ?? 0) > 0, rateExpectation),
      ),
    ],
    { error: rateExpectation },
  );
