import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instantsOf } from '../scheduling/instants.ts';
import { cronMistake } from './cron-syntax.ts';

test('expressions that cron knows', () => {
  for (const expression of [
    '0 * * * *',
    '30 2 * * *',
    '*/15 * * * *',
    '5/15 0-23/2 1,15 * *',
    '0 4 * * SUN',
    '0 4 * jan-mar mon-fri',
    '0 0 29 2 *',
    '0 0 30 2 1',
    '  0\t0 * * 7 ',
  ]) {
    assert.equal(cronMistake(expression), undefined, expression);
  }
});

test('expressions that are wrong, and why', () => {
  const wrong: Record<string, RegExp> = {
    '': /empty/,
    '0 * * *': /4 fields/,
    '0 0 * * * *': /6 fields/,
    '@daily': /1 field/,
    '60 * * * *': /minute goes from 0 to 59/,
    '0 24 * * *': /hour goes from 0 to 23/,
    '0 0 0 * *': /day of month goes from 1 to 31/,
    '0 0 * 13 *': /month goes from 1 to 12/,
    '0 0 * * 8': /day of week goes from 0 to 7/,
    '0 0 * * january': /day of week/,
    '30-10 * * * *': /backwards/,
    '*/0 * * * *': /step/,
    '*/90 * * * *': /step/,
    '1,,2 * * * *': /not a number/,
    '-1 * * * *': /not a number/,
    '0 0 * * sat-sun': /ends with `sun`: expected 7/,
    '0 0 * * 7/2': /steps from 7/,
    '0 0 30 2 *': /never comes/,
    '0 0 31 4,6 *': /never comes/,
  };
  for (const [expression, reason] of Object.entries(wrong)) assert.match(cronMistake(expression) ?? '', reason, expression);
});

test('what is accepted of days of the week comes on these days and no others', () => {
  const names = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
  const days = [...Array.from({ length: 8 }, (_, day) => ({ text: String(day), day })), ...names.map((text, day) => ({ text, day }))];
  const steps = [undefined, 1, 2, 3, 5, 7];
  let accepted = 0;
  for (const from of days)
    for (const to of [undefined, ...days])
      for (const step of steps) {
        const text = `${from.text}${to === undefined ? '' : `-${to.text}`}${step === undefined ? '' : `/${step}`}`;
        const cron = `0 12 * * ${text}`;
        if (cronMistake(cron) !== undefined) continue;
        accepted++;
        const last = to?.day ?? (step === undefined ? from.day : 6);
        const expected = new Set<number>();
        for (let day = from.day; day <= last; day += step ?? 1) expected.add(day % 7);
        const { after } = instantsOf({ kind: 'cron', cron, timeZone: 'UTC' });
        // A Sunday, and the week that it begins.
        const [beginMs, dayMs] = [Date.UTC(2026, 2, 1), 86_400_000];
        const found = new Set<number>();
        for (let ms = after(beginMs); ms !== undefined && ms < beginMs + 7 * dayMs; ms = after(ms)) found.add(new Date(ms).getUTCDay());
        assert.deepEqual([...found].sort(), [...expected].sort(), text);
      }
  assert.ok(accepted > 500, String(accepted));
});
