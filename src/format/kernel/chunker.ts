/**
 * Cuts content into chunks at places that the content itself decides, so that an insertion changes the chunks around
 * it and no others. Cuts exactly where restic's chunker does: Rabin fingerprints over a window of 64 bytes, modulo
 * an irreducible polynomial of degree 53 that every repository chooses for itself; average 1 MiB above the minimum.
 *
 * A fingerprint depends on nothing but the 64 bytes before it, as the minimum is longer than the window: so a
 * chunk's first 512 KiB need no fingerprints, and the rest is scanned at several places at once (see the assembly).
 *
 * Polynomials over GF(2) are bigints here, bit n being the coefficient of x^n.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { HoldfastError } from '../../model/errors.ts';

/**
 * No chunk is shorter, except the last one of a content. In a run of zeros, whose fingerprint is zero everywhere, every
 * chunk is exactly this long: what lets the holes of a sparse file be cut without being read.
 */
export const minChunkBytes = 512 * 1024;
/** No chunk is longer. */
export const maxChunkBytes = 8 * 1024 * 1024;

const polynomialDegree = 53;

const bufferBytes = 12 * 1024 * 1024;
/** Where the buffer begins in the memory: behind the kernel's tables. */
const bufferOffset = 65_536;
const wasmPageBytes = 65_536;

export type Chunker = {
  /**
   * Memory of the kernel, 12 MiB, into which the caller reads content directly. Never detached or resized; pages that
   * were never touched cost no memory.
   */
  readonly buffer: Buffer;
  /**
   * The length in bytes of the chunk that begins at `start` of the buffer, where content is up to `end`; 0 when it takes
   * more content to decide. Then the caller reads more behind `end`, having moved the content from `start` to the
   * beginning of the buffer if it likes, and calls again: what was scanned is not scanned again. With `last` (the content
   * ends at `end`) what remains is a chunk: 0 only if nothing remains.
   * @throws HoldfastError `internal` when start and end are not within the buffer
   */
  next(start: number, end: number, last: boolean): number;
  /** Forgets the chunk that was begun: before other content, unless the last call returned a chunk. */
  reset(): void;
};

/** What is used of WebAssembly: TypeScript declares it only along with a browser's globals. */
declare const WebAssembly: {
  Module: new (code: Uint8Array) => object;
  Memory: new (limits: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

type Kernel = {
  setPolynomial(polynomial: bigint): void;
  /** Addresses, both included; 0 when there is no cut. */
  nearestCut(first: number, end: number): number;
};

let compiled: object | undefined;

/** Once per thread. */
function compile(): object {
  try {
    compiled ??= new WebAssembly.Module(readFileSync(new URL('./chunker.wasm', import.meta.url)));
  } catch (cause) {
    throw new HoldfastError('internal', 'the chunker, chunker.wasm, cannot be loaded', {
      remedy: 'in a checkout, run `npm run prepare`; else install Holdfast again',
      cause,
    });
  }
  return compiled;
}

/**
 * A chunker for one content at a time, with a buffer of its own. Synchronous.
 * @throws HoldfastError `damaged` when the polynomial isn't irreducible of degree 53
 */
export function createChunker(polynomial: bigint): Chunker {
  if (degree(polynomial) !== polynomialDegree || !isIrreducible(polynomial)) {
    throw new HoldfastError('damaged', `the repository's chunker polynomial, ${polynomial.toString(16)}, is not irreducible of degree 53`);
  }
  const pages = (bufferOffset + bufferBytes) / wasmPageBytes;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const kernel = new WebAssembly.Instance(compile(), { env: { memory } }).exports as Kernel;
  kernel.setPolynomial(polynomial);

  /** The longest length of the current chunk that is known to be no cut. */
  let scanned = minChunkBytes - 1;
  const cutAt = (length: number): number => {
    scanned = minChunkBytes - 1;
    return length;
  };
  return {
    buffer: Buffer.from(memory.buffer, bufferOffset, bufferBytes),
    next(start, end, last) {
      if (!(start >= 0 && start <= end && end <= bufferBytes)) {
        throw new HoldfastError('internal', `chunker: ${start} to ${end} is not within its buffer`);
      }
      const limit = Math.min(end - start, maxChunkBytes);
      if (limit > scanned) {
        const base = bufferOffset + start;
        const cut = kernel.nearestCut(base + scanned + 1, base + limit);
        if (cut !== 0) return cutAt(cut - base);
        scanned = limit;
      }
      return last || limit === maxChunkBytes ? cutAt(limit) : 0;
    },
    reset() {
      scanned = minChunkBytes - 1;
    },
  };
}

/** A random irreducible polynomial of degree 53, for a new repository. About one in 27 candidates is irreducible. */
export function randomPolynomial(): bigint {
  const top = 1n << BigInt(polynomialDegree);
  for (;;) {
    const candidate = top | BigInt.asUintN(polynomialDegree, randomBytes(8).readBigUInt64LE()) | 1n;
    if (isIrreducible(candidate)) return candidate;
  }
}

/**
 * Whether a polynomial over GF(2) is irreducible. Ben-Or's test ("Probabilistic algorithms in finite fields", 1981):
 * x^(2^i) - x is the product of all irreducible polynomials whose degree divides i, so it shares a factor with a
 * reducible one for some i up to half its degree.
 */
export function isIrreducible(polynomial: bigint): boolean {
  const n = degree(polynomial);
  if (n < 1) return false;
  const x = 2n;
  let power = x;
  for (let i = 1; i <= n / 2; i++) {
    power = squareModulo(power, polynomial);
    if (greatestCommonDivisor(polynomial, power ^ x) !== 1n) return false;
  }
  return true;
}

/** -1 for zero. */
const degree = (polynomial: bigint): number => (polynomial <= 0n ? -1 : polynomial.toString(2).length - 1);

function remainder(dividend: bigint, divisor: bigint): bigint {
  const n = degree(divisor);
  let rest = dividend;
  for (let m = degree(rest); m >= n; m = degree(rest)) rest ^= divisor << BigInt(m - n);
  return rest;
}

/** Over GF(2), the square of a sum is the sum of the squares: bit n becomes bit 2n. */
function squareModulo(polynomial: bigint, modulus: bigint): bigint {
  let square = 0n;
  for (let bit = 0; bit <= degree(polynomial); bit++) {
    if ((polynomial >> BigInt(bit)) & 1n) square |= 1n << BigInt(2 * bit);
  }
  return remainder(square, modulus);
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : greatestCommonDivisor(b, remainder(a, b));
}
