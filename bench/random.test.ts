import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noiseFrom, randomFrom } from './random.ts';

test('the same seed gives the same numbers and bytes, another seed others', () => {
  const numbers = (seed: string): number[] => {
    const random = randomFrom(seed);
    return Array.from({ length: 20 }, () => random.uint32());
  };
  assert.deepEqual(numbers('a'), numbers('a'));
  assert.notDeepEqual(numbers('a'), numbers('b'));
  assert.deepEqual(noiseFrom('a')(100), noiseFrom('a')(100));
  assert.notDeepEqual(noiseFrom('a')(100), noiseFrom('b')(100));
});

test('numbers stay below their limit and reach all of it', () => {
  const random = randomFrom('limits');
  const seen = new Set(Array.from({ length: 1000 }, () => random.below(7)));
  assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5, 6]);
});

test('noise goes on instead of repeating itself', () => {
  const noise = noiseFrom('noise');
  assert.notDeepEqual(noise(64), noise(64));
});
