import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../test/properties.ts';
import { formatSpan, isEmptySpan, parseSpan, spanPattern } from './span.ts';

test('spans count in years, months, weeks, days and hours', () => {
  assert.deepEqual(parseSpan('1y5m7d2h'), { years: 1, months: 5, days: 7, hours: 2 });
  assert.deepEqual(parseSpan('1y5mo1w2h'), { years: 1, months: 5, days: 7, hours: 2 });
  assert.deepEqual(parseSpan('36h'), { years: 0, months: 0, days: 0, hours: 36 });
  for (const text of ['', '7', 'd', '1.5d', '-1d', '1d ', '1s', '1000000d']) assert.equal(parseSpan(text), undefined, text);
  assert.ok(!spanPattern.test('6m') && spanPattern.test('6mo1w'), 'schemas refuse the letter that has two meanings');
});

test('what is formatted is read back', () => {
  const count = fc.integer({ min: 0, max: 999 });
  fc.assert(
    fc.property(fc.record({ years: count, months: count, days: count, hours: count }, { noNullPrototype: true }), (span) => {
      const text = formatSpan(span);
      assert.deepEqual(parseSpan(text), span);
      assert.ok(spanPattern.test(text));
      assert.equal(isEmptySpan(span), text === '0h');
    }),
  );
});
