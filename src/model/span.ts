/** A span of the calendar, for rules that count back by days, months and years. All parts are whole and not negative. */
export type Span = { years: number; months: number; days: number; hours: number };

const spanPart = /(\d{1,6})(mo|[ymwdh])/g;
/** Letters of {@link parseSpan} without restic's `m`, which elsewhere in Holdfast means minutes; for schemas. */
export const spanPattern = /^(?:\d{1,6}(?:mo|[ywdh]))+$/;
const resticSpanPattern = /^(?:\d{1,6}(?:mo|[ymwdh]))+$/;

/**
 * A span: numbers with `y`, `mo` (months), `w`, `d` or `h`, as `1y6mo`, `30d`, `36h`; restic's `m` for months is understood too. A unit
 * may stand there several times. Undefined when the text is not one.
 */
export function parseSpan(text: string): Span | undefined {
  if (!resticSpanPattern.test(text)) return undefined;
  const span = { years: 0, months: 0, days: 0, hours: 0 };
  for (const [, digits, unit] of text.matchAll(spanPart)) {
    const count = Number(digits);
    if (unit === 'y') span.years += count;
    else if (unit === 'mo' || unit === 'm') span.months += count;
    else if (unit === 'w') span.days += 7 * count;
    else if (unit === 'd') span.days += count;
    else span.hours += count;
  }
  return span;
}

/** The span as {@link parseSpan} reads it: `1y6mo`, `30d`; `0h` when it is nothing. */
export function formatSpan({ years, months, days, hours }: Span): string {
  const part = (count: number, unit: string) => (count === 0 ? '' : `${count}${unit}`);
  return `${part(years, 'y')}${part(months, 'mo')}${part(days, 'd')}${part(hours, 'h')}` || '0h';
}

export const isEmptySpan = ({ years, months, days, hours }: Span): boolean => years + months + days + hours === 0;
