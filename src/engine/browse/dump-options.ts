import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Trees } from './trees-ahead.ts';

/** What every kind of archive is made from. */
export type DumpOptions = {
  repository: Pick<Repository, 'storage' | 'seal'>;
  trees: Trees;
  /** Paths in the archive begin below it. `node` is its own, where known. */
  directory: { tree: BlobId; node: TreeNode | undefined };
  /** Told of an entry that such an archive cannot hold. */
  onSkipped: (path: RawString, type: string) => void;
  /** Told of an entry that such an archive cannot name as it is. */
  onRenamed: (path: RawString, name: string) => void;
};
