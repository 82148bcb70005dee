/** What the main thread and the lanes of a backup say to each other. */

import type { FileProblem } from '../../model/events.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { StoredPack } from '../../repository/pack-writer.ts';
import type { ExcludeOptions } from '../source/excludes.ts';

/** When a file counts as unchanged since the parent snapshot: type, size and mtime always, the rest unless relaxed. */
export type ChangeDetection = {
  ignoreInode: boolean;
  ignoreCtime: boolean;
  /** Read every file, whatever the parent says. */
  force: boolean;
  /**
   * Read what was touched (ctime) in this second of Unix time or later: a file that is written while the parent is made may be written again
   * in the same tick of the clock, which leaves its times as they are.
   */
  distrustedFromSec?: number;
};

/** What a lane needs to know of the volume that it is to read. */
export type VolumeStart = {
  root: RawString;
  excludes: ExcludeOptions;
  excludeIfPresent: readonly string[];
  excludeCaches: boolean;
  oneFileSystem: boolean;
  withAtime: boolean;
  changes: ChangeDetection;
  /**
   * Files whose content is read from somewhere else, by their paths in the volume: absolute paths of copies that are consistent. All else of them is
   * as it stands in the volume. Undefined leaves a file out.
   */
  substitutes?: ReadonlyMap<RawString, string | undefined>;
};

export type LaneSettings = {
  compressionLevel: number;
  dryRun: boolean;
  /** One row of counters a lane, see counters.ts. */
  counters: SharedArrayBuffer;
  /** A word that becomes 1 when the lanes must stop. */
  stop: SharedArrayBuffer;
};

/** Directories are numbered by the main thread; `path` is relative to the volume's root, '' for the root. */
export type DirectoryTask = { task: 'directory'; directory: number; path: RawString; parentTree: BlobId | undefined };
/** Files of a directory that another lane may read; `slots` are their places in its listing. */
export type FilesTask = { task: 'files'; directory: number; path: RawString; names: RawString[]; slots: number[] };
/** All that a directory waited for is there: its tree can be saved. Goes to the lane that listed it. */
export type FinishTask = { task: 'finish'; directory: number; subtrees: (BlobId | undefined)[]; files: SavedFile[] };
export type BackupTask = DirectoryTask | FilesTask | FinishTask;

/** A node for a place in a listing; undefined when the file could not be read. */
export type SavedFile = { slot: number; node: TreeNode | undefined };

export type Subdirectory = { name: RawString; parentTree: BlobId | undefined };

export type TaskResult =
  /** Listed; its tree waits for subdirectories, or for files that are better read by several lanes. */
  | { result: 'listed'; directory: number; subdirectories: Subdirectory[]; files: { names: RawString[]; slots: number[] }[] }
  /** Its tree is saved. */
  | { result: 'saved'; directory: number; tree: BlobId }
  /** It could not be listed. */
  | { result: 'gone'; directory: number }
  | { result: 'files'; directory: number; files: SavedFile[] };

export type BackupCall =
  | { call: 'volume'; lane: number; volume: VolumeStart }
  | { call: 'tasks'; tasks: BackupTask[] }
  /** Saves blobs of data that lie one behind the other in memory, which is the lane's until it answers: with their ids, 32 bytes each. */
  | { call: 'blobs'; lane: number; memory: SharedArrayBuffer; lengths: number[] }
  /** Answered with what the lane's part of the volume holds, by kind of file: KindCount[]. */
  | { call: 'kinds' }
  /** Waits for packs on their way; answered with PartialPack[]. */
  | { call: 'drain' };

/** Files of a kind, see file-kinds.ts. */
export type KindCount = [kind: string, files: number];

export type BackupNotice =
  | { notice: 'stored'; pack: StoredPack }
  | { notice: 'problem'; path: RawString; problem: FileProblem; message: string }
  /** A kind of thing that couldn't be recorded, counted over the volume. */
  | { notice: 'warning'; warning: string };
