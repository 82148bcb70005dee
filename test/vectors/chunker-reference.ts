/** The chunker as its definition says, one byte after the other in whole numbers: slow, and plainly right. */
import { maxChunkBytes, minChunkBytes } from '../../src/format/kernel/chunker.ts';

const windowBytes = 64;
const degree = 53n;
const cutMask = (1n << 20n) - 1n;

/** The remainder of a polynomial over GF(2), of any degree. */
function modulo(value: bigint, polynomial: bigint): bigint {
  let rest = value;
  while (rest >> degree !== 0n) rest ^= polynomial << BigInt(rest.toString(2).length - 1 - Number(degree));
  return rest;
}

/** The remainders of `byte * x^power`. */
const multiples = (power: number, polynomial: bigint): bigint[] =>
  Array.from({ length: 256 }, (_, byte) => modulo(BigInt(byte) << BigInt(power), polynomial));

/** Bytes are the coefficients of a polynomial, the first one highest. */
export const fingerprint = (bytes: Uint8Array, polynomial: bigint): bigint =>
  modulo(BigInt(`0x00${Buffer.from(bytes).toString('hex')}`), polynomial);

/** 64 bytes behind which a content is cut: as given, but the last 3 bytes, which fill the last 20 bits of the fingerprint up to zero. */
export function cuttingWindow(first: Uint8Array, polynomial: bigint): Buffer {
  const window = Buffer.alloc(windowBytes);
  window.set(first.subarray(0, windowBytes - 3));
  window.writeUIntBE(Number(fingerprint(window, polynomial) & cutMask), windowBytes - 3, 3);
  return window;
}

/** The lengths of the chunks of a content. */
export function referenceChunks(content: Uint8Array, polynomial: bigint): number[] {
  const leaving = multiples(8 * windowBytes, polynomial);
  const beyondDegree = multiples(Number(degree), polynomial);
  const lengths: number[] = [];
  let start = 0;
  while (start < content.length) {
    const length = chunkLength(content.subarray(start, start + maxChunkBytes));
    lengths.push(length);
    start += length;
  }
  return lengths;

  function chunkLength(rest: Uint8Array): number {
    // The window begins as zeros behind a single byte 1, and the first bytes of a chunk are never fed to it.
    const window = [1, ...new Array<number>(windowBytes - 1).fill(0)];
    let digest = fingerprint(Uint8Array.from(window), polynomial);
    let oldest = 0;
    for (let at = minChunkBytes - windowBytes; at < rest.length; at++) {
      const entering = rest[at] as number;
      const shifted = digest << 8n;
      digest = (shifted & ((1n << degree) - 1n)) ^ (beyondDegree[Number(shifted >> degree)] as bigint) ^ BigInt(entering);
      digest ^= leaving[window[oldest] as number] as bigint;
      window[oldest] = entering;
      oldest = (oldest + 1) % windowBytes;
      if (at + 1 >= minChunkBytes && (digest & cutMask) === 0n) return at + 1;
    }
    return rest.length;
  }
}
