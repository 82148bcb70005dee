import { createCipheriv, createHash } from 'node:crypto';

/** A deterministic source of numbers: the same seed gives the same numbers on every machine. */
export type Random = {
  uint32(): number;
  /** A whole number from 0 up to, not including, `limit` (at most 2^32). */
  below(limit: number): number;
  /** From 0 up to, not including, 1. */
  fraction(): number;
  pick<Item>(list: readonly Item[]): Item;
};

/** The generator is sfc32 of Chris Doty-Humphrey's PractRand, keyed with the SHA-256 of the seed. */
export function randomFrom(seed: string): Random {
  const key = createHash('sha256').update(seed).digest();
  let a = key.readUInt32LE(0);
  let b = key.readUInt32LE(4);
  let c = key.readUInt32LE(8);
  let counter = key.readUInt32LE(12) | 1;
  const uint32 = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  };
  const fraction = (): number => uint32() / 2 ** 32;
  const below = (limit: number): number => Math.floor(fraction() * limit);
  const pick = <Item>(list: readonly Item[]): Item => list[below(list.length)] as Item;
  return { uint32, below, fraction, pick };
}

/** Endless bytes that no compressor shrinks: AES-128-CTR keystream, because it is fast and the same everywhere. */
export function noiseFrom(seed: string): (lengthBytes: number) => Buffer {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16, 32));
  return (lengthBytes) => cipher.update(Buffer.alloc(lengthBytes));
}
