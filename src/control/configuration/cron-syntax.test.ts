import assert from 'node:assert/strict';
import { test } from 'node:test';
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
    '0 0 30 2 *': /never comes/,
    '0 0 31 4,6 *': /never comes/,
  };
  for (const [expression, reason] of Object.entries(wrong)) assert.match(cronMistake(expression) ?? '', reason, expression);
});
