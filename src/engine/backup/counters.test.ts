import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clearCounters, counterNames, counterOfLane, createCounters, sumCounters } from './counters.ts';

test('lanes count in rows of their own, which are summed and cleared together', () => {
  const counters = createCounters(3);
  const lanes = [0, 1, 2].map((lane) => counterOfLane(counters, lane));
  for (const [lane, count] of lanes.entries()) {
    for (const [i, name] of counterNames.entries()) {
      count(name, i + 1);
      count(name, lane * 1000);
    }
  }
  const sums = sumCounters(counters);
  for (const [i, name] of counterNames.entries()) assert.equal(sums[name], 3 * (i + 1) + 3000, name);
  clearCounters(counters);
  assert.ok(Object.values(sumCounters(counters)).every((sum) => sum === 0));
});

test('bytes beyond 2^32 are counted exactly', () => {
  const counters = createCounters(1);
  const count = counterOfLane(counters, 0);
  for (let i = 0; i < 3; i++) count('totalBytesProcessed', 2 ** 45 + 1);
  assert.equal(sumCounters(counters).totalBytesProcessed, 3 * (2 ** 45 + 1));
});
