/**
 * Sealed bytes: `IV(16) || AES-256-CTR ciphertext || Poly1305-AES MAC(16)`, as restic's design document describes
 * under "Keys, Encryption and MAC". Poly1305-AES: D. J. Bernstein, "The Poly1305-AES message-authentication code".
 */
import { randomFillSync, timingSafeEqual } from 'node:crypto';
import { HoldfastError } from '../model/errors.ts';
import { createAesBlock, createAesCtr } from './kernel/aes-ctr.ts';
import { poly1305 } from './kernel/poly1305.ts';

export const ivBytes = 16;
export const macBytes = 16;
/** What sealing adds to a plaintext. */
export const sealOverheadBytes = ivBytes + macBytes;

/** 32 bytes to encrypt, 16 bytes each of Poly1305-AES's `k` and `r`. */
export type SealKey = { encrypt: Buffer; macK: Buffer; macR: Buffer };

export type Seal = {
  /**
   * Seals `plain` into `target` from its beginning. `plain` may lie in `target` at offset 16 (sealed in place).
   * @returns the sealed length, plain.length + 32.
   */
  sealInto(plain: Uint8Array, target: Buffer): number;
  seal(plain: Uint8Array): Buffer;
  /**
   * Verifies and decrypts `sealed` into `target` (which may be sealed.subarray(16)).
   * @returns the plaintext's length. @throws `damaged` when the MAC is wrong or there are fewer than 32 bytes.
   */
  openInto(sealed: Uint8Array, target: Uint8Array): number;
  /** Verifies and decrypts in place. @returns the plaintext, a view of `sealed`. @throws `damaged` */
  open(sealed: Buffer): Buffer;
};

/** Clamps `r` as the Poly1305-AES paper says: some bits of it are zero. */
function clamp(r: Buffer): Buffer {
  const clamped = Buffer.from(r);
  for (const i of [3, 7, 11, 15]) clamped[i] = (clamped[i] as number) & 0x0f;
  for (const i of [4, 8, 12]) clamped[i] = (clamped[i] as number) & 0xfc;
  return clamped;
}

/** IVs are drawn from the system's generator in batches: a call for each blob would cost more than the sealing of a small one. */
function createIvSource(): (into: Buffer) => void {
  const pool = Buffer.alloc(ivBytes * 512);
  let used = pool.length;
  return (into) => {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    pool.copy(into, 0, used, used + ivBytes);
    pool.fill(0, used, used + ivBytes);
    used += ivBytes;
  };
}

export function createSeal(key: SealKey): Seal {
  const aesCtr = createAesCtr(key.encrypt);
  const aesBlock = createAesBlock(key.macK);
  const nextIv = createIvSource();
  const oneTimeKey = Buffer.alloc(32);
  clamp(key.macR).copy(oneTimeKey, 0);

  const oneTimeSecret = oneTimeKey.subarray(16);
  const tag = Buffer.alloc(macBytes);

  const seal: Seal = {
    sealInto(plain, target) {
      const length = plain.length;
      if (target.length < length + sealOverheadBytes) throw new RangeError('target of a seal is too short');
      const iv = target.subarray(0, ivBytes);
      const body = target.subarray(ivBytes, ivBytes + length);
      nextIv(iv);
      if (length > 0) aesCtr(iv, plain, body);
      aesBlock(iv, oneTimeSecret);
      poly1305(target.subarray(ivBytes + length, ivBytes + length + macBytes), body, oneTimeKey);
      return length + sealOverheadBytes;
    },
    seal(plain) {
      const sealed = Buffer.allocUnsafe(plain.length + sealOverheadBytes);
      seal.sealInto(plain, sealed);
      return sealed;
    },
    openInto(sealed, target) {
      const length = sealed.length - sealOverheadBytes;
      if (length < 0) throw new HoldfastError('damaged', `sealed data of ${sealed.length} bytes is too short`);
      const iv = sealed.subarray(0, ivBytes);
      const body = sealed.subarray(ivBytes, ivBytes + length);
      aesBlock(iv, oneTimeSecret);
      const mac = sealed.subarray(ivBytes + length) as Buffer;
      poly1305(tag, body, oneTimeKey);
      if (!timingSafeEqual(tag, mac)) {
        throw new HoldfastError('damaged', 'the authentication code of sealed data is wrong');
      }
      if (length > 0) aesCtr(iv, body, target);
      return length;
    },
    open(sealed) {
      const body = sealed.subarray(ivBytes, Math.max(ivBytes, sealed.length - macBytes));
      return body.subarray(0, seal.openInto(sealed, body));
    },
  };
  return seal;
}
