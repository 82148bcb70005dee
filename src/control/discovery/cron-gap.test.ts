import assert from 'node:assert/strict';
import { test } from 'node:test';
import { longestGapMs } from './cron-gap.ts';

const hour = 3_600_000;
const day = 24 * hour;

test('the longest time between two runs', () => {
  const cases: [cron: string, gap: number][] = [
    ['* * * * *', hour / 60],
    ['0 * * * *', hour],
    ['*/15 * * * *', hour / 4],
    ['0 0 * * *', day],
    ['0 9-17 * * *', 16 * hour],
    ['30 2,14 * * *', 12 * hour],
    ['0 4 * * 0', 7 * day],
    ['0 4 * * 7', 7 * day],
    ['0 4 * * mon-fri', 3 * day],
    ['0 * * * mon-fri', 2 * day + hour],
    ['0 0 1 * *', 31 * day],
    ['0 0 1 jan *', 366 * day],
    // Either day will do.
    ['0 0 1 * mon', 7 * day],
    ['5/20 * * * *', hour / 3],
  ];
  for (const [cron, gap] of cases) assert.equal(longestGapMs(cron), gap, cron);
});
