/**
 * A repository that is changed only as long as its lock is there: what others do who took the lock for stale (this machine slept, or its
 * clock is wrong) and what is done here must not meet. A prune may have removed what an index or a snapshot would name; and what is about to
 * be removed may be what a backup relies on by now.
 */
import type { FileKind, Storage } from '../storage/storage.ts';
import type { HeldLock } from './locks.ts';
import type { Repository } from './repository.ts';

/** Packs are named by nobody until an index is written. */
const namesOthers = (kind: FileKind): boolean => kind === 'index' || kind === 'snapshots';

/** The repository, in which nothing is named and nothing removed unless the lock is there: else the `locked` error is thrown. */
export function underLock(repository: Repository, held: Pick<HeldLock, 'confirm'>): Repository {
  const { storage } = repository;
  const guarded: Storage = {
    ...storage,
    async write(file, parts) {
      if (namesOthers(file.kind)) await held.confirm();
      await storage.write(file, parts);
    },
    async remove(file) {
      await held.confirm();
      await storage.remove(file);
    },
  };
  return { ...repository, storage: guarded };
}
