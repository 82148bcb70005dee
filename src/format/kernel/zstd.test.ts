import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { fc } from '../../../test/properties.ts';
import { compressBound, decompressUnsized, zstd } from './zstd.ts';

function compress(plain: Uint8Array, level = 3): Buffer {
  const target = Buffer.alloc(compressBound(plain.length));
  return target.subarray(0, zstd.compress(plain, target, level));
}

test('what it compresses, zlib reads, and the other way round', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.integer({ min: 1, max: 9 }), (plain, level) => {
      assert.deepEqual(zstdDecompressSync(compress(plain, level)), Buffer.from(plain));
      const target = Buffer.alloc(plain.length);
      assert.equal(zstd.decompress(zstdCompressSync(plain), target), plain.length);
      assert.deepEqual(target, Buffer.from(plain));
    }),
  );
});

test('the bound holds for what does not compress', () => {
  for (const length of [0, 1, 255, 131_071, 131_072, 300_000]) {
    const noise = crypto.getRandomValues(Buffer.alloc(Math.min(length, 65_536)));
    const plain = Buffer.alloc(length);
    for (let at = 0; at < length; at += noise.length) noise.copy(plain, at);
    assert.ok(compress(plain).length <= compressBound(length));
  }
});

test('it never writes beyond the target: a bomb is damage', () => {
  const bomb = zstdCompressSync(Buffer.alloc(10_000_000));
  const memory = Buffer.alloc(2000, 7);
  assert.throws(() => zstd.decompress(bomb, memory.subarray(0, 1000)), { code: 'damaged' });
  assert.deepEqual(memory.subarray(1000), Buffer.alloc(1000, 7));
  assert.throws(() => zstd.decompress(zstdCompressSync(Buffer.from('x')), Buffer.alloc(0)), { code: 'damaged' });
  assert.throws(() => decompressUnsized(bomb, 9_999_999), { code: 'damaged' });
  assert.equal(decompressUnsized(bomb, 10_000_000).length, 10_000_000);
});

test('what is cut or changed is damage, or other data, but nothing worse', () => {
  const whole = compress(Buffer.from('some text, some text, some text'.repeat(100)));
  const target = Buffer.alloc(10_000);
  for (let length = 1; length < whole.length; length++)
    assert.throws(() => zstd.decompress(whole.subarray(0, length), target), { code: 'damaged' });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      try {
        assert.ok(zstd.decompress(noise, target) <= target.length);
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'damaged');
      }
    }),
  );
});
