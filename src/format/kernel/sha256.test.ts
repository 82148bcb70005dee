import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import { sha256Hex, sha256Into } from './sha256.ts';

test('the examples of NIST (FIPS 180-2, appendix B, and the empty message)', () => {
  const examples = [
    ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    ['abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq', '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1'],
    ['a'.repeat(1_000_000), 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0'],
  ] as const;
  for (const [message, digest] of examples) assert.equal(sha256Hex(Buffer.from(message)), digest);
});

test('any message hashes as in node:crypto, into the first 32 bytes only', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1000 }), (message) => {
      const into = Buffer.alloc(40, 7);
      sha256Into(message, into);
      assert.deepEqual(into.subarray(0, 32), createHash('sha256').update(message).digest());
      assert.deepEqual(into.subarray(32), Buffer.alloc(8, 7));
    }),
  );
});
