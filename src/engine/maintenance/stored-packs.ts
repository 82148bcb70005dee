/** Takes in the packs that lanes store, and sees to it that an index names them: every five minutes, and when there are many. */
import { setTimeout } from 'node:timers/promises';
import type { Clock } from '../../model/clock.ts';
import { createIndexWriter } from '../../repository/index-writer.ts';
import { type PartialPack, type StoredPack, storePack } from '../../repository/pack-writer.ts';
import type { Repository } from '../../repository/repository.ts';
import { joinPartialPacks } from '../backup/join-packs.ts';

const indexCheckEveryMs = 5000;

export type StoredPacks = {
  /** Takes note of a durable pack. */
  add(pack: StoredPack): void;
  /** Joins what filled no pack, and stores it; what could be stored is indexed, also when another could not. @throws `storage`, `storage-full`. */
  storePartials(partials: readonly PartialPack[]): Promise<void>;
  /** When it resolves, an index names all packs. @throws `storage`, `storage-full`. */
  flush(): Promise<void>;
  /** Ends the writing of index files in between. */
  close(): Promise<void>;
};

export function collectStoredPacks(repository: Repository, clock: Clock): StoredPacks {
  const index = createIndexWriter(repository);
  const ended = new AbortController();
  const writing = indexNowAndThen();
  const add = (pack: StoredPack) => index.add({ ...pack, entries: asBuffer(pack.entries) });

  async function indexNowAndThen(): Promise<void> {
    while (!ended.signal.aborted) {
      await setTimeout(indexCheckEveryMs, undefined, { signal: ended.signal, ref: false }).catch(() => undefined);
      // A failure shows when the index is flushed.
      if (!ended.signal.aborted) await index.writeDue(clock.now().getTime()).catch(() => undefined);
    }
  }

  return {
    add,
    async storePartials(partials) {
      const packs = joinPartialPacks(
        partials.map(({ kind, entries, body }) => ({ kind, entries: asBuffer(entries), body: asBuffer(body) })),
      );
      const storing = packs.map(async (pack) => add(await storePack(repository, pack)));
      await Promise.allSettled(storing);
      await Promise.all(storing);
    },
    flush: index.flush,
    async close() {
      ended.abort();
      await writing;
    },
  };
}

/** Buffers arrive from a thread as plain byte arrays. */
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
