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

type NewContext = () => unknown;
type Init = (context: unknown, type: unknown, engine: null, key: Buffer | null, iv: Uint8Array | null) => number;
type Update = (context: unknown, target: Uint8Array, length: Buffer, source: Uint8Array, sourceLength: number) => number;
type SetPadding = (context: unknown, padding: number) => number;

/** AES-256 in counter mode under a key of 32 bytes; the IV of 16 bytes is the initial counter (big-endian). */
export function createAesCtr(key: Buffer): AesCtr {
  if (!native) {
    return (iv, source, target) => {
      const cipher = createCipheriv('aes-256-ctr', key, iv);
      target.set(cipher.update(source));
    };
  }
  const [newContext, aes256Ctr, init, update] = native as [NewContext, () => unknown, Init, Update];
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

/** Encrypts one block of 16 bytes into `target`. */
export type AesBlock = (block: Uint8Array, target: Buffer) => void;

const blockPrototypes = [
  'void* EVP_CIPHER_CTX_new()',
  'void* EVP_aes_128_ecb()',
  'int EVP_EncryptInit_ex(void* context, void* type, void* engine, const void* key, const void* iv)',
  'int EVP_EncryptUpdate(void* context, void* target, void* length, const void* source, int sourceLength)',
  'int EVP_CIPHER_CTX_set_padding(void* context, int padding)',
];

const nativeBlock = bindExecutable(blockPrototypes);
const blockBytes = 16;

/** AES-128 of single blocks of 16 bytes under one key. */
export function createAesBlock(key: Buffer): AesBlock {
  if (!nativeBlock) {
    const cipher = createCipheriv('aes-128-ecb', key, null).setAutoPadding(false);
    return (block, target) => {
      cipher.update(block).copy(target);
    };
  }
  const [newContext, aes128Ecb, init, update, setPadding] = nativeBlock as [NewContext, () => unknown, Init, Update, SetPadding];
  const context = newContext();
  const written = Buffer.alloc(4);
  if (init(context, aes128Ecb(), null, key, null) !== 1 || setPadding(context, 0) !== 1) throw new Error('OpenSSL refused AES-128');
  return (block, target) => {
    if (block.length < blockBytes || target.length < blockBytes) throw new RangeError('AES takes and gives blocks of 16 bytes');
    if (update(context, target, written, block, blockBytes) !== 1) throw new Error('OpenSSL failed to encrypt');
  };
}
