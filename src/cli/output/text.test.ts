import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anyText, fc } from '../../../test/properties.ts';
import { jsonLine } from './json.ts';
import { createStyle, displayText, displayWidth, tableLines } from './text.ts';
import { formatAge, formatCount, formatPercent, formatRate } from './units.ts';

test('width is what a terminal shows', () => {
  const widths: [string, number][] = [
    ['', 0],
    ['abc', 3],
    ['é', 1],
    ['e\u0301', 1],
    ['漢字', 4],
    ['😀', 2],
    ['\x1b[1mab\x1b[22m', 2],
    ['ﾊ', 1],
    ['한', 2],
  ];
  for (const [text, width] of widths) assert.equal(displayWidth(text), width, text);
});

test('tables are aligned by width, with no spaces at the end', () => {
  const style = createStyle(true);
  const columns = [{ title: 'VOLUME' }, { title: 'SIZE', align: 'right' as const }, { title: 'NOTE' }];
  const rows = [
    ['漢字-data', '5 GiB', ''],
    [style.good('ok'), '1.25 MiB', 'x'],
  ];
  assert.deepEqual(tableLines(columns, rows, createStyle(false)), [
    'VOLUME         SIZE  NOTE',
    '漢字-data     5 GiB',
    '\x1b[32mok\x1b[39m         1.25 MiB  x',
  ]);
  assert.ok(tableLines(columns, [], style)[0]?.startsWith('\x1b[1mVOLUME'));
});

test('text from outside stays on its line', () => {
  assert.equal(displayText('a\nb\x1b[2J é'), 'a\\nb\\x1b[2J é');
  fc.assert(
    fc.property(anyText(), (text) => assert.doesNotMatch(displayText(text), /[\p{Cc}\u2028\u2029]/u)),
    { seed: 1 },
  );
});

test('a JSON line is one line, exact for 64-bit numbers', () => {
  assert.equal(
    jsonLine({ size: 2n ** 64n - 1n, name: 'a\nb\u2028c\u2029' }),
    '{"size":18446744073709551615,"name":"a\\nb\\u2028c\\u2029"}\n',
  );
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const line = jsonLine(value);
      assert.deepEqual(JSON.parse(line), JSON.parse(JSON.stringify(value)));
      assert.match(line, /^[^\n\r\u2028\u2029]*\n$/);
    }),
    { seed: 2 },
  );
});

test('counts, rates, shares and ages', () => {
  assert.deepEqual([formatCount(0), formatCount(999), formatCount(1000), formatCount(1234567n)], ['0', '999', '1,000', '1,234,567']);
  assert.deepEqual(
    [formatCount(1, 'file'), formatCount(0, 'file'), formatCount(2, 'entry', 'entries')],
    ['1 file', '0 files', '2 entries'],
  );
  assert.equal(formatRate(1536 * 1024), '1.5 MiB/s');
  assert.deepEqual(
    [formatPercent(1999, 2000), formatPercent(2000, 2000), formatPercent(3, 2), formatPercent(0, 0)],
    ['99%', '100%', '100%', '100%'],
  );
  const now = new Date('2026-01-01T12:00:00Z');
  const ages: [string, string][] = [
    ['2026-01-01T11:59:01Z', 'just now'],
    ['2026-01-01T11:59:00Z', '1 minute ago'],
    ['2026-01-01T10:01:00Z', '1 hour ago'],
    ['2025-12-30T12:00:00Z', '2 days ago'],
    ['2025-10-01T12:00:00Z', '3 months ago'],
    ['2023-01-01T12:00:00Z', '3 years ago'],
    ['2026-01-01T12:05:30Z', 'in 5 minutes'],
  ];
  for (const [time, age] of ages) assert.equal(formatAge(new Date(time), now), age);
});
