import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import { parseReadData, selectPacks } from './read-data.ts';

test('what may follow --read-data=', () => {
  for (const text of ['', ' ', 'true']) assert.deepEqual(parseReadData(text), { select: 'all' });
  assert.deepEqual(parseReadData('5%'), { select: 'percent', percent: 5 });
  assert.deepEqual(parseReadData('2.5%'), { select: 'percent', percent: 2.5 });
  assert.deepEqual(parseReadData('100%'), { select: 'percent', percent: 100 });
  assert.deepEqual(parseReadData('2/10'), { select: 'part', part: 2, parts: 10 });
  assert.deepEqual(parseReadData('256/256'), { select: 'part', part: 256, parts: 256 });
  assert.deepEqual(parseReadData('500M'), { select: 'size', bytes: 500_000_000 });
  assert.deepEqual(parseReadData('1GiB'), { select: 'size', bytes: 1024 ** 3 });
});

test('what may not', () => {
  for (const text of ['false', '0%', '101%', '-5%', '%', '0/10', '11/10', '1/257', '1/0', '1/2/3', '0', '0M', '-1G', '5 percent', 'all']) {
    assert.throws(() => parseReadData(text), { name: 'HoldfastError', code: 'usage' }, text);
  }
});

const packs = Array.from({ length: 256 }, (_, i) => ({ id: i.toString(16).padStart(2, '0').repeat(32), sizeBytes: 1000 }));
const named = (list: readonly { id: string }[]) => list.map(({ id }) => id);

test("parts are restic's: by the first byte of the id", () => {
  assert.deepEqual(named(selectPacks(packs, { select: 'part', part: 1, parts: 256 })), named(packs.slice(0, 1)));
  assert.deepEqual(
    named(selectPacks(packs, { select: 'part', part: 3, parts: 100 })),
    [2, 102, 202].map((i) => packs[i]?.id),
  );
});

test('all parts together are all packs, each once', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 256 }), (parts) => {
      const all = Array.from({ length: parts }, (_, i) => selectPacks(packs, { select: 'part', part: i + 1, parts })).flat();
      assert.deepEqual(named(all).sort(), named(packs).sort());
    }),
  );
});

test('a percentage and a size pick so many, different ones, and at least one', () => {
  for (const [percent, count] of [
    [50, 128],
    [2.5, 6],
    [0.001, 1],
    [100, 256],
  ] as const) {
    const picked = named(selectPacks(packs, { select: 'percent', percent }));
    assert.equal(new Set(picked).size, count);
    assert.equal(picked.length, count);
  }
  assert.equal(selectPacks(packs, { select: 'size', bytes: 10_000 }).length, 10);
  assert.equal(selectPacks(packs, { select: 'size', bytes: 1e15 }).length, 256);
  assert.deepEqual(selectPacks([], { select: 'percent', percent: 50 }), []);
  assert.deepEqual(selectPacks([], { select: 'size', bytes: 50 }), []);
});

test('over many runs every pack has its turn', () => {
  const seen = new Set<string>();
  for (let run = 0; run < 60; run++) for (const { id } of selectPacks(packs, { select: 'percent', percent: 20 })) seen.add(id);
  assert.equal(seen.size, 256);
});
