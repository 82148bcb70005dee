/** The composition root's storages: the only place that knows which URL means which storage, and what is put around it. */
import { resolve } from 'node:path';
import { HoldfastError } from '../model/errors.ts';
import { createLocalStorage } from '../storage/local.ts';
import type { Storage, StorageAddress } from '../storage/storage.ts';

/** Every kind of storage by its scheme. Modules are loaded when a URL asks for them. */
const schemes: Record<string, (address: StorageAddress) => Storage | Promise<Storage>> = {
  local: ({ url }) => createLocalStorage(resolve(url.slice('local:'.length))),
  file: ({ url }) => createLocalStorage(resolve(url.replace(/^file:(\/\/)?/, ''))),
  s3: async (address) => (await import('../storage/s3.ts')).createS3Storage(address),
  rest: async (address) => (await import('../storage/rest.ts')).createRestStorage(address),
  rclone: async (address) => (await import('../storage/rclone.ts')).createRcloneStorage(address),
};

/**
 * Opens the storage of an address: a path, or a URL of a kind of storage.
 * @throws `usage` for schemes that this version doesn't know, and for URLs and options that the storage cannot use.
 */
export async function openStorage(address: StorageAddress): Promise<Storage> {
  const scheme = /^([a-z][a-z0-9+.-]+):/.exec(address.url)?.[1];
  if (scheme === undefined) return createLocalStorage(resolve(address.url));
  const open = schemes[scheme];
  if (open !== undefined) return open(address);
  throw new HoldfastError('usage', `there is no kind of storage "${scheme}:"`, {
    remedy: `use a directory (/path/to/repository), or one of ${Object.keys(schemes)
      .map((name) => `${name}:`)
      .join(', ')}`,
  });
}
