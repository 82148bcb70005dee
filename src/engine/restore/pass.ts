/** One walk over a snapshot, depth first, that decides for each entry what is to be done with what is there. */
import { setImmediate } from 'node:timers/promises';
import { decodeTree } from '../../format/tree.ts';
import { HoldfastError, isOfContent, isOfMedium } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { BlobReader } from '../../repository/blob-reader.ts';
import { listDirectory } from '../source/posix-list.ts';
import { Comparer } from './comparer.ts';
import { type PassContext, pathIn, refused } from './context.ts';
import type { Directory } from './directories.ts';
import { EntryRestorer } from './entries.ts';
import { FileRestorer } from './files.ts';
import { LinkGroups } from './links.ts';
import { isTemporaryName, restoreMarkerName } from './marker.ts';
import { removeEntry } from './remove.ts';
import { Writer } from './writer.ts';

/** Deeper than any directory tree that people make; a bound for hostile ones. */
const maxDepth = 10_000;
/** Descriptors that may be open: well below the usual limit of 1024 beside what the rest of the process needs. */
const maxOpenDirectories = 500;
const maxOpenFiles = 100;
/** How long the walk may keep the main thread from hearing its lanes. */
const turnMs = 8;
const entriesBetweenChecks = 64;

type Frame = {
  directory: Directory;
  tree: BlobId;
  /** Each is dropped when it is done, so that memory follows the path, not the tree. */
  nodes: (TreeNode | undefined)[];
  next: number;
  /** What was there before; undefined when the directory was made by this restore. */
  there: Set<RawString> | undefined;
};

export class Pass {
  private readonly context: PassContext;
  private readonly blobs: BlobReader;
  private readonly writer: Writer;
  private readonly comparer: Comparer;
  private readonly entries: EntryRestorer;
  private readonly frames: Frame[] = [];
  private turnStartMs = performance.now();

  constructor(context: PassContext, blobs: BlobReader) {
    this.context = context;
    this.blobs = blobs;
    this.writer = new Writer(context);
    this.comparer = new Comparer(context);
    const links = new LinkGroups();
    this.entries = new EntryRestorer(context, links, new FileRestorer(context, links, this.writer, this.comparer));
  }

  /**
   * Restores the content of a tree into an open directory, which stays held.
   * @throws what ends the whole restore: `interrupted`, `target-full`, `target-unwritable`, `storage`; `damaged` when the root's tree cannot be read.
   */
  async run(root: Directory, tree: BlobId): Promise<void> {
    await this.runNodes(root, tree, decodeTree(await this.blobs.read('tree', tree)));
  }

  /** Restores entries into an open directory; nothing else that is in it is touched when `tree` is undefined. */
  async runNodes(root: Directory, tree: BlobId | undefined, nodes: TreeNode[]): Promise<void> {
    this.context.directories.hold(root);
    this.enter(root, tree ?? ('' as BlobId), nodes, tree !== undefined);
    for (let steps = 1; this.frames.length > 0; steps++) {
      if (steps % entriesBetweenChecks === 0) await this.breathe();
      await this.step(this.frames.at(-1) as Frame);
    }
    await this.settle();
  }

  /** Closes what is open after a failure. Only when no lane works any more. */
  abandon(): void {
    this.writer.abandon();
    this.comparer.abandon();
  }

  private enter(directory: Directory, tree: BlobId, nodes: TreeNode[], whole = true): void {
    const frame: Frame = { directory, tree, nodes, next: 0, there: undefined };
    if (!directory.fresh && directory.fd >= 0) frame.there = this.listExisting(directory, nodes, whole);
    if (this.context.mode !== 'verify') this.context.tally.counts.dirsTotal++;
    this.frames.push(frame);
  }

  /** The names in a directory, less what was removed from it. */
  private listExisting(directory: Directory, nodes: readonly TreeNode[], whole: boolean): Set<RawString> {
    const { mode, options, resumed } = this.context;
    const listing = listDirectory(this.context.directories.fdOf(directory));
    if (typeof listing === 'number') {
      refused(this.context, listing, directory.path, 'list it');
      return new Set();
    }
    const there = new Set(listing.names);
    if (mode === 'verify' || !whole) return there;
    const wanted = new Set<RawString>(nodes.map((node) => node.name));
    for (const name of listing.names) {
      if (wanted.has(name) || (directory.path === '' && name === restoreMarkerName)) continue;
      if (options.delete) this.remove(directory, name);
      else if (resumed && isTemporaryName(name) && mode === 'write') removeEntry(directory.fd, name, name, directory.device, true);
    }
    return there;
  }

  private remove(directory: Directory, name: RawString): void {
    const { tally, mode } = this.context;
    const { removed, failures } = removeEntry(directory.fd, name, pathIn(directory, name), directory.device, mode === 'write');
    tally.counts.entriesDeleted += removed;
    for (const { path, message } of failures) tally.problem(path, 'unwritable', message);
  }

  private async step(frame: Frame): Promise<void> {
    const node = frame.nodes[frame.next];
    if (node === undefined) {
      this.frames.pop();
      this.context.directories.release(frame.directory);
      return;
    }
    frame.nodes[frame.next++] = undefined;
    if (frame.directory.path === '' && node.name === restoreMarkerName) return;
    const exists = frame.there?.has(node.name) ?? false;
    if (node.type === 'dir') await this.descend(frame.directory, node, exists);
    else this.entries.restore(frame.directory, node, exists);
  }

  private async descend(parent: Directory, node: TreeNode, exists: boolean): Promise<void> {
    const nodes = await this.readSubtree(parent, node);
    if (nodes === undefined) return;
    const directory = this.entries.openDirectory(parent, node, exists);
    if (directory !== undefined) this.enter(directory, node.subtree as BlobId, nodes);
  }

  /** The entries of a subdirectory, or undefined when they cannot be had, which is reported: what is there is left alone then. */
  private async readSubtree(parent: Directory, node: TreeNode): Promise<TreeNode[] | undefined> {
    const { tally, mode } = this.context;
    const path = pathIn(parent, node.name);
    const refuse = (message: string) => {
      if (mode !== 'verify') tally.problem(path, 'damaged', `the directory is not restored: ${message}`);
      return undefined;
    };
    const { subtree } = node;
    if (subtree === undefined) return refuse('it has no tree');
    if (this.frames.length >= maxDepth) return refuse('too many directories inside each other');
    if (this.frames.some((frame) => frame.tree === subtree)) return refuse('it contains itself');
    try {
      return decodeTree(await this.blobs.read('tree', subtree));
    } catch (error) {
      if (!(error instanceof HoldfastError) || !(isOfContent(error) || isOfMedium(error))) throw error;
      return refuse(error.message);
    }
  }

  /** Lets lanes report, keeps what is open and waiting within bounds, and notices when to stop. */
  private async breathe(): Promise<void> {
    const { dispatcher, directories, options, tally } = this.context;
    if (performance.now() - this.turnStartMs > turnMs) {
      await setImmediate();
      this.turnStartMs = performance.now();
    }
    if (options.signal.aborted) throw new HoldfastError('interrupted', 'the restore was interrupted', { volume: options.volume });
    await dispatcher.room();
    if (directories.openCount > maxOpenDirectories || this.writer.openFiles + this.comparer.openFiles > maxOpenFiles) {
      await this.settle();
      const top = this.frames.at(-1);
      if (top !== undefined) directories.closeIdle(top.directory);
    }
    tally.progress();
  }

  /** Waits until nothing is under way: what comparisons found is written, too. */
  private async settle(): Promise<void> {
    const { dispatcher, options, tally } = this.context;
    while (dispatcher.busy || !this.writer.isIdle || !this.comparer.isIdle) {
      if (options.signal.aborted) throw new HoldfastError('interrupted', 'the restore was interrupted', { volume: options.volume });
      this.comparer.flush();
      this.writer.flush();
      await dispatcher.change();
      tally.progress();
    }
  }
}
