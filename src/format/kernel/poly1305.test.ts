import assert from 'node:assert/strict';
import { test } from 'node:test';
import sodium from 'sodium-native';
import { poly1305 } from './poly1305.ts';

test('the vector of RFC 8439, 2.5.2', () => {
  const key = Buffer.from('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b', 'hex');
  const tag = Buffer.alloc(16);
  poly1305(tag, Buffer.from('Cryptographic Forum Research Group'), key);
  assert.equal(tag.toString('hex'), 'a8061dc1305136c6c22b8baf0c0127a9');
});

test('as libsodium for every length up to 300 and for a long message', () => {
  const key = Buffer.alloc(32, 0x5a);
  const message = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7919) & 0xff));
  for (const length of [...Array(301).keys(), 65_537, message.length]) {
    const tag = Buffer.alloc(16);
    const expected = Buffer.alloc(16);
    poly1305(tag, message.subarray(0, length), key);
    sodium.crypto_onetimeauth(expected, message.subarray(0, length), key);
    assert.deepEqual(tag, expected, `length ${length}`);
  }
});

test('a key of the wrong length is refused', () => {
  assert.throws(() => poly1305(Buffer.alloc(16), Buffer.alloc(1), Buffer.alloc(31)));
});
