import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratch } from '../../../test/peers.ts';
import { fc, runs } from '../../../test/properties.ts';
import { createChunker, minChunkBytes, randomPolynomial } from '../../format/kernel/chunker.ts';
import { sha256Hex } from '../../format/kernel/sha256.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import { Stat, statFd } from '../source/posix-stat.ts';
import { createFileReader, type FileContent, type FileReader } from './read-file.ts';
import type { BlobSink } from './save-blobs.ts';

const chunker = createChunker(randomPolynomial());
const MiB = 1024 * 1024;

type Reading = { content: FileContent | number; bytes: number; saves: number; settled: number };
type Meddling = {
  /** Called with the number of the chunk that is being saved. */
  onSave?: (chunk: number) => void;
  stopped?: () => boolean;
  fullEvery?: number;
};

/** Reads an open file as a lane does. */
async function read(fd: number, { onSave, stopped = () => false, fullEvery }: Meddling = {}): Promise<Reading> {
  const stat = new Stat();
  statFd(fd, stat);
  let [bytes, saves, settled] = [0, 0, 0];
  const sink: BlobSink = {
    save(kind, plain) {
      assert.equal(kind, 'data');
      assert.ok(!this.full, 'a sink that is full must be settled before the next blob');
      const id = sha256Hex(plain) as BlobId;
      saves++;
      onSave?.(saves - 1);
      return id;
    },
    get full() {
      return fullEvery !== undefined && saves > 0 && saves % fullEvery === 0 && settled < saves / fullEvery;
    },
    async settle() {
      settled++;
    },
  };
  const reader = createFileReader({ chunker, sink, onBytes: (more) => (bytes += more), stopped });
  const content = await readAny(reader, fd, stat, sink);
  return { content, bytes, saves, settled };
}

/** As the reader of entries does it: short files at once. */
async function readAny(reader: FileReader, fd: number, stat: Stat, sink: BlobSink): Promise<FileContent | number> {
  const short = reader.readShort(fd, stat);
  if (short === undefined) return reader.readLong(fd, stat);
  if (sink.full) await sink.settle();
  return short;
}

/** Cuts content that is all in memory: what a file's chunks must be, whatever its holes. */
function chunksOf(content: Buffer): BlobId[] {
  const ids: BlobId[] = [];
  chunker.reset();
  for (let at = 0; at < content.length; ) {
    const window = content.subarray(at, at + chunker.buffer.length);
    window.copy(chunker.buffer);
    const length = chunker.next(0, window.length, at + window.length === content.length);
    ids.push(sha256Hex(content.subarray(at, at + length)) as BlobId);
    at += length;
    chunker.reset();
  }
  return ids;
}

/** A file of a size with content at places; holes elsewhere. */
function sparseFile(
  t: Pick<TestContext, 'after'>,
  sizeBytes: number,
  pieces: readonly { at: number; content: Buffer }[],
): { fd: number; path: string } {
  const path = join(scratch(t), 'file');
  const fd = openSync(path, 'w+');
  t.after(() => closeSync(fd));
  for (const { at, content } of pieces) writeSync(fd, content, 0, content.length, at);
  ftruncateSync(fd, sizeBytes);
  return { fd, path };
}

const noise = (length: number, seed: number): Buffer => {
  const out = Buffer.alloc(length);
  for (let i = 0, x = seed | 1; i < length; i++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) | 0;
    out[i] = (x >>> 24) | 1;
  }
  return out;
};

test('files with holes have the chunks of the same bytes without', async (t) => {
  const folder = scratch(t);
  const piece = fc.record({ gap: fc.nat(3 * MiB), length: fc.integer({ min: 1, max: 1_500_000 }), seed: fc.nat() });
  const file = fc.record({ pieces: fc.array(piece, { maxLength: 4 }), tail: fc.nat(3 * MiB) });
  await fc.assert(
    fc.asyncProperty(file, async ({ pieces, tail }) => {
      const path = join(folder, 'file');
      const fd = openSync(path, 'w+');
      try {
        let end = 0;
        for (const { gap, length, seed } of pieces) {
          writeSync(fd, noise(length, seed), 0, length, end + gap);
          end += gap + length;
        }
        ftruncateSync(fd, end + tail);
        const content = readFileSync(path);
        const reading = await read(fd, { fullEvery: 2 });
        assert.deepEqual(reading.content, { content: chunksOf(content), sizeBytes: content.length });
        assert.equal(reading.bytes, content.length);
      } finally {
        closeSync(fd);
        rmSync(path);
      }
    }),
    { numRuns: runs(25) },
  );
});

test('sizes around those of chunks and of the buffer', async (t) => {
  const lengths = [0, 1, minChunkBytes - 1, minChunkBytes, minChunkBytes + 1, 12 * MiB - 1, 12 * MiB, 13 * MiB + 5];
  for (const length of lengths) {
    const content = noise(length, length);
    const { fd } = sparseFile(t, length, [{ at: 0, content }]);
    const reading = await read(fd);
    assert.deepEqual(reading.content, { content: chunksOf(content), sizeBytes: length }, `${length} bytes`);
    assert.equal(reading.bytes, length);
  }
});

test('holes cost one blob, however long they are, and nothing of them is read', async (t) => {
  const halfBytes = 50 * 1024 * MiB;
  const { fd } = sparseFile(t, 2 * halfBytes, [{ at: halfBytes - 10, content: Buffer.from('0123456789') }]);
  const { content, saves, bytes } = await read(fd);
  assert.ok(typeof content === 'object');
  assert.ok(content.content.length >= 200 * 1024);
  // Zeros, the chunk with the data, and what remains of the second hole.
  assert.equal(saves, 3);
  assert.equal(bytes, 2 * halfBytes);
});

test('a file that grows while it is read: what was read is its content', async (t) => {
  const small = noise(1000, 1);
  const { fd } = sparseFile(t, 1000, [{ at: 0, content: small }]);
  const stat = new Stat();
  statFd(fd, stat);
  writeSync(fd, noise(1000, 2), 0, 1000, 1000);
  const saved: number[] = [];
  const sink: BlobSink = {
    save(_, plain) {
      saved.push(plain.length);
      return sha256Hex(plain) as BlobId;
    },
    full: false,
    settle: async () => undefined,
  };
  const reader = createFileReader({ chunker, sink, onBytes: () => undefined, stopped: () => false });
  const content = await readAny(reader, fd, stat, sink);
  assert.deepEqual(content, { content: chunksOf(Buffer.concat([small, noise(1000, 2)])), sizeBytes: 2000 });
  assert.deepEqual(saved, [2000]);

  const large = sparseFile(t, 13 * MiB, [{ at: 0, content: noise(13 * MiB, 3) }]);
  const grown = await read(large.fd, { onSave: (chunk) => void (chunk === 0 && writeSync(large.fd, noise(MiB, 4), 0, MiB, 13 * MiB)) });
  assert.deepEqual(grown.content, { content: chunksOf(readFileSync(large.path)), sizeBytes: 14 * MiB });
});

test('a file that shrinks while it is read ends where it ends', async (t) => {
  const { fd } = sparseFile(t, 20 * MiB, [{ at: 0, content: noise(20 * MiB, 5) }]);
  const { content } = await read(fd, { onSave: (chunk) => void (chunk === 0 && ftruncateSync(fd, 13 * MiB)) });
  assert.ok(typeof content === 'object');
  assert.equal(content.sizeBytes, 13 * MiB);
});

test('what cannot be read is an errno, and nothing is saved', async (t) => {
  const folder = scratch(t);
  const fd = openSync(folder, 'r');
  t.after(() => closeSync(fd));
  const { content, saves } = await read(fd);
  assert.equal(content, -21);
  assert.equal(saves, 0);
});

test('reading stops between two chunks when it is told to', async (t) => {
  const { fd } = sparseFile(t, 20 * MiB, [{ at: 0, content: noise(20 * MiB, 6) }]);
  let saved = 0;
  const reading = read(fd, { onSave: () => saved++, stopped: () => saved === 2 });
  await assert.rejects(reading, (error) => error instanceof HoldfastError && error.code === 'interrupted');
  assert.equal(saved, 2);
});
