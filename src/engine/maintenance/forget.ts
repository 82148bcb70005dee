/** Removing snapshots from a repository. What they alone needed stays until a prune. */
import { HoldfastError } from '../../model/errors.ts';
import { type SnapshotId, shortId } from '../../model/ids.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import type { Repository } from '../../repository/repository.ts';

export type ForgetOptions = {
  /** Locked exclusively. */
  repository: Repository;
  snapshots: readonly StoredSnapshot[];
  /** Told of each that could not be removed. */
  onFailed(snapshot: StoredSnapshot, error: HoldfastError): void;
  signal: AbortSignal;
};

const parallelRemovals = 8;
/** A storage that refused so many and removed none refuses them all. */
const refusalsTaken = 16;

/**
 * Removes snapshot files, each by itself: wherever this is interrupted, the repository is sound. One that cannot be removed doesn't keep
 * the others; one that is gone already is no failure.
 * @returns how many could not be removed.
 * @throws the reason of the signal; the error of a storage that lets none be removed.
 */
export async function forgetSnapshots({ repository, snapshots, onFailed, signal }: ForgetOptions): Promise<number> {
  const waiting = snapshots.toReversed();
  let [removed, failed] = [0, 0];
  const removeNext = async (): Promise<void> => {
    for (let snapshot = waiting.pop(); snapshot !== undefined; snapshot = waiting.pop()) {
      signal.throwIfAborted();
      try {
        await removeSnapshot(repository, snapshot.id);
        removed++;
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
        failed++;
        onFailed(snapshot, error);
        if (removed === 0 && failed >= refusalsTaken) throw error;
      }
    }
  };
  const removals = Array.from({ length: parallelRemovals }, removeNext);
  // What is under way ends before the lock is given back.
  await Promise.allSettled(removals);
  await Promise.all(removals);
  return failed;
}

/** @throws `storage`, `storage-denied`: of a storage that lets nothing be removed (append-only), with what to do about it. */
export async function removeSnapshot(repository: Repository, id: SnapshotId): Promise<void> {
  try {
    await repository.storage.remove({ kind: 'snapshots', name: id });
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== 'storage-denied') throw error;
    throw new HoldfastError('storage-denied', `${repository.storage.location} does not let the snapshot ${shortId(id)} be removed`, {
      file: `snapshots/${id}`,
      remedy: 'an append-only client cannot forget: run this where there are credentials that may delete',
      cause: error,
    });
  }
}
