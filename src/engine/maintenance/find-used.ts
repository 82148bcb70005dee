/** Which blobs the snapshots need: all their trees are walked, each once, by all lanes. */
import { HoldfastError } from '../../model/errors.ts';
import { shortId } from '../../model/ids.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import { createBlobReader } from '../../repository/blob-reader.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Lane } from '../lanes/pool.ts';
import { findAffected } from './affected.ts';
import type { Damage } from './damage.ts';
import { setBit } from './entry-bits.ts';
import { Findings } from './findings.ts';
import type { PruneIndex } from './prune-index.ts';
import { walkTrees } from './walk-trees.ts';

const repairFirst = 'run `holdfast check`; prune again when the repository is repaired, or the snapshots are forgotten that cannot be';
/** Named in an error; more are counted. */
const snapshotsNamed = 10;

export type FindUsedOptions = {
  repository: Repository;
  index: PruneIndex;
  snapshots: readonly StoredSnapshot[];
  lanes: readonly Lane[];
  /** A bit an entry, which the lanes share: set for every blob that is needed. */
  used: Int32Array;
  /** Throws to stop. */
  checkStopped: () => void;
};

/**
 * Anything that is missing or cannot be read ends it: who knows what that would need?
 * @throws `damaged` naming the snapshots; `storage`.
 */
export async function findUsedBlobs(options: FindUsedOptions): Promise<void> {
  const { index, snapshots, lanes, used } = options;
  const findings = new Findings();
  const roots = new Set<number>();
  for (const { id, tree } of snapshots) {
    const entry = index.blobs.find(tree, 'tree');
    if (entry >= 0) roots.add(entry);
    else {
      const message = `snapshot ${id} needs tree ${tree}, which is in no pack that the index knows`;
      findings.add({ kind: 'tree-missing', message, file: `snapshots/${id}`, missing: { kind: 'tree', id: tree } });
    }
  }
  for (const entry of roots) setBit(used, entry);
  if (findings.errorCount === 0) {
    await walkTrees(lanes, [...roots], (damages) => {
      for (const damage of damages) if (!isOvercome(damage)) findings.add(damage);
    });
  }
  if (findings.errorCount > 0) throw await damagedError(options, findings);
}

/** The storage failed once, and the tree was read all the same. */
const isOvercome = ({ kind, tree }: Damage): boolean => kind === 'unreadable' && tree === undefined;

async function damagedError({ repository, index, snapshots, checkStopped }: FindUsedOptions, findings: Findings): Promise<HoldfastError> {
  const { storage, seal } = repository;
  const blobs = createBlobReader({ storage, seal, index: index.blobs });
  await findAffected({ findings, snapshots, index: index.blobs, blobs, checkStopped });
  const affected = [...new Set(findings.errors.flatMap(({ affects }) => affects.map(({ snapshot }) => shortId(snapshot))))];
  const [first] = findings.errors;
  const more = findings.errorCount > 1 ? ` (and ${findings.errorCount - 1} more errors)` : '';
  const list = affected.slice(0, snapshotsNamed).join(', ') + (affected.length > snapshotsNamed ? ', ...' : '');
  const snapshotsHit = affected.length === 0 ? '' : `; affected: ${affected.length} snapshots (${list})`;
  const code = findings.errors.every(({ kind }) => kind === 'unreadable') ? 'storage' : 'damaged';
  return new HoldfastError(code, `${first?.message}${more}${snapshotsHit}; nothing was removed`, {
    ...(first?.file === undefined ? {} : { file: first.file }),
    ...(code === 'storage' ? {} : { remedy: repairFirst }),
  });
}
