import assert from 'node:assert/strict';
import { createCipheriv, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { fc } from '../../test/properties.ts';
import { createSeal, ivBytes, macBytes, sealOverheadBytes } from './seal.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** D. J. Bernstein, "The Poly1305-AES message-authentication code", appendix B: m, r, k, n and the authenticator. */
const poly1305Aes = [
  {
    m: 'f3f6',
    r: '851fc40c3467ac0be05cc20404f3f700',
    k: 'ec074c835580741701425b623235add6',
    n: 'fb447350c4e868c52ac3275cf9d4327e',
    mac: 'f4c633c3044fc145f84f335cb81953de',
  },
  {
    m: '',
    r: 'a0f3080000f46400d0c7e9076c834403',
    k: '75deaa25c09f208e1dc4ce6b5cad3fbf',
    n: '61ee09218d29b0aaed7e154a2c5509cc',
    mac: 'dd3fab2251f11ac759f0887129cc2ee7',
  },
  {
    m: '663cea190ffb83d89593f3f476b6bc24d7e679107ea26adb8caf6652d0656136',
    r: '48443d0bb0d21109c89a100b5ce2c208',
    k: '6acb5f61a7176dd320c5c1eb2edcdc74',
    n: 'ae212a55399729595dea458bc621ff0e',
    mac: '0ee1c16bb73f0f4fd19881753c01cdbe',
  },
];

test("the authentication code is Poly1305-AES, as the paper's examples have it", () => {
  for (const { m, r, k, n, mac } of poly1305Aes) {
    const encrypt = randomBytes(32);
    const seal = createSeal({ encrypt, macK: hex(k), macR: hex(r) });
    // A sealed message is n, m as the ciphertext, and the authenticator.
    const plain = seal.open(Buffer.concat([hex(n), hex(m), hex(mac)]));
    assert.deepEqual(plain, createCipheriv('aes-256-ctr', encrypt, hex(n)).update(hex(m)));
    assert.throws(() => seal.open(Buffer.concat([hex(n), hex(m), hex(mac).fill(0, 0, 1)])), { code: 'damaged' });
  }
});

test('r is clamped: bits that the paper wants to be zero count for nothing', () => {
  const { m, r, k, n, mac } = poly1305Aes[2] as (typeof poly1305Aes)[number];
  const loose = hex(r);
  for (const i of [3, 7, 11, 15]) loose[i] = (loose[i] as number) | 0xf0;
  for (const i of [4, 8, 12]) loose[i] = (loose[i] as number) | 0x03;
  createSeal({ encrypt: randomBytes(32), macK: hex(k), macR: loose }).open(Buffer.concat([hex(n), hex(m), hex(mac)]));
});

const seal = createSeal({ encrypt: randomBytes(32), macK: randomBytes(16), macR: randomBytes(16) });

test('what is sealed opens to what it was, in place and elsewhere', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (plain) => {
      const sealed = seal.seal(plain);
      assert.equal(sealed.length, plain.length + sealOverheadBytes);
      const target = Buffer.alloc(plain.length);
      assert.equal(seal.openInto(sealed, target), plain.length);
      assert.deepEqual(target, Buffer.from(plain));
      assert.deepEqual(seal.open(sealed), Buffer.from(plain));

      const inPlace = Buffer.alloc(plain.length + sealOverheadBytes);
      inPlace.set(plain, ivBytes);
      assert.equal(seal.sealInto(inPlace.subarray(ivBytes, ivBytes + plain.length), inPlace), inPlace.length);
      assert.deepEqual(seal.open(inPlace), Buffer.from(plain));
    }),
  );
});

test('no bit can change unnoticed', () => {
  const sealed = seal.seal(Buffer.from('attack at dawn'));
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Buffer.from(sealed);
    changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.throws(() => seal.open(changed), { code: 'damaged' });
  }
  for (let length = 0; length < sealed.length; length++)
    assert.throws(() => seal.open(Buffer.from(sealed.subarray(0, length))), { code: 'damaged' });
});

test('nothing is decrypted before it is authenticated', () => {
  const sealed = seal.seal(Buffer.from('attack at dawn'));
  const last = sealed.length - 1;
  sealed[last] = (sealed[last] as number) ^ 1;
  const target = Buffer.alloc(100);
  assert.throws(() => seal.openInto(sealed, target), { code: 'damaged' });
  assert.deepEqual(target, Buffer.alloc(100));
});

test('an IV is never used twice, over many refills of the pool', () => {
  const ivs = new Set<string>();
  for (let i = 0; i < 2000; i++) ivs.add(seal.seal(Buffer.alloc(0)).toString('hex', 0, ivBytes));
  assert.equal(ivs.size, 2000);
});

test('another key opens nothing', () => {
  const other = createSeal({ encrypt: randomBytes(32), macK: randomBytes(16), macR: randomBytes(16) });
  assert.throws(() => other.open(seal.seal(Buffer.from('secret'))), { code: 'damaged' });
  assert.equal(macBytes, 16);
});

test('a target without room is refused', () => {
  assert.throws(() => seal.sealInto(Buffer.alloc(10), Buffer.alloc(41)), RangeError);
});
