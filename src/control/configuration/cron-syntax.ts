const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

type Field = { name: string; least: number; most: number; names: string[] };

const fields: Field[] = [
  { name: 'minute', least: 0, most: 59, names: [] },
  { name: 'hour', least: 0, most: 23, names: [] },
  { name: 'day of month', least: 1, most: 31, names: [] },
  { name: 'month', least: 1, most: 12, names: months },
  { name: 'day of week', least: 0, most: 7, names: weekdays },
];

/** Days that a month can have, January first. */
const longest = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * What is wrong with a cron expression of five fields, or undefined when nothing is. Lists, ranges, steps, and the English
 * names of months and weekdays are known; weekday 7 is Sunday, as 0 is. A date that never comes (30 February) is a mistake, and so is what
 * croner (src/control/scheduling/instants.ts) would understand differently.
 */
export function cronMistake(expression: string): string | undefined {
  const texts = expression.trim().split(/\s+/);
  if (expression.trim() === '') return 'it is empty';
  if (texts.length !== fields.length) return `it has ${texts.length} ${texts.length === 1 ? 'field' : 'fields'}`;
  const values: Set<number>[] = [];
  for (const [index, field] of fields.entries()) {
    const result = fieldValues(field, texts[index] as string);
    if (typeof result === 'string') return result;
    values.push(result);
  }
  const [days, monthNumbers] = [values[2] as Set<number>, values[3] as Set<number>];
  const first = Math.min(...days);
  const anyWeekday = texts[4] === '*';
  if (anyWeekday && ![...monthNumbers].some((month) => (longest[month - 1] as number) >= first)) return 'that date never comes';
  return undefined;
}

/** The numbers that a field stands for, or what is wrong with it. */
function fieldValues(field: Field, text: string): Set<number> | string {
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const match = /^(?:(\*)|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:\/(\d+))?$/i.exec(part);
    if (match === null) return `the ${field.name} is not a number, range, list or step`;
    const [, all, from, to, stepText] = match;
    const step = stepText === undefined ? 1 : Number(stepText);
    const start = all === undefined ? numberOf(field, from as string) : field.least;
    // `5/15` means from 5 on, every 15.
    const end = all !== undefined || (to === undefined && stepText !== undefined) ? field.most : numberOf(field, to ?? (from as string));
    if (start === undefined || end === undefined) return `the ${field.name} goes from ${field.least} to ${field.most}`;
    // Who reckons the instants takes the first for every day, and the second for none.
    if (field.names === weekdays && to?.toLowerCase() === 'sun') return `the ${field.name} has a range that ends with \`sun\`: expected 7`;
    if (field.names === weekdays && start === 7 && stepText !== undefined) return `the ${field.name} has steps from 7 on: expected 0`;
    if (end < start) return `the ${field.name} has a range that runs backwards`;
    if (step < 1 || step > field.most) return `the ${field.name} has a step that is not from 1 to ${field.most}`;
    for (let value = start; value <= end; value += step) values.add(value);
  }
  return values;
}

function numberOf(field: Field, text: string): number | undefined {
  const named = field.names.indexOf(text.toLowerCase());
  if (named >= 0) return named + (field.least === 1 ? 1 : 0);
  if (!/^\d{1,2}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= field.least && value <= field.most ? value : undefined;
}
