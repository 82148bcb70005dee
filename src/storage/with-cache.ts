/** A storage with a cache of metadata on this host: index files, snapshots, and packs of trees. */
import { locks } from 'node:worker_threads';
import { sha256Hex } from '../format/kernel/sha256.ts';
import { HoldfastError } from '../model/errors.ts';
import { CacheFiles } from './cache-files.ts';
import type { FileKind, FileRef, FileSource, ReadRange, Storage, StoredFile } from './storage.ts';

/** Packs that are fetched at the same time, by all threads of the process: each takes its size in memory. */
const parallelFetches = 4;

/**
 * Reads index files and snapshots, and ranges of packs that hold trees (`FileRef.holds`), from `folder` when they are there, and puts
 * them there otherwise: a pack of trees is fetched as a whole, once for all threads. All of it is sealed as on the storage, and is used only
 * when it hashes to its name; a cache that is lost, damaged or cannot be written costs time only. Keys, locks, the configuration and packs
 * of data are never cached, and listings always come from the storage. Processes may share a folder.
 */
export function withCache(storage: Storage, folder: string): Storage {
  const cache = new CacheFiles(folder);
  /** Packs that this cache cannot keep. */
  const refused = new Set<string>();

  async function readWhole(file: FileRef): Promise<Buffer> {
    const cached = await cache.load(file);
    if (cached !== undefined) return cached;
    const bytes = await storage.read(file);
    if (sha256Hex(bytes) === file.name) await cache.keep(file, [bytes]);
    return bytes;
  }

  async function readTrees(file: FileRef, range: ReadRange): Promise<Buffer> {
    if (refused.has(file.name)) return storage.read(file, range);
    const load = () => cache.loadRange(file, range.offset, range.length, range.into);
    return (await load()) ?? locks.request(fetchLock(folder, file.name), async () => (await load()) ?? fetchTrees(file, range));
  }

  /** Fetches a pack, keeps it, and gives its memory back at once: garbage collection would let many pile up. */
  async function fetchTrees(file: FileRef, range: ReadRange): Promise<Buffer> {
    if (refused.has(file.name)) return storage.read(file, range);
    const pack = await storage.read(file);
    const kept = sha256Hex(pack) === file.name && (await cache.keep(file, [pack]));
    if (!kept) refused.add(file.name);
    if (range.offset + range.length > pack.length) throw new HoldfastError('damaged', `data/${file.name} is too short`);
    const bytes = range.into?.subarray(0, range.length) ?? Buffer.allocUnsafeSlow(range.length);
    pack.copy(bytes, 0, range.offset, range.offset + range.length);
    if (pack.buffer instanceof ArrayBuffer && pack.buffer.byteLength === pack.length) pack.buffer.transfer(0);
    return bytes;
  }

  const { writeFrom } = storage;

  /** What the storage has no more goes from the cache as well. */
  async function* list(kind: FileKind): AsyncGenerator<StoredFile> {
    const gone = new Set(isWhole(kind) || kind === 'data' ? await cache.names(kind) : []);
    for await (const file of storage.list(kind)) {
      gone.delete(file.name);
      yield file;
    }
    for (const name of gone) await cache.drop({ kind, name });
  }

  return {
    ...storage,
    list,
    read(file, range) {
      if (isWhole(file.kind) && range === undefined) return readWhole(file);
      if (file.kind === 'data' && file.holds === 'trees' && range !== undefined) return readTrees(file, range);
      return storage.read(file, range);
    },
    async write(file, parts) {
      await storage.write(file, parts);
      if (isWhole(file.kind) || file.holds === 'trees') await cache.keep(file, parts);
    },
    ...(writeFrom && {
      async writeFrom(file: FileRef, source: FileSource) {
        await writeFrom.call(storage, file, source);
        if (isWhole(file.kind) || file.holds === 'trees') await cache.keep(file, source.pieces());
      },
    }),
    async remove(file) {
      await storage.remove(file);
      if (isWhole(file.kind) || file.kind === 'data') await cache.drop(file);
    },
  };
}

/** Kinds whose files are read as a whole. */
const isWhole = (kind: FileKind): boolean => kind === 'index' || kind === 'snapshots';

/** The same pack has the same lock, which threads share. */
const fetchLock = (folder: string, name: string) => `holdfast-cache ${folder} ${Number.parseInt(name.slice(0, 8), 16) % parallelFetches}`;
