import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderGauges } from './exposition.ts';

test('each gauge stands once, with its help, and its samples below it', () => {
  const text = renderGauges(
    [
      ['holdfast_volume_condition', 1, { volume: 'a' }],
      ['holdfast_project_condition', 2],
      ['holdfast_volume_condition', 0.5, { volume: 'b' }],
      ['holdfast_volume_files', undefined, { volume: 'b' }],
    ],
    { project: 'shop' },
  );
  assert.match(text, /^# HELP holdfast_info [^\n]+\n# TYPE holdfast_info gauge\n# HELP /);
  const lines = text.split('\n').filter((line) => line.includes('holdfast_volume_condition'));
  assert.deepEqual(lines.slice(1), [
    '# TYPE holdfast_volume_condition gauge',
    'holdfast_volume_condition{volume="a",project="shop"} 1',
    'holdfast_volume_condition{volume="b",project="shop"} 0.5',
  ]);
  assert.ok(text.includes('\nholdfast_project_condition{project="shop"} 2\n'));
  assert.doesNotMatch(text, /^holdfast_volume_files/m);
  assert.ok(text.endsWith('\n'));
});

test('what is in a label cannot end it, and a sample without labels has no braces', () => {
  const text = renderGauges([['holdfast_info', 1, { version: 'a"b\\c\nd' }]], {});
  assert.ok(text.includes('holdfast_info{version="a\\"b\\\\c\\nd"} 1\n'));
  assert.ok(renderGauges([['holdfast_project_condition', 0]], {}).includes('\nholdfast_project_condition 0\n'));
});
