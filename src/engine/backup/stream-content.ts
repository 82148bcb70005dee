/**
 * Contents that arrive in pieces become blobs, cut as `read-file.ts` cuts a file that it reads. Lanes save them while the next ones are read; what
 * is to be done with them is done in the order in which they came.
 */
import { type Chunker, minChunkBytes } from '../../format/kernel/chunker.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { LaneBlobs } from './lane-blobs.ts';

export type StreamContentOptions = {
  chunker: Chunker;
  blobs: LaneBlobs;
  /** Called for every chunk with its size, for progress. */
  onBytes: (bytes: number) => void;
  /** Whether to stop, asked for every chunk. */
  stopped: () => boolean;
};

/** Moving what is left early keeps most of the chunker's buffer untouched, and so out of memory. */
const moveBytes = 2 * 1024 * 1024;
/** What waits for the blobs of a content before it. */
const maxWaiting = 4096;

type Waiting = { blobs: number; act: () => void };

export class StreamContent {
  private readonly o: StreamContentOptions;
  private readonly waiting: Waiting[] = [];
  /** How many at the beginning of `waiting` are done. */
  private acted = 0;

  constructor(options: StreamContentOptions) {
    this.o = options;
  }

  /**
   * Reads a content. `act` is called when its blobs are saved, and all is done that was asked for before.
   * @throws `interrupted`; what the pieces and the lanes throw.
   */
  async save(pieces: AsyncIterable<Uint8Array>, act: (content: BlobId[], sizeBytes: number) => void): Promise<void> {
    const content: BlobId[] = [];
    let sizeBytes = 0;
    // One more than there are blobs, until it is known how many there are.
    const entry: Waiting = { blobs: 1, act: () => act(content, sizeBytes) };
    await this.room();
    this.waiting.push(entry);
    let chunks = 0;
    sizeBytes = await this.cut(pieces, async (plain) => {
      if (this.o.stopped()) throw new HoldfastError('interrupted', 'interrupted while reading a file');
      const place = chunks++;
      entry.blobs++;
      await this.o.blobs.put(plain, (id) => {
        content[place] = id;
        this.oneLess(entry);
      });
      this.o.onBytes(plain.length);
    });
    this.oneLess(entry);
  }

  /** Does something when all is done that was asked for before. */
  async after(act: () => void): Promise<void> {
    await this.room();
    if (this.waiting.length === 0) act();
    else this.waiting.push({ blobs: 0, act });
  }

  /** Waits until all is done. @throws what the lanes throw. */
  settle(): Promise<void> {
    return this.o.blobs.settle();
  }

  private async room(): Promise<void> {
    while (this.waiting.length - this.acted >= maxWaiting) await this.o.blobs.progress();
  }

  private oneLess(entry: Waiting): void {
    entry.blobs--;
    for (let next = this.waiting[this.acted]; next?.blobs === 0; next = this.waiting[this.acted]) {
      this.acted++;
      next.act();
    }
    if (this.acted < this.waiting.length && this.acted < maxWaiting) return;
    this.waiting.splice(0, this.acted);
    this.acted = 0;
  }

  /** @returns how long the content was. */
  private async cut(pieces: AsyncIterable<Uint8Array>, save: (plain: Uint8Array) => Promise<void>): Promise<number> {
    const { chunker } = this.o;
    const { buffer } = chunker;
    let sizeBytes = 0;
    // [start, end) of the buffer is content that belongs to no chunk yet.
    let start = 0;
    let end = 0;
    chunker.reset();

    async function saveChunks(last: boolean): Promise<void> {
      for (let length = chunker.next(start, end, last); length > 0; length = chunker.next(start, end, last)) {
        await save(buffer.subarray(start, start + length));
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
    return sizeBytes;
  }
}
