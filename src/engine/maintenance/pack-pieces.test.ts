import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import { planPieces } from './pack-pieces.ts';

const blob = fc.record({ offset: fc.nat(500), length: fc.integer({ min: 1, max: 100 }) });

test('pieces cover a pack once, from its first byte to its last, whatever the index says', () => {
  fc.assert(
    fc.property(fc.array(blob), fc.nat(600), fc.integer({ min: 1, max: 150 }), (list, packBytes, maxBytes) => {
      const blobs = list.sort((a, b) => a.offset - b.offset).map((place, entry) => ({ ...place, entry, plainLength: 0 }));
      const { pieces, strays } = planPieces(blobs, packBytes, maxBytes);
      let end = 0;
      for (const piece of pieces) {
        assert.equal(piece.offset, end);
        assert.ok(piece.length > 0);
        assert.ok(piece.length <= maxBytes || piece.blobs.length === 1, 'only a blob of its own may be larger');
        end += piece.length;
        let inside = piece.offset;
        for (const { offset, length } of piece.blobs) {
          assert.equal(offset, inside);
          inside += length;
        }
        assert.ok(piece.blobs.length === 0 || inside === end);
      }
      assert.equal(end, packBytes);
      const planned = [...pieces.flatMap((piece) => piece.blobs), ...strays].map(({ entry }) => entry);
      assert.deepEqual(
        planned.sort((a, b) => a - b),
        [...blobs.keys()],
      );
    }),
  );
});

test('the header is a piece of its own', () => {
  const { pieces } = planPieces([{ entry: 0, offset: 0, length: 60, plainLength: 0 }], 100, 1000);
  assert.deepEqual(
    pieces.map(({ offset, length, blobs }) => [offset, length, blobs.length]),
    [
      [0, 60, 1],
      [60, 40, 0],
    ],
  );
});
