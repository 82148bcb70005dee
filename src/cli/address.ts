/** What a storage is opened by: the URL, and what configuration, command line and environment say about it. */
import type { StorageAddress } from '../storage/storage.ts';

export function addressOf(url: string): StorageAddress {
  return { url };
}
