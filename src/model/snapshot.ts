import type { BlobId, SnapshotId } from './ids.ts';
import type { TreeNode } from './node.ts';

const classes = ['scheduled', 'manual', 'guard'] as const;
export type SnapshotClass = (typeof classes)[number];
export const consistencies = ['stopped', 'paused', 'dumped', 'frozen', 'crash', 'torn'] as const;
/** How the cut was taken; see PRODUCT vocabulary in docs/glossary. */
export type Consistency = (typeof consistencies)[number];

/** restic's snapshot summary: counts of files and bytes of one backup. */
export type SnapshotSummary = {
  backupStart: string;
  backupEnd: string;
  filesNew: number;
  filesChanged: number;
  filesUnmodified: number;
  dirsNew: number;
  dirsChanged: number;
  dirsUnmodified: number;
  dataBlobs: number;
  treeBlobs: number;
  /** Bytes of new blobs before compression. */
  dataAdded: number;
  /** Bytes of new blobs as stored. */
  dataAddedPacked: number;
  totalFilesProcessed: number;
  totalBytesProcessed: number;
};

/** What Holdfast knows of a snapshot beyond restic's fields; carried in the snapshot's tags, so that restic keeps it. */
export type SnapshotIdentity = {
  project: string;
  volume: string;
  /** Shared by all snapshots of one restore point. */
  run: string;
  class: SnapshotClass;
  consistency: Consistency;
};

export type Snapshot = {
  /** RFC 3339 with nanoseconds. */
  time: string;
  parent: SnapshotId | undefined;
  tree: BlobId;
  paths: string[];
  hostname: string;
  username: string;
  uid: number;
  gid: number;
  excludes: string[];
  tags: string[];
  original: SnapshotId | undefined;
  programVersion: string;
  summary: SnapshotSummary | undefined;
  /**
   * Metadata of the volume's root directory itself, which a tree of its contents cannot hold. A field of Holdfast's own
   * (`holdfast_root`): restic ignores it.
   */
  root: TreeNode | undefined;
  /**
   * How many files and directories could not be read, when there were any. A field of Holdfast's own (`holdfast_problems`), by which
   * retention knows that a snapshot lacks something.
   */
  problems?: number;
  /**
   * For how long containers that use the volume were paused or stopped for it, in milliseconds: the longest of them. A field of Holdfast's own
   * (`holdfast_downtime_ms`); absent when none was.
   */
  downtimeMs?: number;
  /**
   * How many files of which kinds it holds, as file-kinds.ts writes it, and how many bytes of what the backup added don't compress: by both,
   * encryption is known. Fields of Holdfast's own (`holdfast_kinds`, `holdfast_incompressible`).
   */
  kinds?: string;
  incompressibleBytes?: number;
  /** Fields that this version doesn't know, written back on a rewrite. */
  unknown: Record<string, unknown> | undefined;
};

export type StoredSnapshot = Snapshot & { id: SnapshotId };

/** The tag of snapshots that a repair has written anew without what was lost, as restic sets it. */
export const repairedTag = 'repaired';

/** Whether files or directories of a snapshot may lack parts although it restores without errors. */
export const isRepaired = ({ tags }: Snapshot): boolean => tags.includes(repairedTag);

/** Names of the tags that carry a snapshot's identity, as `name=value`. */
export const identityTagNames = ['project', 'volume', 'run', 'class', 'consistency'] as const;

/** Tags as `key=value`; commas, which restic's command line splits at, cannot occur in names that the configuration accepts. */
export function tagsFromIdentity(identity: SnapshotIdentity): string[] {
  return identityTagNames.map((name) => `${name}=${identity[name]}`);
}

/** The identity that the tags carry, or undefined for a snapshot that Holdfast did not write. */
export function identityFromTags(tags: string[]): SnapshotIdentity | undefined {
  const values = new Map<string, string>();
  for (const tag of tags) {
    const cut = tag.indexOf('=');
    if (cut > 0) values.set(tag.slice(0, cut), tag.slice(cut + 1));
  }
  const [project, volume, run] = [values.get('project'), values.get('volume'), values.get('run')];
  if (project === undefined || volume === undefined || run === undefined) return undefined;
  return {
    project,
    volume,
    run,
    // Tags are anybody's who may write to the repository: what is none of these words promises nothing.
    class: classes.find((one) => one === values.get('class')) ?? 'manual',
    consistency: consistencies.find((one) => one === values.get('consistency')) ?? 'crash',
  };
}
