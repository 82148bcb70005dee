import type { Report } from '../../model/events.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { Repository } from '../../repository/repository.ts';
import type { LanePool } from '../lanes/pool.ts';

/**
 * What to do with a file that is there already. `always`: its content is held against the snapshot's, blob by blob, and what
 * differs is written. `if-changed`: the same, but a file of the same size and mtime is believed to be equal. `if-newer`: only
 * when the snapshot's mtime is later. `never`: it stays as it is.
 */
export type Overwrite = 'always' | 'if-changed' | 'if-newer' | 'never';

/** Owners to set instead of the snapshot's. `owner` goes before the maps. */
export type OwnerOptions = {
  owner?: { uid: number; gid: number };
  mapUid?: ReadonlyMap<number, number>;
  mapGid?: ReadonlyMap<number, number>;
};

export type RestoreOptions = OwnerOptions & {
  repository: Repository;
  index: BlobIndex;
  /** Started for job `restore`. */
  lanes: LanePool;
  snapshot: StoredSnapshot;
  /** Name of the volume, for events. */
  volume: string;
  /** Directory to restore to; made when it is missing. Bytes when its path isn't UTF-8. */
  target: string | Buffer;
  /**
   * A directory of the target, by its path in it, that is restored to instead of the target itself. The way there follows no symlink: whoever
   * can write to the target cannot lead the restore out of it. Its last component is made when it is missing. Default '': the target itself.
   */
  beneath?: RawString;
  /** Path inside the snapshot. A directory's content goes into the target itself, a file to the target/NAME. Default '': everything. */
  subtree?: RawString;
  overwrite: Overwrite;
  /** Remove what is in the target and not in the snapshot. */
  delete: boolean;
  /** Read everything back and compare it. */
  verify: boolean;
  /** Write nothing; count what would be done. */
  dryRun: boolean;
  /** Make holes of zeros. Default true. */
  sparse?: boolean;
  /** What the main thread may keep of planned work, in bytes. Default 16 MiB. */
  memoryBytes?: number;
  report: Report;
  signal: AbortSignal;
};
