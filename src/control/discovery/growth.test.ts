import assert from 'node:assert/strict';
import { test } from 'node:test';
import { daysUntilFull, growthPerDay } from './growth.ts';

const day = 86_400_000;

test('growth is the trend of the last 30 days', () => {
  const line = Array.from({ length: 60 }, (_, i) => ({ timeMs: i * day, bytes: i < 25 ? 1e9 : 1000 + 100 * i }));
  assert.equal(growthPerDay(line, 59 * day), 100);
  assert.equal(growthPerDay(line.slice(58), 59 * day), 100);
  assert.equal(growthPerDay(line.slice(59), 59 * day), undefined, 'one snapshot is no trend');
  const burst = [
    { timeMs: 0, bytes: 0 },
    { timeMs: 60_000, bytes: 1e9 },
  ];
  assert.equal(growthPerDay(burst, 60_000), undefined, 'nor is a minute');
  assert.equal(
    growthPerDay(
      [
        { timeMs: 0, bytes: 300 },
        { timeMs: day, bytes: 100 },
      ],
      day,
    ),
    -200,
  );
});

test('full is at the declared size or where the disk ends, whichever is sooner', () => {
  const facts = { usedBytes: 100, sizeBytes: 200, freeBytes: 1000, growthBytesPerDay: 10 };
  assert.equal(daysUntilFull(facts), 10);
  assert.equal(daysUntilFull({ ...facts, freeBytes: 50 }), 5);
  assert.equal(daysUntilFull({ ...facts, usedBytes: 300 }), 0);
  assert.equal(daysUntilFull({ ...facts, growthBytesPerDay: -1 }), undefined);
  assert.equal(daysUntilFull({ ...facts, sizeBytes: undefined, freeBytes: undefined }), undefined);
});
