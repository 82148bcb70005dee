import type { FileKind, Storage } from '../../storage/storage.ts';

/** Enough to hide a storage's latency. */
const parallelRemovals = 20;

/**
 * Removes files of a kind, many at once; the first failure ends it.
 * @param checkStopped throws to stop, before each file.
 * @param onRemoved is told of each.
 * @throws `storage`.
 */
export async function removeFiles(
  storage: Storage,
  kind: FileKind,
  names: readonly string[],
  checkStopped: () => void,
  onRemoved: (name: string) => void = () => undefined,
): Promise<void> {
  const waiting = names.values();
  let failed = false;
  const removeNext = async (): Promise<void> => {
    for (const name of waiting) {
      if (failed) return;
      try {
        checkStopped();
        await storage.remove({ kind, name });
      } catch (error) {
        failed = true;
        throw error;
      }
      onRemoved(name);
    }
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(parallelRemovals, names.length) }, removeNext));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
