import { createCipheriv } from 'node:crypto';
import { bindExecutable } from './executable.ts';

/** Encrypts or decrypts (the same operation) `source` into `target`, which may be the same memory. */
export type AesCtr = (iv: Uint8Array, source: Uint8Array, target: Uint8Array) => void;

const prototypes = [
  'void* EVP_CIPHER_CTX_new()',
  'void* EVP_aes_256_ctr()',
  'int EVP_EncryptInit_ex(void* context, void* type, void* engine, const void* key, const void* iv)',
  'int EVP_EncryptUpdate(void* context, void* target, void* length, const void* source, int sourceLength)',
];

const native = bindExecutable(prototypes);

/** AES-256 in counter mode under a key of 32 bytes; the IV of 16 bytes is the initial counter (big-endian). */
export function createAesCtr(key: Buffer): AesCtr {
  if (!native) {
    return (iv, source, target) => {
      const cipher = createCipheriv('aes-256-ctr', key, iv);
      target.set(cipher.update(source));
    };
  }
  const [newContext, aes256Ctr, init, update] = native as [
    () => unknown,
    () => unknown,
    (context: unknown, type: unknown, engine: null, key: Buffer | null, iv: Uint8Array | null) => number,
    (context: unknown, target: Uint8Array, length: Buffer, source: Uint8Array, sourceLength: number) => number,
  ];
  const context = newContext();
  const written = Buffer.alloc(4);
  if (init(context, aes256Ctr(), null, key, null) !== 1) throw new Error('OpenSSL refused AES-256-CTR');
  return (iv, source, target) => {
    if (target.length < source.length) throw new RangeError('target of AES-CTR is too short');
    if (init(context, null, null, null, iv) !== 1 || update(context, target, written, source, source.length) !== 1) {
      throw new Error('OpenSSL failed to encrypt');
    }
  };
}

/** AES-128 of single blocks of 16 bytes under one key. */
export function createAesBlock(key: Buffer): (block: Uint8Array) => Buffer {
  const cipher = createCipheriv('aes-128-ecb', key, null).setAutoPadding(false);
  return (block) => cipher.update(block);
}
