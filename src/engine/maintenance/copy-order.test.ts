import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import type { PackId } from '../../model/ids.ts';
import { BlobIndex } from '../../repository/blob-index.ts';
import { batchesOf, entriesByPack } from './copy-order.ts';

const hash = (text: string) => createHash('sha256').update(text).digest();

/** An index whose entries lie in the packs of these numbers. */
function indexOf(packs: readonly number[], length = 100): BlobIndex {
  const index = new BlobIndex();
  const count = Math.max(0, ...packs) + 1;
  for (let pack = 0; pack < count; pack++) index.addPack(hash(`pack ${pack}`).toString('hex') as PackId);
  for (const [i, pack] of packs.entries()) index.add(hash(`blob ${i}`), 'data', pack, i * length, length, 0);
  return index;
}

test('entries come by pack, each that is wanted once, and in order within it', () => {
  const wantedPacks = fc.array(fc.record({ pack: fc.nat(5), wanted: fc.boolean() }), { maxLength: 200 });
  fc.assert(
    fc.property(wantedPacks, (blobs) => {
      const index = indexOf(blobs.map(({ pack }) => pack));
      const bits = new Int32Array(Math.ceil(blobs.length / 32));
      for (const [i, { wanted }] of blobs.entries()) if (wanted) (bits[i >>> 5] as number) |= 1 << (i & 31);
      const expected = blobs
        .flatMap(({ pack, wanted }, entry) => (wanted ? [{ pack, entry }] : []))
        .sort((a, b) => a.pack - b.pack || a.entry - b.entry)
        .map(({ entry }) => entry);
      assert.deepEqual([...entriesByPack(index, bits)], expected);
    }),
  );
});

test('batches hold all, in order, and are bounded in bytes and in number', () => {
  const mebibyte = 1024 * 1024;
  for (const [count, length, batches] of [
    [5000, 100, 3],
    [20, mebibyte, 3],
    [0, 1, 0],
  ] as const) {
    const index = indexOf(
      Array.from({ length: count }, () => 0),
      length,
    );
    const entries = Uint32Array.from({ length: count }, (_, i) => i);
    const cut = [...batchesOf(index, entries)];
    assert.equal(cut.length, batches);
    assert.deepEqual(
      cut.flatMap((batch) => [...batch]),
      [...entries],
    );
  }
});
