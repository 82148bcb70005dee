import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLanes } from './lane-options.ts';

const mebibyte = 1024 * 1024;

test('as many lanes as were asked for, without a bound of memory', () => {
  assert.deepEqual(parseLanes({ lanes: '3' }), { lanes: 3, memoryBytes: undefined });
  assert.ok(parseLanes({}).lanes >= 1);
});

test('memory bounds the lanes: 40 MiB each, beyond the 110 MiB of the process', () => {
  const lanes = (memory: string) => parseLanes({ lanes: '4', memory }).lanes;
  assert.deepEqual(['1Gi', '270Mi', '269Mi', '230Mi', '190Mi', '189Mi', '64Mi', '1'].map(lanes), [4, 4, 3, 3, 2, 1, 1, 1]);
  assert.equal(parseLanes({ lanes: '1', memory: '210Mi' }).memoryBytes, 100 * mebibyte);
});

test('what is no number of lanes, or no size, is refused', () => {
  for (const lanes of ['0', '65', '1.5', 'x', '']) assert.throws(() => parseLanes({ lanes }), { code: 'usage' }, lanes);
  for (const memory of ['0', 'x', '-1', '']) assert.throws(() => parseLanes({ memory }), { code: 'usage' }, memory);
});
