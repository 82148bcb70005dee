import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { compressBound, zstd } from '../../format/kernel/zstd.ts';
import { createPackBuffers } from './pack-buffers.ts';

const pieceBytes = 512 * 1024;

/** Content that compresses a little: half of it is noise. */
function halfNoise(length: number): Buffer {
  const content = Buffer.alloc(length, 'some text that repeats ');
  for (let at = 0; at + 64 <= length; at += 64) createHash('sha256').update(String(at)).digest().copy(content, at);
  return content;
}

test('a large blob can be inflated over itself, where its piece is read to', () => {
  const { own, bufferFor } = createPackBuffers({});
  for (const length of [1_500_000, 3_000_000, 8 * 1024 * 1024]) {
    const plain = halfNoise(length);
    const compressed = Buffer.alloc(compressBound(length));
    const compressedLength = zstd.compress(plain, compressed, 3);
    assert.ok(compressedLength > pieceBytes);
    const blob = { entry: 0, offset: 0, length: compressedLength + 32, plainLength: length };
    const place = bufferFor({ offset: 0, length: blob.length, blobs: [blob] }, 0);
    assert.equal(place.length, blob.length);
    assert.equal(place.buffer, own.buffer, 'no memory of its own');
    compressed.copy(place, 16, 0, compressedLength);
    assert.equal(zstd.decompress(place.subarray(16, 16 + compressedLength), own.subarray(0, length)), length);
    assert.ok(own.subarray(0, length).equals(plain));
  }
});

test('small pieces have places in turn, more over a network; what is larger than any blob has memory of its own', () => {
  for (const remote of [false, true]) {
    const { ahead, bufferFor } = createPackBuffers({ remote });
    const places = Array.from({ length: ahead + 2 }, (_, i) => bufferFor({ offset: 0, length: 100, blobs: [] }, i));
    assert.equal(new Set(places).size, ahead + 1);
    assert.equal(places.at(-1), places[0]);
    assert.equal(ahead > 1, remote);
  }
  const { own, bufferFor } = createPackBuffers({});
  const length = 100 * 1024 * 1024;
  const huge = bufferFor({ offset: 0, length, blobs: [{ entry: 0, offset: 0, length, plainLength: 0 }] }, 0);
  assert.equal(huge.length, length);
  assert.notEqual(huge.buffer, own.buffer);
});
