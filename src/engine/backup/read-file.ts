/** Reads a file's content into blobs: small ones in one read, large ones cut, holes without being read. */
import { type Chunker, minChunkBytes } from '../../format/kernel/chunker.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import { ENXIO } from '../source/posix-constants.ts';
import { pread, seekData } from '../source/posix-io.ts';
import type { Stat } from '../source/posix-stat.ts';
import type { BlobSink } from './save-blobs.ts';

export type FileContent = {
  content: BlobId[];
  /** What was read; differs from the file's size when that changed meanwhile. */
  sizeBytes: number;
};

/** Both read an open regular file from its beginning, return a negative errno when a read fails, and throw `interrupted` and what the sink throws. */
export type FileReader = {
  /**
   * A file of one chunk, at once: most files are small, and waiting costs more than reading them. The caller calls the sink's
   * `settle` when it is `full`.
   * @returns undefined when the file is, or has become, too long for this: `readLong` then.
   */
  readShort(fd: number, stat: Stat): FileContent | number | undefined;
  /** Any file. The stat is from before the reading. */
  readLong(fd: number, stat: Stat): Promise<FileContent | number>;
};

export type FileReaderOptions = {
  chunker: Chunker;
  sink: BlobSink;
  /** Called for every chunk with its size, for progress. */
  onBytes: (bytes: number) => void;
  /** Whether to stop, asked for every chunk. */
  stopped: () => boolean;
};

/** How much of a long file is read at once. */
const readBytes = 2 * 1024 * 1024;

/** Whole holes shorter than this aren't worth a system call to find. */
const sparseWorthwhileBytes = 1024 * 1024;

/** Where the next data begins, at the end of the file at the latest. What the file system doesn't tell has to be read. */
function nextData(fd: number, position: number, sizeBytes: number): number {
  const dataAt = seekData(fd, position);
  if (dataAt === -ENXIO) return Math.max(position, sizeBytes);
  return dataAt < 0 ? position : dataAt;
}

export function createFileReader({ chunker, sink, onBytes, stopped }: FileReaderOptions): FileReader {
  const { buffer } = chunker;
  let zeroChunk: BlobId | undefined;

  function saveNow(plain: Uint8Array): BlobId {
    if (stopped()) throw new HoldfastError('interrupted', 'interrupted while reading a file');
    return sink.save('data', plain);
  }

  async function save(plain: Uint8Array): Promise<BlobId> {
    const id = saveNow(plain);
    if (sink.full) await sink.settle();
    return id;
  }

  /** One byte more than expected is asked for, so that a file that grows is noticed. */
  function readShort(fd: number, stat: Stat): FileContent | number | undefined {
    const size = Number(stat.size);
    if (size >= minChunkBytes) return undefined;
    let length = pread(fd, buffer, 0, size + 1, 0);
    // Fewer bytes than the file has may mean its end, or that the next one cannot be read.
    for (let got = length; got > 0 && length < size; length += got) {
      got = pread(fd, buffer, length, size + 1 - length, length);
      if (got < 0) return got;
    }
    if (length < 0) return length;
    if (length > size) return undefined;
    if (length === 0) return { content: [], sizeBytes: 0 };
    const content = [saveNow(buffer.subarray(0, length))];
    onBytes(length);
    return { content, sizeBytes: length };
  }

  /** Appends the chunks of a hole that reaches from `position` to `dataAt`: each is minChunkBytes of zeros. */
  async function skipHole(content: BlobId[], position: number, dataAt: number): Promise<number> {
    const chunks = Math.floor((dataAt - position) / minChunkBytes);
    if (chunks === 0) return position;
    zeroChunk ??= await save(Buffer.alloc(minChunkBytes));
    for (let n = 0; n < chunks; n++) content.push(zeroChunk);
    onBytes(chunks * minChunkBytes);
    return position + chunks * minChunkBytes;
  }

  async function readLong(fd: number, stat: Stat): Promise<FileContent | number> {
    const content: BlobId[] = [];
    const sparse = Number(stat.size) - stat.blocks * 512 >= sparseWorthwhileBytes;
    chunker.reset();
    /** Position in the file of the next read; [start, end) of the buffer is content before it. */
    let position = 0;
    let start = 0;
    let end = 0;
    let last = false;
    for (;;) {
      if (sparse) {
        // At the beginning of a chunk: where the file has a hole ahead, what follows is known.
        const chunkAt = position - (end - start);
        const after = await skipHole(content, chunkAt, nextData(fd, chunkAt, Number(stat.size)));
        if (after > chunkAt) {
          if (after >= position) {
            position = after;
            start = end = 0;
          } else start += after - chunkAt;
          chunker.reset();
        }
      }
      let length = chunker.next(start, end, last);
      while (length === 0 && !last) {
        // Moving what is left early keeps most of the buffer untouched, and so out of memory.
        if (start >= readBytes || end + readBytes > buffer.length) {
          buffer.copyWithin(0, start, end);
          end -= start;
          start = 0;
        }
        const got = pread(fd, buffer, end, readBytes, position);
        if (got < 0) return got;
        last = got === 0;
        position += got;
        end += got;
        length = chunker.next(start, end, last);
      }
      if (length === 0) return { content, sizeBytes: position };
      content.push(await save(buffer.subarray(start, start + length)));
      onBytes(length);
      start += length;
      if (start === end) start = end = 0;
    }
  }

  return { readShort, readLong };
}
