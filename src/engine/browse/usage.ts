/**
 * What snapshots take: restored, and stored. Every tree is read once, however many snapshots share it; memory is some bytes for each blob of
 * the repository, and one record for each file of several blobs.
 */
import { sha256Into } from '../../format/kernel/sha256.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { BlobSet, IndexBits } from './index-bits.ts';
import type { Trees } from './trees-ahead.ts';

/** Sizes in bytes. */
export type Usage = {
  snapshots: number;
  /** What all of the snapshots would take, each restored by itself. Every name of a hard-linked file is an entry; its size counts once a snapshot. */
  restore: { entries: number; files: number; bytes: number };
  /** Files that differ in content. Hard links, copies and versions that are the same count once. */
  distinctFiles: { files: number; bytes: number };
  /** Blobs that the snapshots use, each once: as they were, and sealed as they are stored. `missing` references lead to no blob. */
  blobs: { data: number; trees: number; plainBytes: number; storedBytes: number; missing: number };
};

/** What is below a tree, itself included, but for the sizes of files with several names. */
type Totals = { entries: number; files: number; bytes: number; hasLinks: boolean };

/** Of several snapshots: used for a volume, or joined for all. */
class Content {
  snapshots = 0;
  readonly restore = { entries: 0, files: 0, bytes: 0 };
  readonly blobs: BlobSet;
  /** Files of one blob, by it. */
  private readonly single: IndexBits;
  /** Files of several blobs: their sizes by a hash of their blobs. */
  private readonly several = new Map<string, number>();
  private empty = false;
  private readonly index: BlobIndex;

  constructor(index: BlobIndex) {
    this.index = index;
    this.blobs = new BlobSet(index);
    this.single = new IndexBits(index.size);
  }

  addFile(content: readonly BlobId[]): void {
    for (const id of content) this.blobs.add('data', id);
    const [first] = content;
    if (first === undefined) this.empty = true;
    else if (content.length === 1) {
      const entry = this.index.find(first, 'data');
      if (entry >= 0) this.single.add(entry);
    } else this.several.set(contentKey(content), this.sizeOf(content));
  }

  private sizeOf(content: readonly BlobId[]): number {
    let bytes = 0;
    for (const id of content) {
      const entry = this.index.find(id, 'data');
      if (entry >= 0) bytes += this.index.plainLengthOf(entry);
    }
    return bytes;
  }

  join(other: Content): void {
    this.snapshots += other.snapshots;
    for (const name of ['entries', 'files', 'bytes'] as const) this.restore[name] += other.restore[name];
    this.blobs.entries.addAll(other.blobs.entries);
    this.blobs.missing += other.blobs.missing;
    this.single.addAll(other.single);
    for (const [key, bytes] of other.several) this.several.set(key, bytes);
    this.empty ||= other.empty;
  }

  usage(): Usage {
    const { index, snapshots, restore } = this;
    const distinctFiles = { files: this.several.size + (this.empty ? 1 : 0), bytes: 0 };
    for (const entry of this.single.entries()) {
      distinctFiles.files++;
      distinctFiles.bytes += index.plainLengthOf(entry);
    }
    for (const bytes of this.several.values()) distinctFiles.bytes += bytes;
    const blobs = { data: 0, trees: 0, plainBytes: 0, storedBytes: 0, missing: this.blobs.missing };
    for (const entry of this.blobs.entries.entries()) {
      if (index.kindOf(entry) === 'tree') blobs.trees++;
      else blobs.data++;
      blobs.plainBytes += index.plainLengthOf(entry);
      blobs.storedBytes += index.location(entry)?.length ?? 0;
    }
    return { snapshots, restore: { ...restore }, distinctFiles, blobs };
  }
}

const digest = Buffer.alloc(32);

function contentKey(content: readonly BlobId[]): string {
  sha256Into(Buffer.from(content.join(''), 'hex'), digest);
  return digest.toString('latin1', 0, 16);
}

export type UsageMeter = {
  /** Adds a snapshot's tree to those of a group (a volume). @throws as `Trees.nodes`. */
  add(group: string, root: BlobId): Promise<void>;
  /** By group, in the order in which they were begun; and of all together. */
  finish(): { groups: Map<string, Usage>; total: Usage };
};

export function createUsageMeter(trees: Trees): UsageMeter {
  const groups = new Map<string, Content>();
  const totals = new TotalsByTree(trees);
  const linksOf = new Map<BlobId, { bytes: number }>();

  async function addTree(content: Content, tree: BlobId): Promise<void> {
    const entry = trees.index.find(tree, 'tree');
    if (entry >= 0 && content.blobs.entries.has(entry)) return;
    const nodes = await trees.nodes(tree);
    for (const [i, node] of nodes.entries()) {
      if (node.type === 'file') content.addFile(node.content ?? []);
      if (node.type !== 'dir' || node.subtree === undefined) continue;
      trees.expect(nodes, i, ({ subtree }) => !content.blobs.entries.has(trees.index.find(subtree as BlobId, 'tree')));
      await addTree(content, node.subtree);
    }
    totals.learn(tree, nodes);
    content.blobs.add('tree', tree);
  }

  /** Sizes of files with several names, each once. */
  async function linkedBytes(root: BlobId): Promise<number> {
    let known = linksOf.get(root);
    if (known === undefined) {
      known = { bytes: await totals.linkedBytes(root) };
      linksOf.clear();
      linksOf.set(root, known);
    }
    return known.bytes;
  }

  return {
    async add(group, root) {
      let content = groups.get(group);
      if (content === undefined) {
        content = new Content(trees.index);
        groups.set(group, content);
      }
      await addTree(content, root);
      const { entries, files, bytes, hasLinks } = totals.of(root);
      content.snapshots++;
      content.restore.entries += entries;
      content.restore.files += files;
      content.restore.bytes += bytes + (hasLinks ? await linkedBytes(root) : 0);
    },
    finish() {
      const total = new Content(trees.index);
      for (const content of groups.values()) total.join(content);
      return { groups: new Map([...groups].map(([name, content]) => [name, content.usage()])), total: total.usage() };
    },
  };
}

/** Directories have one name, and what has no link count is taken for a file with one name. */
const hasOtherNames = ({ type, links }: TreeNode): boolean => type !== 'dir' && links > 1;

/** Totals of every tree that was read, by its entry in the index. */
class TotalsByTree {
  private readonly trees: Trees;
  private readonly entries: Float64Array;
  private readonly files: Float64Array;
  private readonly bytes: Float64Array;
  private readonly links: IndexBits;

  constructor(trees: Trees) {
    const { size } = trees.index;
    this.trees = trees;
    this.entries = new Float64Array(size);
    this.files = new Float64Array(size);
    this.bytes = new Float64Array(size);
    this.links = new IndexBits(size);
  }

  of(tree: BlobId): Totals {
    const at = this.trees.index.find(tree, 'tree');
    const number = (of: Float64Array) => of[at] ?? 0;
    return { entries: number(this.entries), files: number(this.files), bytes: number(this.bytes), hasLinks: at >= 0 && this.links.has(at) };
  }

  /** All subtrees must be known. */
  learn(tree: BlobId, nodes: readonly TreeNode[]): void {
    const at = this.trees.index.find(tree, 'tree');
    if (at < 0) return;
    const sum: Totals = { entries: nodes.length, files: 0, bytes: 0, hasLinks: false };
    for (const node of nodes) {
      if (node.type === 'file') sum.files++;
      if (hasOtherNames(node)) sum.hasLinks = true;
      else sum.bytes += Number(node.size);
      if (node.type !== 'dir' || node.subtree === undefined) continue;
      const below = this.of(node.subtree);
      sum.entries += below.entries;
      sum.files += below.files;
      sum.bytes += below.bytes;
      sum.hasLinks ||= below.hasLinks;
    }
    this.entries[at] = sum.entries;
    this.files[at] = sum.files;
    this.bytes[at] = sum.bytes;
    if (sum.hasLinks) this.links.add(at);
  }

  /** Sizes of the files with several names below a tree, each once: as names of one file may be anywhere, this is known of snapshots only. */
  async linkedBytes(root: BlobId): Promise<number> {
    const seen = new Set<string>();
    let bytes = 0;
    const waiting = [root];
    for (let tree = waiting.pop(); tree !== undefined; tree = waiting.pop()) {
      const nodes = await this.trees.nodes(tree);
      for (const node of nodes) {
        if (node.subtree !== undefined && this.of(node.subtree).hasLinks) waiting.push(node.subtree);
        const key = `${node.deviceId} ${node.inode}`;
        if (!hasOtherNames(node) || (Number(node.inode) !== 0 && seen.has(key))) continue;
        seen.add(key);
        bytes += Number(node.size);
      }
      this.trees.expect(nodes, 0, ({ subtree }) => this.of(subtree as BlobId).hasLinks);
    }
    return bytes;
  }
}
