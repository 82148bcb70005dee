/** The composition root's storages: the only place that knows which URL means which storage, and what is put around it. */
import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { BroadcastChannel } from 'node:worker_threads';
import { HoldfastError } from '../model/errors.ts';
import { createLocalStorage } from '../storage/local.ts';
import type { RetryLink, Storage, StorageAddress } from '../storage/storage.ts';
import { withCache } from '../storage/with-cache.ts';
import { withLimit } from '../storage/with-limit.ts';
import { type Retry, withRetry } from '../storage/with-retry.ts';
import { withSpool } from '../storage/with-spool.ts';

const localSchemes = ['local', 'file'];

/** Every kind of storage by its scheme. Modules are loaded when a URL asks for them. */
const schemes: Record<string, (address: StorageAddress) => Storage | Promise<Storage>> = {
  local: ({ url }) => createLocalStorage(resolve(url.slice('local:'.length))),
  file: ({ url }) => createLocalStorage(resolve(url.replace(/^file:(\/\/)?/, ''))),
  s3: async (address) => (await import('../storage/s3.ts')).createS3Storage(address),
  rest: async (address) => (await import('../storage/rest.ts')).createRestStorage(address),
  rclone: async (address) => (await import('../storage/rclone.ts')).createRcloneStorage(address),
  sftp: async (address) => (await import('../storage/sftp.ts')).createSftpStorage(address),
};

export const schemeOf = (url: string): string | undefined => /^([a-z][a-z0-9+.-]+):/i.exec(url)?.[1];

/** Whether a URL is a directory: there, nothing is far away, and what fails doesn't pass by itself. */
export function isLocalUrl(url: string): boolean {
  const scheme = schemeOf(url);
  return scheme === undefined || localSchemes.includes(scheme);
}

/** A retry as it is told on the channel of {@link RetryLink}. */
export type ToldRetry = Retry & { storage: string };

/**
 * Opens the storage of an address: a path, or a URL of a kind of storage. Around it are the limits of the address, and around a storage that is
 * not local retries and the cache.
 * @param proven whether another thread has reached the storage already: then an outage is waited for longer.
 * @throws `usage` for schemes that this version doesn't know, and for URLs and options that the storage cannot use.
 */
export async function openStorage(address: StorageAddress, proven = false): Promise<Storage> {
  const { url, limits, cacheFolder, retries } = address;
  const stopped = stoppedOf(retries);
  let storage = await openKind(address);
  if (limits !== undefined) storage = withLimit(storage, { ...limits, clock, stopped });
  if (isLocalUrl(url)) return storage;
  storage = { ...retrying(storage, retries, { stopped, proven }), remote: true };
  return withSpool(cacheFolder === undefined ? storage : withCache(storage, cacheFolder));
}

async function openKind(address: StorageAddress): Promise<Storage> {
  const scheme = schemeOf(address.url);
  if (scheme === undefined) return createLocalStorage(resolve(address.url));
  const open = schemes[scheme];
  if (open !== undefined) return open(address);
  throw new HoldfastError('usage', `there is no kind of storage "${scheme}:"`, {
    remedy: `use a directory (/path/to/repository), or one of ${Object.keys(schemes)
      .map((name) => `${name}:`)
      .join(', ')}`,
  });
}

/** Whoever waits for a storage has work to do: the process must not end meanwhile. */
const clock = { sleep: (durationMs: number) => setTimeout(durationMs) };

function stoppedOf(retries: RetryLink | undefined): () => boolean {
  if (retries === undefined) return () => false;
  const stop = new Int32Array(retries.stop);
  return () => Atomics.load(stop, 0) !== 0;
}

function retrying(inner: Storage, link: RetryLink | undefined, options: { stopped: () => boolean; proven: boolean }): Storage {
  if (link === undefined) return withRetry(inner, { clock, ...options });
  let channel: BroadcastChannel | undefined;
  const storage = withRetry(inner, {
    clock,
    ...options,
    onRetry(retry) {
      channel ??= new BroadcastChannel(link.channel);
      channel.unref();
      channel.postMessage({ ...retry, storage: inner.location } satisfies ToldRetry);
    },
  });
  return {
    ...storage,
    async close() {
      channel?.close();
      channel = undefined;
      await inner.close?.();
    },
  };
}
