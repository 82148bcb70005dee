/** Opens a repository for a run: its storage, what is told of that, and its cache. */
import { randomUUID } from 'node:crypto';
import { access, constants, lstat, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BroadcastChannel } from 'node:worker_threads';
import { sha256Hex } from '../format/kernel/sha256.ts';
import type { Report } from '../model/events.ts';
import { openRepository, type Repository, requireConfig } from '../repository/repository.ts';
import type { RetryLink, Storage, StorageAddress } from '../storage/storage.ts';
import { trimCaches } from '../storage/trim-caches.ts';
import { withCache } from '../storage/with-cache.ts';
import { openStorage, type ToldRetry } from './compose.ts';

export type RepositoryPlace = {
  address: StorageAddress;
  /** Folder of all caches; undefined for none. */
  cacheRoot: string | undefined;
  /** Use a cache that is empty at first and removed at the end: for who wants to see what the storage really holds. */
  freshCache?: boolean;
  password: () => Promise<Buffer>;
};

export type OpenedRepository = {
  repository: Repository;
  /** What lanes open the storage by. */
  address: StorageAddress;
  /** Ends connections. Nothing may be under way. */
  close(): Promise<void>;
};

type Run = { signal: AbortSignal; report: Report };

/** Told why a cache that was asked for is not used: that costs time only. */
export type OnNoCache = (folder: string, reason: string) => void;

/**
 * Opens a storage for a run. Its retries, in all threads that get the address, are reported until it is closed; when the signal aborts, no
 * thread waits for the storage any longer.
 * @throws what opening the storage throws.
 */
export async function openStorageFor(
  given: StorageAddress,
  { signal, report }: Run,
): Promise<{ storage: Storage; address: StorageAddress; close: () => Promise<void> }> {
  const { link, unlink } = createRetryLink(signal, report);
  const address = { ...given, retries: link };
  try {
    const storage = await openStorage(address);
    return {
      storage,
      address,
      async close() {
        await storage.close?.();
        unlink();
      },
    };
  } catch (error) {
    unlink();
    throw error;
  }
}

/** Opens a repository, as {@link openStorageFor} its storage. @throws what opening the storage and the repository throw. */
export async function openRepositoryAt(
  { address: given, cacheRoot: wantedRoot, freshCache = false, password }: RepositoryPlace,
  run: Run,
  onNoCache: OnNoCache = () => undefined,
): Promise<OpenedRepository> {
  const flaw = wantedRoot === undefined ? undefined : await flawOfCache(wantedRoot);
  if (wantedRoot !== undefined && flaw !== undefined) onNoCache(wantedRoot, flaw);
  const cacheRoot = flaw === undefined ? wantedRoot : undefined;
  const { storage, address, close } = await openStorageFor(given, run);
  try {
    const likelyKey = cacheRoot && (await recallKey(cacheRoot, storage));
    const repository = await openRepository(storage, await passwordFor(storage, password), likelyKey);
    if (cacheRoot !== undefined && repository.keyName !== likelyKey) await rememberKey(cacheRoot, repository);
    const cache = cacheRoot === undefined ? undefined : await openCache(cacheRoot, repository.config.id, freshCache, onNoCache);
    if (cache === undefined) return { repository, address, close };
    return {
      repository: { ...repository, storage: withCache(storage, cache.folder) },
      address: { ...address, cacheFolder: cache.folder },
      async close() {
        await close();
        await cache.close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Where there is no repository, that no password was given for it is not what matters. */
async function passwordFor(storage: Storage, password: () => Promise<Buffer>): Promise<Buffer> {
  try {
    return await password();
  } catch (error) {
    await requireConfig(storage);
    throw error;
  }
}

function createRetryLink(signal: AbortSignal, report: Report): { link: RetryLink; unlink: () => void } {
  const link: RetryLink = { stop: new SharedArrayBuffer(4), channel: `holdfast-retries-${randomUUID()}` };
  const stop = () => Atomics.store(new Int32Array(link.stop), 0, 1);
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  const channel = new BroadcastChannel(link.channel);
  channel.onmessage = (message) => report({ event: 'storage-retry', ...((message as MessageEvent).data as ToldRetry) });
  channel.unref();
  const unlink = () => {
    signal.removeEventListener('abort', stop);
    channel.close();
  };
  return { link, unlink };
}

const directoryMode = 0o700;
const namePattern = /^[0-9a-f]{64}$/;

/**
 * Makes the folder when it is missing. Whoever else can write to it could, by links in it, have files of this user overwritten or removed;
 * as when root works with the home of somebody else.
 * @returns why it cannot be used, if so.
 */
async function flawOfCache(folder: string): Promise<string | undefined> {
  try {
    await makeFolder(folder);
    const found = await lstat(folder);
    if (!found.isDirectory()) return 'it is no directory';
    if (found.uid !== process.getuid?.()) return 'it belongs to another user';
    if ((found.mode & 0o022) !== 0) return 'other users can write to it';
    await access(folder, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

/** Node's own way to make parents as well never ends below /proc. @throws the system's error; nothing for what is there, whatever it is. */
async function makeFolder(folder: string): Promise<void> {
  const make = () => mkdir(folder, { mode: directoryMode });
  try {
    await make();
  } catch (error) {
    const code = codeOf(error);
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(folder) === folder) throw error;
    await makeFolder(dirname(folder));
    // Another process may have been quicker.
    await make().catch((again: unknown) => {
      if (codeOf(again) !== 'EEXIST') throw again;
    });
  }
}

/** The file that names the key that opened a repository last. */
const keyNoteOf = (root: string, { location }: Storage) => join(root, `key-of-${sha256Hex(Buffer.from(location)).slice(0, 16)}`);

async function recallKey(root: string, storage: Storage): Promise<string | undefined> {
  const name = await readFile(keyNoteOf(root, storage), 'utf8').catch(() => '');
  return namePattern.test(name) ? name : undefined;
}

/** Never fails: without the note, keys are listed. */
async function rememberKey(root: string, { storage, keyName }: Repository): Promise<void> {
  try {
    await writeFile(keyNoteOf(root, storage), keyName ?? '', { mode: 0o600 });
  } catch {
    // A cache that cannot be written is none.
  }
}

/** The cache of a repository; undefined when there can be none, which costs time only. */
async function openCache(
  root: string,
  id: string,
  fresh: boolean,
  onNoCache: OnNoCache,
): Promise<{ folder: string; close: () => Promise<void> } | undefined> {
  // The id is what somebody has sealed; as the name of a folder it must be what ids are.
  if (!namePattern.test(id)) return undefined;
  try {
    if (fresh) {
      const folder = await mkdtemp(join(root, 'fresh-'));
      return { folder, close: () => rm(folder, { recursive: true, force: true }) };
    }
    const folder = join(root, id);
    await mkdir(folder, { recursive: true, mode: directoryMode });
    await utimes(folder, new Date(), new Date());
    return { folder, close: () => trimCaches(root, { nowMs: Date.now() }) };
  } catch (error) {
    onNoCache(root, codeOf(error));
    return undefined;
  }
}
