import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc, runs } from '../../../test/properties.ts';
import { type PartialPack, packTargetBytes } from '../../repository/pack-writer.ts';
import { joinPartialPacks } from './join-packs.ts';

/** Bodies that only pretend to be long: views of one buffer. */
const zeros = Buffer.alloc(packTargetBytes);

test('nothing is lost, kinds stay apart, order is kept, and nothing is joined beyond the target', () => {
  const partial = fc.record({
    kind: fc.constantFrom('data' as const, 'tree' as const),
    length: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: packTargetBytes / 2 })),
    entries: fc.uint8Array({ minLength: 1, maxLength: 5 }),
  });
  fc.assert(
    fc.property(fc.array(partial, { maxLength: 8 }), (made) => {
      const partials: PartialPack[] = made.map(({ kind, length, entries }) => ({
        kind,
        entries: length === 0 ? Buffer.alloc(0) : Buffer.from(entries),
        body: zeros.subarray(0, length),
      }));
      const joined = joinPartialPacks(partials);
      for (const kind of ['data', 'tree'] as const) {
        const [before, after] = [partials, joined].map((packs) => packs.filter((pack) => pack.kind === kind)) as [
          PartialPack[],
          PartialPack[],
        ];
        assert.deepEqual(Buffer.concat(after.map(({ entries }) => entries)), Buffer.concat(before.map(({ entries }) => entries)));
        const bytes = (packs: PartialPack[]) => packs.reduce((sum, { body }) => sum + body.length, 0);
        assert.equal(bytes(after), bytes(before));
        assert.ok(after.every(({ body }) => body.length > 0 && body.length <= packTargetBytes));
        // Two neighbours would not have fitted into one.
        for (let i = 1; i < after.length; i++) assert.ok(bytes(after.slice(i - 1, i + 1)) > packTargetBytes);
      }
    }),
    { numRuns: runs(60) },
  );
});

test('bodies keep the order of their entries', () => {
  const pack = (text: string): PartialPack => ({ kind: 'data', entries: Buffer.from(text.toUpperCase()), body: Buffer.from(text) });
  const [joined, ...others] = joinPartialPacks([pack('first '), pack('second '), pack('third')]);
  assert.equal(joined?.body.toString(), 'first second third');
  assert.equal(joined?.entries.toString(), 'FIRST SECOND THIRD');
  assert.deepEqual(others, []);
});
