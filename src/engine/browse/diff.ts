/** What changed from one tree to another. Directories that are equal are not looked into: their id says it. */
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { displayRaw, type RawString } from '../../model/raw-bytes.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { BlobSet } from './index-bits.ts';
import { type Change, changeBetween } from './node-change.ts';
import { subtreeOf, type Trees } from './trees-ahead.ts';
import { joinPath, walkTree } from './walk-tree.ts';

/** `before` is missing for what was added, `after` for what was removed. */
export type Difference = { path: RawString; change: Change; before: TreeNode | undefined; after: TreeNode | undefined };

/** What came, or what went. */
export type EntryStatistics = { files: number; dirs: number; others: number; bytes: number };
/** With blobs that only this side's changed directories use; `bytes` are theirs, before compression. */
type SideStatistics = EntryStatistics & { dataBlobs: number; treeBlobs: number };
export type DiffStatistics = {
  /** Files whose content or type changed. */
  changedFiles: number;
  /** Other entries of which the same is true. */
  changedOthers: number;
  added: SideStatistics;
  removed: SideStatistics;
};

export const noEntries = (): EntryStatistics => ({ files: 0, dirs: 0, others: 0, bytes: 0 });
const nothing = (): SideStatistics => ({ ...noEntries(), dataBlobs: 0, treeBlobs: 0 });

/** Counts an entry that came or went. */
export function countEntry(side: EntryStatistics, { type }: TreeNode): void {
  if (type === 'file') side.files++;
  else if (type === 'dir') side.dirs++;
  else side.others++;
}

export type DiffOptions = {
  trees: Trees;
  before: BlobId;
  after: BlobId;
  /** Where the trees are in their snapshots: what paths begin with. */
  prefix: RawString;
  /** Whether changes of metadata alone count. */
  metadata: boolean;
  onDifference: (difference: Difference) => void;
};

/** @throws as `Trees.nodes`. */
export async function diffTrees(options: DiffOptions): Promise<DiffStatistics> {
  const { trees, before, after, prefix } = options;
  const diff = new Diff(options);
  if (before !== after) {
    diff.blobs.before.add('tree', before);
    diff.blobs.after.add('tree', after);
    await diff.compare(before, after, prefix);
  }
  return diff.statistics(trees.index);
}

class Diff {
  readonly blobs: { before: BlobSet; after: BlobSet };
  private readonly o: DiffOptions;
  private readonly counts: DiffStatistics = { changedFiles: 0, changedOthers: 0, added: nothing(), removed: nothing() };

  constructor(options: DiffOptions) {
    this.o = options;
    this.blobs = { before: new BlobSet(options.trees.index), after: new BlobSet(options.trees.index) };
  }

  async compare(before: BlobId, after: BlobId, directory: RawString): Promise<void> {
    const { trees } = this.o;
    const pairs = pairsOf(...(await Promise.all([trees.nodes(before), trees.nodes(after)])));
    for (const [i, pair] of pairs.entries()) {
      if (pair.before?.type === 'dir' || pair.after?.type === 'dir') this.expect(pairs, i);
      await this.comparePair(pair, joinPath(directory, (pair.after ?? (pair.before as TreeNode)).name));
    }
  }

  /** Both sides of what comes next, but for directories that are equal. */
  private expect(pairs: readonly Pair[], from: number): void {
    const unequal = pairs.slice(from, from + expectedPairs).filter(({ before, after }) => before?.subtree !== after?.subtree);
    const nodes = unequal.flatMap(({ before, after }) => [before, after]).filter((node) => node !== undefined);
    this.o.trees.expect(nodes, 0);
  }

  private async comparePair({ before, after }: Pair, path: RawString): Promise<void> {
    if (before !== undefined) this.note('before', before);
    if (after !== undefined) this.note('after', after);
    if (before === undefined || after === undefined || (before.type !== after.type && (before.type === 'dir' || after.type === 'dir'))) {
      return this.replaced(before, after, path);
    }
    const change = changeBetween(before, after, this.o.metadata);
    if (change !== undefined) this.report({ path, change, before, after });
    if (before.type === 'dir' && before.subtree !== after.subtree) {
      await this.compare(subtreeOf(before, displayRaw(path)), subtreeOf(after, displayRaw(path)), path);
    }
  }

  /** Something that is on one side only, or is a directory on one side only. */
  private async replaced(before: TreeNode | undefined, after: TreeNode | undefined, path: RawString): Promise<void> {
    if (before !== undefined && after !== undefined) this.report({ path, change: this.o.metadata ? 'TU' : 'T', before, after });
    else this.onSide(path, before, after);
    if (before?.type === 'dir') await this.wholeSide(before, path, 'before');
    if (after?.type === 'dir') await this.wholeSide(after, path, 'after');
  }

  private async wholeSide(directory: TreeNode, at: RawString, side: 'before' | 'after'): Promise<void> {
    for await (const { path, node } of walkTree(this.o.trees, subtreeOf(directory, displayRaw(at)), at)) {
      this.note(side, node);
      this.onSide(path, side === 'before' ? node : undefined, side === 'after' ? node : undefined);
    }
  }

  private onSide(path: RawString, before: TreeNode | undefined, after: TreeNode | undefined): void {
    if (before !== undefined) countEntry(this.counts.removed, before);
    if (after !== undefined) countEntry(this.counts.added, after);
    this.o.onDifference({ path, change: before === undefined ? '+' : '-', before, after });
  }

  private report(difference: Difference): void {
    if (difference.change !== 'U') this.counts[difference.after?.type === 'file' ? 'changedFiles' : 'changedOthers']++;
    this.o.onDifference(difference);
  }

  private note(side: 'before' | 'after', { content, subtree }: TreeNode): void {
    for (const id of content ?? []) this.blobs[side].add('data', id);
    if (subtree !== undefined) this.blobs[side].add('tree', subtree);
  }

  statistics(index: BlobIndex): DiffStatistics {
    const { before, after } = this.blobs;
    countBlobs(index, before, after, this.counts.removed);
    countBlobs(index, after, before, this.counts.added);
    return this.counts;
  }
}

function countBlobs(index: BlobIndex, of: BlobSet, butFor: BlobSet, into: SideStatistics): void {
  for (const entry of of.entries.entries()) {
    if (butFor.entries.has(entry)) continue;
    if (index.kindOf(entry) === 'tree') into.treeBlobs++;
    else into.dataBlobs++;
    into.bytes += index.plainLengthOf(entry);
  }
}

/** In which the next directories are looked for. */
const expectedPairs = 64;

export type Pair<Other = TreeNode> = { before: TreeNode | undefined; after: Other | undefined };

/** Entries of two listings by name, both ascending. */
export function pairsOf<Other extends { name: RawString }>(before: readonly TreeNode[], after: readonly Other[]): Pair<Other>[] {
  const pairs: Pair<Other>[] = [];
  for (let b = 0, a = 0; b < before.length || a < after.length; ) {
    const [left, right] = [before[b], after[a]];
    const order = left === undefined ? 1 : right === undefined ? -1 : left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
    pairs.push({ before: order <= 0 ? left : undefined, after: order >= 0 ? right : undefined });
    if (order <= 0) b++;
    if (order >= 0) a++;
  }
  return pairs;
}
