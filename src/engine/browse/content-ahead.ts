/**
 * The content of files, one after the other, read ahead: several ranges of packs are on their way while the first is used. Over a slow link,
 * files cost what their bytes cost.
 */
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { ContentQueue, type ContentReaderOptions } from './content-queue.ts';

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
