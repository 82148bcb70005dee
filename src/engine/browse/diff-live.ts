/** What changed in a volume since a snapshot: what a backup would find, as far as it can be told without storing anything. */
import { setImmediate } from 'node:timers/promises';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { displayRaw, type RawString } from '../../model/raw-bytes.ts';
import { contentUnchanged } from '../backup/nodes.ts';
import { errnoName } from '../source/posix-constants.ts';
import { countEntry, type Difference, type EntryStatistics, noEntries, type Pair, pairsOf } from './diff.ts';
import type { LiveVolume } from './live-volume.ts';
import { type Change, contentEqual, metadataEqual } from './node-change.ts';
import { subtreeOf, type Trees } from './trees-ahead.ts';
import { joinPath, walkTree } from './walk-tree.ts';

/** `bytes` are those of the files that came or went. */
export type LiveStatistics = {
  changedFiles: number;
  changedOthers: number;
  added: EntryStatistics;
  removed: EntryStatistics;
  /** What could not be read, and is not compared. */
  unreadable: number;
};

export type LiveDiffOptions = {
  trees: Trees;
  /** Of the directory at `path`. */
  tree: BlobId;
  path: RawString;
  live: LiveVolume;
  metadata: boolean;
  /** Whether the content of files that may have changed is read and compared; else size and times decide. */
  content: boolean;
  ignoreCtime: boolean;
  ignoreInode: boolean;
  onDifference: (difference: Difference) => void;
  onUnreadable: (path: RawString, message: string) => void;
  signal: AbortSignal;
};

/** @throws as `Trees.nodes`; `interrupted`. */
export async function diffLive(options: LiveDiffOptions): Promise<LiveStatistics> {
  const diff = new LiveDiff(options);
  await diff.compare(options.tree, options.path);
  return diff.counts;
}

class LiveDiff {
  readonly counts: LiveStatistics = { changedFiles: 0, changedOthers: 0, added: noEntries(), removed: noEntries(), unreadable: 0 };
  private readonly o: LiveDiffOptions;

  constructor(options: LiveDiffOptions) {
    this.o = options;
  }

  /** @param tree undefined for a directory that the snapshot doesn't have. */
  async compare(tree: BlobId | undefined, directory: RawString): Promise<void> {
    const { trees, live, signal } = this.o;
    await setImmediate();
    signal.throwIfAborted();
    const listed = live.list(directory);
    if (typeof listed === 'number') return this.unreadable(directory, `cannot list: ${errnoName(-listed)}`);
    const nodes = tree === undefined ? [] : await trees.nodes(tree);
    let at = 0;
    for (const pair of pairsOf(nodes, listed)) {
      if (pair.before?.type === 'dir') trees.expect(nodes, at);
      if (pair.before !== undefined) at++;
      await this.comparePair(pair, directory);
    }
  }

  private async comparePair({ before, after }: Pair, directory: RawString): Promise<void> {
    const path = joinPath(directory, (after ?? (before as TreeNode)).name);
    if (before === undefined || after === undefined || before.type !== after.type) return this.replaced(before, after, path);
    if (after.type === 'dir') {
      if (this.o.metadata && !this.sameMetadata(before, after)) this.o.onDifference({ path, change: 'U', before, after });
      if (!this.o.live.isMountPoint(after)) await this.compare(subtreeOf(before, displayRaw(path)), path);
      return;
    }
    const change = await this.changeOf(before, after, directory);
    if (change === undefined) return;
    if (change !== 'U') this.counts[after.type === 'file' ? 'changedFiles' : 'changedOthers']++;
    this.o.onDifference({ path, change, before, after });
  }

  private async changeOf(before: TreeNode, after: TreeNode, directory: RawString): Promise<Change | undefined> {
    const { ignoreCtime, ignoreInode, metadata, live, content, signal } = this.o;
    if (after.type !== 'file' || contentUnchanged(after, before, { force: false, ignoreCtime, ignoreInode }))
      after.content = before.content;
    else if (!content) return 'M';
    else {
      const ids = await live.contentOf(directory, after.name, signal);
      if (typeof ids === 'number') {
        this.unreadable(joinPath(directory, after.name), `cannot read: ${errnoName(-ids)}`);
        return undefined;
      }
      after.content = ids;
    }
    if (!contentEqual(before, after)) return 'M';
    return metadata && !this.sameMetadata(before, after) ? 'U' : undefined;
  }

  private sameMetadata(before: TreeNode, after: TreeNode): boolean {
    const { ignoreCtime, ignoreInode } = this.o;
    return metadataEqual(before, {
      ...after,
      // Reading changes it, and a backup records it only when asked to.
      atime: before.atime,
      ...(ignoreCtime ? { ctime: before.ctime } : {}),
      ...(ignoreInode ? { inode: before.inode, deviceId: before.deviceId } : {}),
    });
  }

  private async replaced(before: TreeNode | undefined, after: TreeNode | undefined, path: RawString): Promise<void> {
    if (before !== undefined && after !== undefined) {
      this.counts[after.type === 'file' ? 'changedFiles' : 'changedOthers']++;
      this.o.onDifference({ path, change: this.o.metadata ? 'TU' : 'T', before, after });
    } else if (before !== undefined) this.removed(path, before);
    else if (after !== undefined) this.added(path, after);
    if (before?.type === 'dir') {
      for await (const inside of walkTree(this.o.trees, subtreeOf(before, displayRaw(path)), path)) this.removed(inside.path, inside.node);
    }
    if (after?.type === 'dir' && !this.o.live.isMountPoint(after)) await this.compare(undefined, path);
  }

  private removed(path: RawString, before: TreeNode): void {
    countEntry(this.counts.removed, before);
    this.counts.removed.bytes += Number(before.size);
    this.o.onDifference({ path, change: '-', before, after: undefined });
  }

  private added(path: RawString, after: TreeNode): void {
    countEntry(this.counts.added, after);
    this.counts.added.bytes += Number(after.size);
    this.o.onDifference({ path, change: '+', before: undefined, after });
  }

  private unreadable(path: RawString, message: string): void {
    this.counts.unreadable++;
    this.o.onUnreadable(path, message);
  }
}
