/** Lists a directory and compares it with the parent snapshot: what is unchanged, what must be read, what waits. */
import { decodeTree, encodeTree } from '../../format/tree.ts';
import { TreeScan } from '../../format/tree-scan.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { displayRaw, type RawString, rawFromText } from '../../model/raw-bytes.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { BlobReader } from '../../repository/blob-reader.ts';
import { restoreMarkerName } from '../restore/marker.ts';
import { type Excludes, isCacheDirTag } from '../source/excludes.ts';
import { EPERM, errnoName, O_DIRECTORY, O_NOATIME, O_RDONLY } from '../source/posix-constants.ts';
import { pread } from '../source/posix-io.ts';
import { listDirectory } from '../source/posix-list.ts';
import { close, openBeneath, openForReading } from '../source/posix-open.ts';
import { Stat, statAt } from '../source/posix-stat.ts';
import type { Counter } from './counters.ts';
import type { KindCounter } from './kind-counter.ts';
import type { DirectoryTask, FinishTask, SavedFile, Subdirectory, TaskResult, VolumeStart } from './messages.ts';
import { contentUnchanged, isAsBefore, isDistrusted, nodeFromStat } from './nodes.ts';
import type { EntryReader } from './read-entry.ts';
import type { BlobSink } from './save-blobs.ts';

/** Beyond this much in one directory, its files are offered to all lanes. */
const inlineBytes = 4 * 1024 * 1024;
const inlineFiles = 500;

/** A directory whose tree isn't saved yet: `nodes` has holes where something is awaited. */
type OpenDirectory = {
  /** For an unchanged listing the trees that its subdirectories had: the parent's tree is read again if one has another now. */
  nodes: (TreeNode | undefined)[] | { parentSubtrees: (BlobId | undefined)[] };
  /** Places of the subdirectories, in the order in which the main thread was told of them. */
  subdirectorySlots: number[];
  parentTree: BlobId | undefined;
};

/** A directory in which every entry is written in the parent's tree as it would be written now. */
type UnchangedListing = { subdirectories: Subdirectory[]; subdirectorySlots: number[]; files: RawString[]; bytes: number };

/** What must be read, found while listing. */
type FoundFile = { slot: number; name: RawString; sizeBytes: number };

export type DirectoryLaneOptions = {
  root: { fd: number; device: number };
  volume: VolumeStart;
  excludes: Excludes;
  index: BlobIndex;
  blobs: BlobReader;
  sink: BlobSink;
  entries: EntryReader;
  count: Counter;
  kinds: Pick<KindCounter, 'add'>;
  /** Tells which directory the entries that follow are in. */
  enter: (path: RawString) => void;
  problem: (path: RawString, problem: 'unreadable' | 'vanished', message: string) => void;
  warn: (warning: string) => void;
};

export class DirectoryLane {
  private readonly o: DirectoryLaneOptions;
  private readonly open = new Map<number, OpenDirectory>();
  private readonly stat = new Stat();
  /** A directory that holds one of these is left out, but for them. */
  private readonly tagNames: ReadonlySet<RawString>;
  /** Directories in which files are read from somewhere else: nothing of these is taken over unseen. */
  private readonly substituted: ReadonlySet<string>;

  constructor(options: DirectoryLaneOptions) {
    this.o = options;
    this.tagNames = new Set(options.volume.excludeIfPresent.map(rawFromText));
    const substitutes = [...(options.volume.substitutes?.keys() ?? [])];
    this.substituted = new Set(substitutes.map((path) => path.slice(0, Math.max(0, path.lastIndexOf('/')))));
  }

  async list({ directory, path, parentTree }: DirectoryTask): Promise<TaskResult> {
    this.o.enter(path);
    const fd = this.openDirectory(path);
    if (fd < 0) return this.gone(directory, path, fd);
    try {
      const listing = listDirectory(fd);
      if (typeof listing === 'number') return this.gone(directory, path, listing);
      // A restore of a part leaves its marker in that part.
      if (listing.names.includes(restoreMarkerName)) {
        throw new HoldfastError(
          'restore-unfinished',
          `${displayRaw(join(path, restoreMarkerName))}: a restore of this directory was interrupted`,
        );
      }
      const names = this.wanted(fd, path, listing.names.sort());
      const parent = await this.readParent(parentTree);
      const unchanged = parent && this.matchParent(fd, path, names, parent);
      if (unchanged) return this.takeOver(directory, parentTree as BlobId, unchanged);
      // A parent that could not be read is none: nothing of it may be taken over.
      const parents = parent && this.decodeParent(parent);
      return await this.readListing({ directory, path, fd, names, parents: parents ?? [], parentTree: parents && parentTree });
    } finally {
      close(fd);
    }
  }

  /** Files of a directory that this or another lane has listed. */
  async readFiles(directory: number, path: RawString, names: readonly RawString[], slots: readonly number[]): Promise<TaskResult> {
    this.o.enter(path);
    const fd = this.openDirectory(path);
    if (fd < 0) {
      this.gone(directory, path, fd);
      return { result: 'files', directory, files: [] };
    }
    try {
      const files: SavedFile[] = [];
      for (const [i, name] of names.entries()) files.push({ slot: slots[i] as number, node: await this.readFile(fd, name) });
      return { result: 'files', directory, files };
    } finally {
      close(fd);
    }
  }

  async finish({ directory, subtrees, files }: FinishTask): Promise<TaskResult> {
    const open = this.open.get(directory);
    if (open === undefined) throw new HoldfastError('internal', `directory ${directory} was not listed by this lane`);
    this.open.delete(directory);
    const parentTree = open.parentTree as BlobId;
    if ('parentSubtrees' in open.nodes && open.nodes.parentSubtrees.every((subtree, i) => subtree === subtrees[i]))
      return this.saved(directory, parentTree, parentTree);
    const nodes: (TreeNode | undefined)[] =
      'parentSubtrees' in open.nodes ? decodeTree(await this.o.blobs.read('tree', parentTree)) : open.nodes;
    for (const { slot, node } of files) nodes[slot] = node && withBuffers(node);
    for (const [i, slot] of open.subdirectorySlots.entries()) {
      const node = nodes[slot] as TreeNode;
      const subtree = subtrees[i];
      nodes[slot] = subtree === undefined ? undefined : { ...node, subtree };
    }
    return this.saveTree(directory, nodes, open.parentTree);
  }

  private openDirectory(path: RawString): number {
    const flags = O_RDONLY | O_DIRECTORY;
    const fd = openBeneath(this.o.root.fd, path, flags | O_NOATIME);
    return fd === -EPERM ? openBeneath(this.o.root.fd, path, flags) : fd;
  }

  private gone(directory: number, path: RawString, errno: number): TaskResult {
    const name = errnoName(-errno);
    const vanished = name === 'ENOENT' || name === 'ENOTDIR';
    this.o.count(vanished ? 'changedWhileRead' : 'unreadable', 1);
    this.o.problem(path, vanished ? 'vanished' : 'unreadable', vanished ? 'was there in the listing, and is gone' : `cannot list: ${name}`);
    return { result: 'gone', directory };
  }

  /** Takes out what is excluded by what the directory itself holds. */
  private wanted(fd: number, path: RawString, names: RawString[]): RawString[] {
    const tags = this.tagNames.size > 0 ? names.filter((name) => this.tagNames.has(name)) : [];
    if (this.o.volume.excludeCaches && names.includes(cacheDirTagName) && this.hasCacheDirTag(fd)) tags.push(cacheDirTagName);
    if (tags.length > 0) return tags;
    return path === '' ? names.filter((name) => name !== lostAndFound) : names;
  }

  private hasCacheDirTag(fd: number): boolean {
    const tag = openForReading(fd, cacheDirTagName);
    if (tag < 0) return false;
    const head = Buffer.alloc(64);
    const length = pread(tag, head, 0, head.length, 0);
    close(tag);
    return length > 0 && isCacheDirTag(head.subarray(0, length));
  }

  private async readParent(parentTree: BlobId | undefined): Promise<Buffer | undefined> {
    if (parentTree === undefined) return undefined;
    try {
      return await this.o.blobs.read('tree', parentTree);
    } catch (error) {
      return this.withoutParent(error);
    }
  }

  private decodeParent(parent: Buffer): TreeNode[] | undefined {
    try {
      return decodeTree(parent);
    } catch (error) {
      return this.withoutParent(error);
    }
  }

  /** A damaged parent costs time, not data: everything below is read as if it were new. */
  private withoutParent(error: unknown): undefined {
    if (!(error instanceof HoldfastError)) throw error;
    this.o.warn('part of the parent snapshot could not be read; run `holdfast check`');
  }

  /** Looks at all entries, and gives up at the first that is not as it was: most directories don't change. */
  private matchParent(fd: number, path: RawString, names: readonly RawString[], parent: Buffer): UnchangedListing | undefined {
    const { stat } = this;
    const { volume, excludes, root, index } = this.o;
    if (volume.changes.force || this.substituted.has(path)) return undefined;
    const scan = new TreeScan(parent);
    const found: UnchangedListing = { subdirectories: [], subdirectorySlots: [], files: [], bytes: 0 };
    let slot = 0;
    for (const name of names) {
      if (statAt(fd, name, stat) < 0 || stat.device !== root.device) return undefined;
      if (isDistrusted(stat.ctimeSec, volume.changes)) return undefined;
      const node = nodeFromStat(name, stat, volume.withAtime);
      const { type } = node;
      if (type === 'socket' || type === 'irregular' || excludes.excludes(join(path, name), name, type === 'dir')) continue;
      if (!scan.take(node)) return undefined;
      if (type === 'dir') {
        found.subdirectories.push({ name, parentTree: scan.subtree });
        found.subdirectorySlots.push(slot);
      } else if (type === 'file') {
        if (!scan.content.every((id) => index.has(id, 'data'))) return undefined;
        found.files.push(name);
        found.bytes += Number(stat.size);
      }
      slot++;
    }
    return scan.atEnd ? found : undefined;
  }

  private takeOver(
    directory: number,
    parentTree: BlobId,
    { subdirectories, subdirectorySlots, files, bytes }: UnchangedListing,
  ): TaskResult {
    this.o.count('totalFilesProcessed', files.length);
    this.o.count('filesUnmodified', files.length);
    for (const name of files) this.o.kinds.add(name);
    this.o.count('totalBytesProcessed', bytes);
    if (subdirectories.length === 0) return this.saved(directory, parentTree, parentTree);
    const nodes = { parentSubtrees: subdirectories.map((subdirectory) => subdirectory.parentTree) };
    this.open.set(directory, { nodes, subdirectorySlots, parentTree });
    return { result: 'listed', directory, subdirectories, files: [] };
  }

  private async readListing(listing: {
    directory: number;
    path: RawString;
    fd: number;
    names: RawString[];
    parents: TreeNode[];
    parentTree: BlobId | undefined;
  }): Promise<TaskResult> {
    const { directory, path, fd, names, parents, parentTree } = listing;
    const sorted = isSorted(parents);
    const nodes: (TreeNode | undefined)[] = [];
    const subdirectorySlots: number[] = [];
    const subdirectories: Subdirectory[] = [];
    const found: FoundFile[] = [];
    const findParent = sorted ? inOrder(parents) : byName(parents);
    for (const name of names) {
      const parent = findParent(name);
      const slot = nodes.length;
      const node = this.look(fd, path, name, parent);
      if (node === undefined) continue;
      nodes.push(node);
      if (node.type === 'file') this.o.kinds.add(name);
      if (node.type === 'file' && node.content === undefined) {
        found.push({ slot, name, sizeBytes: Number(node.size) });
        nodes[slot] = undefined;
      } else if (node.type === 'dir' && node.subtree === undefined) {
        subdirectorySlots.push(slot);
        subdirectories.push({ name, parentTree: parent?.type === 'dir' ? parent.subtree : undefined });
      }
    }
    const deferred = await this.readInline(fd, nodes, found);
    if (subdirectories.length === 0 && deferred.length === 0) return this.saveTree(directory, nodes, parentTree);
    this.open.set(directory, { nodes, subdirectorySlots, parentTree });
    return { result: 'listed', directory, subdirectories, files: inGroups(deferred) };
  }

  /** An entry as far as it can be known without reading content; a file without content must be read. */
  private look(fd: number, path: RawString, name: RawString, parent: TreeNode | undefined): TreeNode | undefined {
    const { stat } = this;
    const statted = statAt(fd, name, stat);
    if (statted < 0) {
      this.gone(-1, join(path, name), statted);
      return undefined;
    }
    const substitutes = this.substituted.has(path) ? this.o.volume.substitutes : undefined;
    const isSubstituted = substitutes?.has(join(path, name)) === true;
    if (parent !== undefined && !isSubstituted && this.isUnchanged(parent)) {
      if (this.o.excludes.excludes(join(path, name), name, parent.type === 'dir')) return undefined;
      if (parent.type === 'dir') return { ...parent, subtree: undefined };
      this.countUnmodified(parent);
      return parent;
    }
    const node = nodeFromStat(name, stat, this.o.volume.withAtime);
    if (node.type === 'socket' || node.type === 'irregular') return undefined;
    if (this.o.excludes.excludes(join(path, name), name, node.type === 'dir')) return undefined;
    if (node.type === 'file') {
      if (isSubstituted && substitutes?.get(join(path, name)) === undefined) return undefined;
      return this.lookAtFile(fd, node, parent, isSubstituted);
    }
    const complete = this.o.entries.complete(fd, node, parent);
    if (complete?.type === 'dir' && this.o.volume.oneFileSystem && stat.device !== this.o.root.device) {
      // A mount point: the directory is the volume's, what is mounted there isn't.
      complete.subtree = this.o.sink.save('tree', encodeTree([]));
    }
    return complete;
  }

  /** Whether the entry in `stat` is a file or directory of this volume to which nothing has happened since the parent snapshot. */
  private isUnchanged(parent: TreeNode): boolean {
    const { stat } = this;
    const { volume, index, root } = this.o;
    if (volume.changes.force || stat.device !== root.device || !isAsBefore(parent, stat, volume.withAtime)) return false;
    if (parent.type === 'dir') return parent.subtree !== undefined;
    if (isDistrusted(stat.ctimeSec, volume.changes)) return false;
    return parent.type === 'file' && parent.content !== undefined && parent.content.every((id) => index.has(id, 'data'));
  }

  private countUnmodified({ size }: TreeNode): void {
    this.o.count('totalFilesProcessed', 1);
    this.o.count('filesUnmodified', 1);
    this.o.count('totalBytesProcessed', Number(size));
  }

  private lookAtFile(fd: number, node: TreeNode, parent: TreeNode | undefined, mustRead: boolean): TreeNode | undefined {
    const { count, index, volume } = this.o;
    if (mustRead || !contentUnchanged(node, parent, volume.changes) || !(parent.content as BlobId[]).every((id) => index.has(id, 'data'))) {
      count('totalFilesProcessed', 1);
      count(parent?.type === 'file' ? 'filesChanged' : 'filesNew', 1);
      return node;
    }
    this.countUnmodified(node);
    const complete = this.o.entries.complete(fd, node, parent);
    if (complete) complete.content = parent.content;
    return complete;
  }

  /** Reads files until there is enough for other lanes to help. @returns what is left to read. */
  private async readInline(fd: number, nodes: (TreeNode | undefined)[], found: FoundFile[]): Promise<FoundFile[]> {
    let bytes = 0;
    let files = 0;
    const deferred: FoundFile[] = [];
    for (const file of found) {
      bytes += file.sizeBytes;
      files++;
      if (bytes > inlineBytes || files > inlineFiles) {
        if (file.sizeBytes > inlineBytes) bytes -= file.sizeBytes;
        deferred.push(file);
      } else {
        const node = this.o.entries.readFile(fd, file.name);
        nodes[file.slot] = node instanceof Promise ? await node : node;
        if (this.o.sink.full) await this.o.sink.settle();
      }
    }
    return deferred;
  }

  private async readFile(fd: number, name: RawString): Promise<TreeNode | undefined> {
    const node = await this.o.entries.readFile(fd, name);
    if (this.o.sink.full) await this.o.sink.settle();
    return node;
  }

  private async saveTree(directory: number, nodes: readonly (TreeNode | undefined)[], parentTree: BlobId | undefined): Promise<TaskResult> {
    const { sink } = this.o;
    const tree = sink.save('tree', encodeTree(nodes.filter((node) => node !== undefined)));
    if (sink.full) await sink.settle();
    return this.saved(directory, parentTree, tree);
  }

  private saved(directory: number, parentTree: BlobId | undefined, tree: BlobId): TaskResult {
    this.o.count(parentTree === undefined ? 'dirsNew' : parentTree === tree ? 'dirsUnmodified' : 'dirsChanged', 1);
    return { result: 'saved', directory, tree };
  }
}

/** A node that came from another thread, where buffers arrive as plain byte arrays. */
function withBuffers(node: TreeNode): TreeNode {
  if (node.extendedAttributes.length === 0) return node;
  const asBuffer = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { ...node, extendedAttributes: node.extendedAttributes.map(({ name, value }) => ({ name, value: value && asBuffer(value) })) };
}

const cacheDirTagName = 'CACHEDIR.TAG' as RawString;
const lostAndFound = 'lost+found' as RawString;

const join = (path: RawString, name: RawString): RawString => (path === '' ? name : `${path}/${name}`) as RawString;

/** Trees of old writers may be unsorted. */
const isSorted = (nodes: TreeNode[]): boolean => nodes.every((node, i) => i === 0 || (nodes[i - 1] as TreeNode).name < node.name);

/** Finds nodes by name. */
function byName(nodes: TreeNode[]): (name: RawString) => TreeNode | undefined {
  const map = new Map(nodes.map((node) => [node.name, node]));
  return (name) => map.get(name);
}

/** Finds nodes, which are sorted, by names that are asked for in ascending order. */
function inOrder(nodes: TreeNode[]): (name: RawString) => TreeNode | undefined {
  let at = 0;
  return (name) => {
    while (at < nodes.length && (nodes[at] as TreeNode).name < name) at++;
    const node = nodes[at];
    return node?.name === name ? node : undefined;
  };
}

/** Groups that are worth a message each: neither too many files nor too many bytes, big files alone. */
function inGroups(files: FoundFile[]): { names: RawString[]; slots: number[] }[] {
  const groups: { names: RawString[]; slots: number[] }[] = [];
  let bytes = 0;
  for (const { name, slot, sizeBytes } of files) {
    let group = groups[groups.length - 1];
    if (group === undefined || group.names.length >= inlineFiles || bytes + sizeBytes > inlineBytes) {
      group = { names: [], slots: [] };
      groups.push(group);
      bytes = 0;
    }
    group.names.push(name);
    group.slots.push(slot);
    bytes += sizeBytes;
  }
  return groups;
}
