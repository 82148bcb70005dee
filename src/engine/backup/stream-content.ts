/** Content that arrives in pieces becomes blobs, cut as `read-file.ts` cuts a file that it reads. */
import { type Chunker, minChunkBytes } from '../../format/kernel/chunker.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { BlobSink } from './save-blobs.ts';

export type ContentSaver = (pieces: AsyncIterable<Uint8Array>) => Promise<{ content: BlobId[]; sizeBytes: number }>;

export type ContentSaverOptions = {
  chunker: Chunker;
  sink: BlobSink;
  /** Called for every chunk with its size, for progress. */
  onBytes: (bytes: number) => void;
  /** Whether to stop, asked for every chunk. */
  stopped: () => boolean;
};

/** Moving what is left early keeps most of the chunker's buffer untouched, and so out of memory. */
const moveBytes = 2 * 1024 * 1024;

/** One content at a time. Throws `interrupted`, what the pieces throw and what the sink throws. */
export function createContentSaver({ chunker, sink, onBytes, stopped }: ContentSaverOptions): ContentSaver {
  const { buffer } = chunker;

  async function save(plain: Uint8Array): Promise<BlobId> {
    if (stopped()) throw new HoldfastError('interrupted', 'interrupted while reading a file');
    const id = sink.save('data', plain);
    onBytes(plain.length);
    if (sink.full) await sink.settle();
    return id;
  }

  return async (pieces) => {
    const content: BlobId[] = [];
    let sizeBytes = 0;
    // [start, end) of the buffer is content that belongs to no chunk yet.
    let start = 0;
    let end = 0;
    chunker.reset();

    async function saveChunks(last: boolean): Promise<void> {
      for (let length = chunker.next(start, end, last); length > 0; length = chunker.next(start, end, last)) {
        content.push(await save(buffer.subarray(start, start + length)));
        start += length;
      }
      if (start === end) start = end = 0;
    }

    for await (const piece of pieces) {
      sizeBytes += piece.length;
      for (let taken = 0; taken < piece.length; ) {
        if (start >= moveBytes || end === buffer.length) {
          buffer.copyWithin(0, start, end);
          end -= start;
          start = 0;
        }
        const part = piece.subarray(taken, taken + (buffer.length - end));
        buffer.set(part, end);
        taken += part.length;
        end += part.length;
        if (end - start >= minChunkBytes) await saveChunks(false);
      }
    }
    if (end > start) await saveChunks(true);
    return { content, sizeBytes };
  };
}
