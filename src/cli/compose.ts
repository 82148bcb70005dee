/** The composition root's storages: the only place that knows which URL means which storage. */
import { resolve } from 'node:path';
import { HoldfastError } from '../model/errors.ts';
import { createLocalStorage } from '../storage/local.ts';
import type { Storage } from '../storage/storage.ts';

/**
 * Opens the storage of a repository URL: a path, or `local:PATH`.
 * @throws `usage` for schemes that this version doesn't know.
 */
export async function openStorage(url: string): Promise<Storage> {
  const scheme = /^([a-z][a-z0-9+.-]+):/.exec(url)?.[1];
  if (scheme === undefined) return createLocalStorage(resolve(url));
  if (scheme === 'local') return createLocalStorage(resolve(url.slice('local:'.length)));
  if (scheme === 'file') return createLocalStorage(resolve(url.replace(/^file:(\/\/)?/, '')));
  throw new HoldfastError('usage', `storages of kind "${scheme}:" are not supported by this version`, {
    remedy: 'use a directory: /path/to/repository',
  });
}
