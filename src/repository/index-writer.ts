/** Writes index files for packs as they are stored: a pack may be named only when it is durable. */
import { indexFileFromFragments, indexFragment } from '../format/index-file.ts';
import type { StoredPack } from './pack-writer.ts';
import { type Repository, writeSealedJson } from './repository.ts';

/** restic's bound for one index file. */
const maxBlobsPerFile = 50_000;
/** What an interrupted run may lose. */
const maxAgeMs = 5 * 60 * 1000;
/** Size of a blob's header entry, to count blobs. */
const entryBytes = 37;

export type IndexWriter = {
  /** Takes note of a durable pack. */
  add(pack: StoredPack): void;
  /** Writes what is due: enough blobs, or waiting for five minutes. */
  writeDue(nowMs: number): Promise<void>;
  /** Writes all that is left. */
  flush(): Promise<void>;
};

type Waiting = { fragment: string; blobs: number };

export function createIndexWriter(repository: Repository): IndexWriter {
  let waiting: Waiting[] = [];
  let blobs = 0;
  let oldestMs: number | undefined;

  let writing: Promise<void> = Promise.resolve();

  /** One write after the other; what could not be written stays for the next. */
  async function flush(): Promise<void> {
    writing = writing.catch(() => undefined).then(write);
    await writing;
  }

  async function write(): Promise<void> {
    let taken = waiting;
    const takenSinceMs = oldestMs;
    waiting = [];
    blobs = 0;
    oldestMs = undefined;
    try {
      while (taken.length > 0) {
        const packs = packsOfOneFile(taken);
        await writeSealedJson(repository, 'index', indexFileFromFragments(taken.slice(0, packs).map(({ fragment }) => fragment)));
        taken = taken.slice(packs);
      }
    } catch (error) {
      waiting = [...taken, ...waiting];
      blobs = waiting.reduce((sum, pack) => sum + pack.blobs, 0);
      oldestMs = takenSinceMs;
      throw error;
    }
  }

  return {
    add(pack) {
      const count = Math.ceil(pack.entries.length / entryBytes);
      waiting.push({ fragment: indexFragment(pack.id, pack.entries), blobs: count });
      blobs += count;
    },
    async writeDue(nowMs) {
      if (waiting.length > 0) oldestMs ??= nowMs;
      if (blobs >= maxBlobsPerFile || (oldestMs !== undefined && nowMs - oldestMs >= maxAgeMs)) await flush();
    },
    flush,
  };
}

/** How many of the first packs make one file: at least one, else as many as stay within the bound. */
function packsOfOneFile(packs: readonly Waiting[]): number {
  let blobs = 0;
  for (const [at, pack] of packs.entries()) {
    blobs += pack.blobs;
    if (blobs > maxBlobsPerFile) return Math.max(1, at);
  }
  return packs.length;
}
