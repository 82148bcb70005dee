import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import { createAesBlock, createAesCtr } from './aes-ctr.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const plain = hex(
  '6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51 30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710',
);

test('CTR-AES256 of NIST SP 800-38A, F.5.5 and F.5.6', () => {
  const ctr = createAesCtr(hex('603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4'));
  const counter = hex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff');
  const cipher = hex(
    '601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5 2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6',
  );
  const target = Buffer.alloc(plain.length);
  ctr(counter, plain, target);
  assert.deepEqual(target, cipher);
  ctr(counter, cipher, target);
  assert.deepEqual(target, plain);
});

test('ECB-AES128 of NIST SP 800-38A, F.1.1', () => {
  const block = createAesBlock(hex('2b7e151628aed2a6abf7158809cf4f3c'));
  const target = Buffer.alloc(16);
  block(plain.subarray(0, 16), target);
  assert.deepEqual(target, hex('3ad77bb40d7a3660a89ecaf32466ef97'));
  block(plain.subarray(16, 32), target);
  assert.deepEqual(target, hex('f5d3d58503b9699de785895a96fdbaaf'));
});

test('any length and counter as in node:crypto, in place too, and one context after the other', () => {
  const key = Buffer.alloc(32, 9);
  const ctr = createAesCtr(key);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200, minLength: 1 }), fc.uint8Array({ minLength: 16, maxLength: 16 }), (source, iv) => {
      const expected = createCipheriv('aes-256-ctr', key, iv).update(source);
      const inPlace = Buffer.from(source);
      ctr(iv, inPlace, inPlace);
      assert.deepEqual(inPlace, expected);
    }),
  );
});

test('a counter that overflows wraps around', () => {
  const key = Buffer.alloc(32, 1);
  const iv = Buffer.alloc(16, 0xff);
  const target = Buffer.alloc(64);
  createAesCtr(key)(iv, Buffer.alloc(64), target);
  assert.deepEqual(target, createCipheriv('aes-256-ctr', key, iv).update(Buffer.alloc(64)));
});

test('a target that is too short is refused', () => {
  assert.throws(() => createAesCtr(Buffer.alloc(32))(Buffer.alloc(16), Buffer.alloc(20), Buffer.alloc(19)), RangeError);
});
