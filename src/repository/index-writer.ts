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

export function createIndexWriter(repository: Repository): IndexWriter {
  let fragments: string[] = [];
  let blobs = 0;
  let oldestMs: number | undefined;

  let writing: Promise<void> = Promise.resolve();

  /** One write after the other; what could not be written stays for the next. */
  async function flush(): Promise<void> {
    writing = writing.catch(() => undefined).then(write);
    await writing;
  }

  async function write(): Promise<void> {
    if (fragments.length === 0) return;
    const taken = fragments;
    const takenBlobs = blobs;
    const takenSinceMs = oldestMs;
    fragments = [];
    blobs = 0;
    oldestMs = undefined;
    try {
      await writeSealedJson(repository, 'index', indexFileFromFragments(taken));
    } catch (error) {
      fragments = [...taken, ...fragments];
      blobs += takenBlobs;
      oldestMs = takenSinceMs;
      throw error;
    }
  }

  return {
    add(pack) {
      fragments.push(indexFragment(pack.id, pack.entries));
      blobs += Math.ceil(pack.entries.length / entryBytes);
    },
    async writeDue(nowMs) {
      if (fragments.length > 0) oldestMs ??= nowMs;
      if (blobs >= maxBlobsPerFile || (oldestMs !== undefined && nowMs - oldestMs >= maxAgeMs)) await flush();
    },
    flush,
  };
}
