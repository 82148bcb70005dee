/** Which snapshots need something that is lost. */
import { HoldfastError } from '../../model/errors.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { type BlobReader, createBlobReader } from '../../repository/blob-reader.ts';
import type { Repository } from '../../repository/repository.ts';
import { findAffected } from './affected.ts';
import type { Findings } from './findings.ts';

/**
 * Ids of the snapshots that damage affects; the findings get to know it too, with the paths. The trees are read once more, if there is
 * damage.
 * @throws `storage` and others when a tree that was whole a moment ago cannot be read: then nobody knows; `interrupted`.
 */
export async function incompleteSnapshots(
  { repository, index }: { repository: Repository; index: BlobIndex },
  findings: Findings,
  snapshots: readonly StoredSnapshot[],
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  if (findings.lostBlobs(index).size === 0 && findings.missingBlobs.size === 0) return new Set();
  const { storage, seal } = repository;
  const reader = createBlobReader({ storage, seal, index });
  let failure: unknown;
  const blobs: BlobReader = {
    read(kind, id) {
      return reader.read(kind, id).catch((error: unknown) => {
        failure ??= error;
        throw error;
      });
    },
  };
  const checkStopped = () => {
    if (signal.aborted) throw new HoldfastError('interrupted', 'interrupted');
  };
  const before = findings.errors.map(({ affects }) => affects.length);
  await findAffected({ findings, snapshots, index, blobs, checkStopped });
  if (failure !== undefined) throw failure;
  const affected = findings.errors.flatMap(({ affects }, finding) => affects.slice(before[finding] ?? 0));
  return new Set(affected.map(({ snapshot }) => snapshot));
}
