/** A storage far away, as the command line opens one: its operations fail by chance, and are tried again at once. */
import { createLocalStorage } from '../../src/storage/local.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { withRetry } from '../../src/storage/with-retry.ts';
import { withFaults } from './with-faults.ts';

/** @param root of the repository. See `injectFault` for what fails. */
export function flakyStorage(root: string): Storage {
  // As storages elsewhere: packs are written whole.
  const { begin: _, ...whole } = createLocalStorage(root);
  const neverWaits = { clock: { sleep: async () => undefined }, random: () => 0 };
  return { ...withRetry(withFaults(whole, root), neverWaits), remote: true };
}
