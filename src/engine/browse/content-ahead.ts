/**
 * The content of files, one after the other, read ahead: blobs that lie near each other in a pack are fetched as one range, and several
 * ranges are on their way while the first is used. Over a slow link, files cost what their bytes cost.
 */
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { openBlob, readAnyCopy } from '../../repository/blob-reader.ts';
import type { Repository } from '../../repository/repository.ts';

const maxRangeBytes = 4 * 1024 * 1024;
/** Blobs as near as this are read together with what lies between. */
const maxGapBytes = 64 * 1024;
const rangesAhead = 4;
const maxAheadBytes = 16 * 1024 * 1024;
const maxAheadBlobs = 4096;

/** A blob that will be asked for. */
type Want = { entry: number; id: BlobId; offset: number; length: number; times: number };
type Range = { pack: number; offset: number; end: number; wants: Want[]; bytes: Promise<Buffer> | undefined };

export type ContentReaderOptions = { repository: Pick<Repository, 'storage' | 'seal'>; index: BlobIndex };

/** A queue of blobs: what is put in is read ahead, and comes out in the same order. Memory: 16 MiB of packs, and the blob that came out. */
class ContentQueue {
  private readonly o: ContentReaderOptions;
  private readonly ranges: Range[] = [];
  private blobs = 0;
  private bytes = 0;
  private finished = false;
  /** The blob that came out last, to be given again when a file repeats it: the zeros of a sparse file. */
  private last: { id: BlobId; plain: Buffer } | undefined;

  constructor(options: ContentReaderOptions) {
    this.o = options;
  }

  /** Whether enough is on its way. */
  get full(): boolean {
    return this.blobs >= maxAheadBlobs || this.bytes >= maxAheadBytes;
  }

  /** @throws `damaged` when the index doesn't know the blob. */
  push(id: BlobId): void {
    const entry = this.o.index.find(id, 'data');
    const place = entry < 0 ? undefined : this.o.index.location(entry);
    if (place === undefined) throw new HoldfastError('damaged', `data blob ${id} is in no pack that the index knows`);
    this.blobs++;
    const range = this.ranges.at(-1);
    const previous = range?.wants.at(-1);
    if (previous?.entry === entry) {
      previous.times++;
      return;
    }
    const pack = this.o.index.packNumberOf(entry);
    const { offset, length } = place;
    const want = { entry, id, offset, length, times: 1 };
    const near =
      range !== undefined && range.bytes === undefined && range.pack === pack && offset >= range.end && offset - range.end <= maxGapBytes;
    if (near && offset + length - range.offset <= maxRangeBytes) {
      this.bytes += offset + length - range.end;
      range.end = offset + length;
      range.wants.push(want);
      return;
    }
    this.ranges.push({ pack, offset, end: offset + length, wants: [want], bytes: undefined });
    this.bytes += length;
    this.startRanges(false);
  }

  /** Says that nothing more comes: what is on its way can be fetched as it is. */
  finish(): void {
    this.finished = true;
    this.startRanges(false);
  }

  /**
   * The next blob; there must be one.
   * @throws `damaged` when no place of it holds it intact; `file-missing`, `storage`.
   */
  async next(): Promise<Buffer> {
    const range = this.ranges[0];
    const want = range?.wants[0];
    if (range === undefined || want === undefined) throw new HoldfastError('internal', 'a blob was asked for that nobody wanted');
    this.startRanges(true);
    if (this.last?.id !== want.id) this.last = { id: want.id, plain: await this.open(range, want) };
    const { plain } = this.last;
    this.blobs--;
    want.times--;
    if (want.times === 0) range.wants.shift();
    if (range.wants.length === 0) {
      this.ranges.shift();
      this.bytes -= range.end - range.offset;
    }
    return plain;
  }

  /** Starts the first ranges. The last may still grow: it waits until it is needed. */
  private startRanges(firstIsNeeded: boolean): void {
    for (const [i, range] of this.ranges.slice(0, rangesAhead).entries()) {
      const grows = i === this.ranges.length - 1 && !this.finished;
      if (range.bytes !== undefined || (grows && !(i === 0 && firstIsNeeded))) continue;
      const { pack, offset, end } = range;
      const { storage } = this.o.repository;
      range.bytes = storage.read({ kind: 'data', name: this.o.index.packId(pack) }, { offset, length: end - offset });
      // Whoever asks for it is told.
      range.bytes.catch(() => undefined);
    }
  }

  private async open(range: Range, { entry, id, offset, length }: Want): Promise<Buffer> {
    const { repository, index } = this.o;
    const plainLength = index.location(entry)?.plainLength ?? 0;
    try {
      const bytes = await (range.bytes as Promise<Buffer>);
      const at = offset - range.offset;
      return openBlob(repository.seal, bytes.subarray(at, at + length), plainLength, id);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      return readAnyCopy({ ...repository, index }, 'data', id);
    }
  }
}

/** What a file's content is read for. */
export type WithContent<Item> = { item: Item; sizeBytes: number; content: AsyncIterable<Buffer> };

/** Items planned before the first of them is taken. */
const maxItemsAhead = 1000;

/**
 * Hands items on, each with its content, which must be read to its end before the next item is taken. What comes later is planned and read
 * meanwhile.
 * @param contentOf undefined for what has no content.
 * @throws what the items throw, after those before have been handed on; content throws as `ContentQueue.next`, and `damaged` at once for an
 * item of which the index lacks a blob.
 */
export async function* withContentAhead<Item>(
  items: AsyncIterable<Item>,
  contentOf: (item: Item) => readonly BlobId[] | undefined,
  options: ContentReaderOptions,
): AsyncGenerator<WithContent<Item>> {
  const queue = new ContentQueue(options);
  const source = items[Symbol.asyncIterator]();
  const planned: { item: Item; content: readonly BlobId[] }[] = [];
  /** How much of the last item's content is in the queue. */
  let at = 0;
  let ended = false;
  let failure: unknown;

  /** Plans until enough is on its way. A failure waits for its turn. */
  async function plan(): Promise<void> {
    while (!queue.full && failure === undefined) {
      try {
        const last = planned.at(-1);
        if (last !== undefined && at < last.content.length) {
          queue.push(last.content[at] as BlobId);
          at++;
        } else if (ended) return queue.finish();
        else if (planned.length >= maxItemsAhead) return;
        else {
          const { done, value } = await source.next();
          ended = done === true;
          if (ended) continue;
          planned.push({ item: value, content: contentOf(value) ?? [] });
          at = 0;
        }
      } catch (error) {
        failure = error ?? new Error('unknown');
      }
    }
  }

  async function* read({ content }: { content: readonly BlobId[] }, isLast: () => boolean): AsyncGenerator<Buffer> {
    for (let done = 0; done < content.length; done++) {
      await plan();
      if (isLast() && done >= at) throw failure;
      yield await queue.next();
    }
  }

  try {
    for (;;) {
      await plan();
      const [first] = planned;
      if (first === undefined) {
        if (failure !== undefined) throw failure;
        return;
      }
      const sizeBytes = sizeOf(first.content, options.index);
      yield { item: first.item, sizeBytes, content: read(first, () => planned.length === 1) };
      planned.shift();
    }
  } finally {
    await source.return?.();
  }
}

/** Bytes of the blobs together. @throws `damaged` when the index lacks one. */
function sizeOf(content: readonly BlobId[], index: BlobIndex): number {
  let bytes = 0;
  for (const id of content) {
    const entry = index.find(id, 'data');
    if (entry < 0) throw new HoldfastError('damaged', `data blob ${id} is in no pack that the index knows`);
    bytes += index.plainLengthOf(entry);
  }
  return bytes;
}
