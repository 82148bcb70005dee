import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fc, runs } from '../../../test/properties.ts';
import { type ChunkerVectors, contentOf } from '../../../test/vectors/chunker-content.ts';
import { cuttingWindow, fingerprint, referenceChunks } from '../../../test/vectors/chunker-reference.ts';
import { type Chunker, createChunker, isIrreducible, maxChunkBytes, minChunkBytes, randomPolynomial } from './chunker.ts';

const polynomial = 0x3da3358b4dc173n;

/** Cuts a content as a caller does: reads of the given lengths in turn; when the buffer is full, what is left moves to its beginning. */
function chunks(chunker: Chunker, content: Buffer, readBytes: readonly number[] = [content.length]): number[] {
  const { buffer } = chunker;
  const lengths: number[] = [];
  let [start, end, read] = [0, 0, 0];
  for (let reads = 0; ; reads++) {
    const wanted = Math.min(readBytes[reads % readBytes.length] as number, content.length - read);
    if (end + wanted > buffer.length) {
      buffer.copyWithin(0, start, end);
      [start, end] = [0, end - start];
    }
    const got = content.copy(buffer, end, read, read + Math.min(wanted, buffer.length - end));
    assert.ok(got > 0 || wanted === 0, 'a full buffer must be enough to decide');
    [end, read] = [end + got, read + got];
    const last = read === content.length;
    for (let length = chunker.next(start, end, last); length > 0; length = chunker.next(start, end, last)) {
      lengths.push(length);
      start += length;
    }
    if (last) return lengths;
  }
}

/** Bytes without a pattern, the same for the same seed. */
const noise = (seed: number, bytes: number): Buffer =>
  createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(bytes));

/** Content with no cut in it but those that are planted: in a run of one byte, all fingerprints are the same. */
const uncut = (bytes: number): Buffer => Buffer.alloc(bytes, 'x');

/** Makes a cut after `length` bytes. */
const plant = (content: Buffer, length: number, seed = 1): void => {
  cuttingWindow(noise(seed, 64), polynomial).copy(content, length - 64);
};

describe('chunker', () => {
  const vectors = JSON.parse(readFileSync(new URL('../../../test/vectors/chunker.json', import.meta.url), 'utf8')) as ChunkerVectors;
  for (const { writtenBy, polynomial: hexadecimal, contents } of vectors) {
    test(`cuts where ${writtenBy} did`, () => {
      const chunker = createChunker(BigInt(`0x${hexadecimal}`));
      for (const { name, parts, chunkBytes } of contents) {
        assert.deepEqual(chunks(chunker, contentOf(parts), [1024 * 1024]), chunkBytes, name);
      }
    });
  }

  test('cuts where the reference does, whatever the content and the lengths of the reads', () => {
    const part = fc.oneof(
      fc.record({ seed: fc.nat(255), bytes: fc.nat(90_000) }).map(({ seed, bytes }) => noise(seed, bytes)),
      fc.record({ byte: fc.nat(255), bytes: fc.nat(90_000) }).map(({ byte, bytes }) => Buffer.alloc(bytes, byte)),
      fc.nat(255).map((seed) => cuttingWindow(noise(seed, 64), polynomial)),
      fc.nat(200).map((bytes) => Buffer.alloc(bytes)),
    );
    // Around the minimum, then anything: otherwise nearly all that is generated lies where nothing may be cut.
    const before = fc.integer({ min: minChunkBytes - 70_000, max: minChunkBytes + 70 });
    const section = fc.tuple(before, fc.array(part, { maxLength: 5 })).map(([bytes, parts]) => Buffer.concat([uncut(bytes), ...parts]));
    const content = fc.array(section, { maxLength: 3 }).map((sections) => Buffer.concat(sections));
    const reads = fc.array(fc.oneof(fc.integer({ min: 1000, max: 30_000 }), fc.integer({ min: 30_000, max: 2_000_000 })), { minLength: 1 });
    const chunker = createChunker(polynomial);
    fc.assert(
      fc.property(content, reads, (content, reads) => {
        assert.deepEqual(chunks(chunker, content, reads), referenceChunks(content, polynomial));
      }),
      { numRuns: runs(40) },
    );
  });

  test('finds a cut at every distance from the minimum', () => {
    const chunker = createChunker(polynomial);
    const end = minChunkBytes + 50_000;
    uncut(end).copy(chunker.buffer);
    // Lanes and blocks of the kernel begin at multiples of 1024 behind the minimum.
    for (let distance = 0; distance < 45_000; distance += distance % 1024 < 70 || distance % 1024 > 1020 ? 1 : 11) {
      const length = minChunkBytes + distance;
      plant(chunker.buffer, length, distance % 256);
      assert.equal(chunker.next(0, end, true), length);
      assert.equal(chunker.next(0, length, false), length, 'at the end of what is there');
      chunker.buffer.fill('x', length - 64, length);
    }
  });

  test('takes the nearest of several cuts', () => {
    const chunker = createChunker(polynomial);
    const content = uncut(minChunkBytes + 100_000);
    for (let length = content.length - 1; length > minChunkBytes; length -= 997) {
      plant(content, length);
      assert.equal(chunks(chunker, content)[0], length);
    }
  });

  test('cuts nowhere before the minimum, and always at the maximum', () => {
    const chunker = createChunker(polynomial);
    const content = uncut(maxChunkBytes + 1000);
    for (const length of [64, 1000, minChunkBytes - 65, minChunkBytes - 1]) plant(content, length);
    plant(content, maxChunkBytes + 1);
    assert.deepEqual(chunks(chunker, content), [maxChunkBytes, 1000]);
    content.copy(chunker.buffer);
    assert.equal(chunker.next(0, maxChunkBytes - 1, false), 0);
    assert.equal(chunker.next(0, maxChunkBytes, false), maxChunkBytes);
    plant(content, maxChunkBytes - 1);
    assert.deepEqual(chunks(chunker, content), [maxChunkBytes - 1, 1001]);
    plant(content, minChunkBytes);
    assert.equal(chunks(chunker, content)[0], minChunkBytes);
  });

  test('cuts zeros into chunks of the minimum, with every polynomial, wherever they begin', () => {
    const minimum = (count: number) => new Array<number>(count).fill(minChunkBytes);
    for (let i = 0; i < 5; i++) {
      const chunker = createChunker(randomPolynomial());
      assert.deepEqual(chunks(chunker, Buffer.alloc(20 * minChunkBytes + 17), [700_000]), [...minimum(20), 17]);
    }
    assert.deepEqual(referenceChunks(Buffer.alloc(3 * minChunkBytes), polynomial), minimum(3));
  });

  test('asks for more until it can decide, and does not scan again what it scanned', () => {
    const chunker = createChunker(polynomial);
    const { buffer } = chunker;
    uncut(buffer.length).copy(buffer);
    const decided = minChunkBytes + 200_000;
    assert.equal(chunker.next(0, 0, false), 0);
    assert.equal(chunker.next(0, minChunkBytes - 1, false), 0);
    assert.equal(chunker.next(0, decided, false), 0);
    plant(buffer, decided);
    plant(buffer, decided + 100);
    // Now at another place of the buffer, as after copyWithin.
    buffer.copyWithin(5000, 0, decided + 1000);
    assert.equal(chunker.next(5000, 5000 + decided + 99, false), 0);
    assert.equal(chunker.next(5000, 5000 + decided + 1000, false), decided + 100);
    assert.equal(chunker.next(5000, 5000 + decided + 1000, false), decided, 'a chunk that was returned is forgotten');
    assert.equal(chunker.next(5000, 5000 + decided - 1, false), 0);
    chunker.reset();
    plant(buffer, 5000 + minChunkBytes + 7);
    assert.equal(chunker.next(5000, 5000 + decided, false), minChunkBytes + 7);
  });

  test('the last chunk is what remains', () => {
    const chunker = createChunker(polynomial);
    uncut(1_000_000).copy(chunker.buffer);
    for (const bytes of [0, 1, 63, minChunkBytes - 1, minChunkBytes, minChunkBytes + 1, 1_000_000]) {
      assert.equal(chunker.next(0, bytes, false), 0);
      assert.equal(chunker.next(0, bytes, true), bytes);
    }
  });

  test('its buffer holds the longest chunk and a large read, and works to its last byte', () => {
    const chunker = createChunker(polynomial);
    const { buffer } = chunker;
    assert.ok(buffer.length >= maxChunkBytes + 2 * 1024 * 1024);
    uncut(buffer.length).copy(buffer);
    const start = buffer.length - minChunkBytes - 30_000;
    assert.equal(chunker.next(start, buffer.length, false), 0);
    chunker.reset();
    plant(buffer, buffer.length);
    assert.equal(chunker.next(start, buffer.length, false), minChunkBytes + 30_000);
    for (const [from, to] of [
      [0, buffer.length + 1],
      [-1, 5],
      [6, 5],
      [Number.NaN, 5],
    ] as const) {
      assert.throws(() => chunker.next(from, to, true), { code: 'internal' });
    }
  });

  test('chunkers of one thread do not share anything', () => {
    const content = noise(1, 5_000_000);
    const polynomials = [polynomial, randomPolynomial()];
    const chunkers = polynomials.map(createChunker);
    for (const [i, chunker] of chunkers.entries()) chunker.buffer.fill(i);
    assert.deepEqual(
      chunkers.map(({ buffer }) => buffer[0]),
      [0, 1],
    );
    assert.deepEqual(
      chunkers.map((chunker) => chunks(chunker, content)),
      polynomials.map((polynomial) => chunks(createChunker(polynomial), content)),
    );
  });
});

describe('polynomials', () => {
  test('irreducible are those that no smaller one divides', () => {
    const divides = (divisor: bigint, dividend: bigint): boolean => {
      const degree = (p: bigint) => p.toString(2).length - 1;
      let rest = dividend;
      while (rest !== 0n && degree(rest) >= degree(divisor)) rest ^= divisor << BigInt(degree(rest) - degree(divisor));
      return rest === 0n;
    };
    for (const none of [-3n, 0n, 1n]) assert.equal(isIrreducible(none), false);
    for (let p = 2n; p < 1024n; p++) {
      let irreducible = true;
      for (let divisor = 2n; divisor < p && divisor < 32n; divisor++) irreducible &&= !divides(divisor, p);
      assert.equal(isIrreducible(p), irreducible, p.toString(2));
    }
  });

  test('a random one is of degree 53 and irreducible, and another every time', () => {
    const made = Array.from({ length: 10 }, randomPolynomial);
    for (const p of made) {
      assert.equal(p.toString(2).length, 54);
      assert.ok(isIrreducible(p));
      // x^(2^53) = x holds for all polynomials whose factors' degrees divide 53: of degree 1, which has no place here, or 53.
      let power = 2n;
      for (let i = 0; i < 53; i++) power = fingerprintOfSquare(power, p);
      assert.equal(power, 2n);
      assert.ok((p & 1n) === 1n && p.toString(2).replaceAll('0', '').length % 2 === 1);
    }
    assert.equal(new Set(made).size, made.length);
  });

  test('a repository whose polynomial is not irreducible of degree 53 is damaged', () => {
    for (const wrong of [
      0n,
      1n,
      -polynomial,
      1n << 53n,
      polynomial ^ 1n,
      polynomial ^ (1n << 53n),
      0x11bn,
      polynomial << 1n,
      (1n << 60n) | 1n,
    ]) {
      assert.throws(() => createChunker(wrong), { name: 'HoldfastError', code: 'damaged' }, wrong.toString(16));
    }
  });
});

/** Squares over GF(2), where the digits of a square are those of the root with zeros between, and takes the remainder. */
function fingerprintOfSquare(root: bigint, polynomial: bigint): bigint {
  const digits = root.toString(2).split('').join('0').padStart(112, '0');
  return fingerprint(Buffer.from(BigInt(`0b${digits}`).toString(16).padStart(28, '0'), 'hex'), polynomial);
}
