/**
 * The entries of an archive, which anybody can have written, become trees and blobs of a repository; nothing touches the file system. What could
 * lead out of a volume is left out and told. Memory: some 150 bytes an entry, and what the tree assembly holds.
 */
import { createChunker } from '../../format/kernel/chunker.ts';
import { decodeTree } from '../../format/tree.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { createTreeAssembly, type DirectoryVisit } from '../backup/assemble-trees.ts';
import type { BlobSink } from '../backup/save-blobs.ts';
import { createContentSaver } from '../backup/stream-content.ts';
import type { TarReadEntry } from '../source/tar-read.ts';
import { tooLarge } from './archive-input.ts';
import { cleanName, parentOf } from './archive-names.ts';
import { impliedDirectory, nodeOfEntry, pathNumber } from './archive-node.ts';
import { exportFileName } from './export-file.ts';

export type ArchiveTreesOptions = {
  sink: BlobSink;
  chunkerPolynomial: bigint;
  /** Of all files together, holes included. */
  maxBytes: number;
  /** Whether device nodes are taken over. */
  devices: boolean;
  /** Directories, relative to the archive's root, that will be asked for whatever their depth. */
  wanted: ReadonlySet<RawString>;
  nowMs: number;
  /** Something is not taken over, and why. The path may be a name as it stands in the archive. */
  onLeftOut(path: RawString, why: string): void;
  /** A kind of thing that is taken over, but not as it stands there. */
  onChanged(what: string): void;
  onBytes(bytes: number): void;
  signal: AbortSignal;
};

export type Totals = { files: number; bytes: number; directories: number };

/** A directory whose tree is saved. */
export type SavedDirectory = {
  tree: BlobId;
  /** Its own metadata; undefined when only paths below it speak of it. */
  node: TreeNode | undefined;
  /** Of all that is below it. */
  totals: Totals;
  directories: RawString[];
  /** The names of all else, the first few thousand of them. */
  others: RawString[];
};

export type SavedArchive = {
  /** Directories near the root, and those that were wanted, by path. */
  directories: ReadonlyMap<RawString, SavedDirectory>;
  newestEntryMs: number | undefined;
  /** What the file at the beginning of an exported archive says, if it is one. */
  exportFile: string | undefined;
};

const maxEntries = 4_000_000;
/** Directories at these depths are remembered, so many of each: volumes are among the first, the others help to tell how they lie. */
const rememberedDepths = [
  { depth: 2, most: 50_000 },
  { depth: 5, most: 50_000 },
];
const maxOthers = 5000;
const maxExportFileBytes = 1024 * 1024;
/** Of one entry: Linux takes 64 KiB an attribute, and most file systems less for all together. */
const maxAttributeBytes = 128 * 1024;
const maxTargetBytes = 4095;

export class ArchiveTrees {
  private readonly o: ArchiveTreesOptions;
  private readonly assembly = createTreeAssembly();
  private readonly saveContent: ReturnType<typeof createContentSaver>;
  /** What is known of paths, by their numbers: paths themselves would take too much memory. */
  private readonly isDirectory = new Set<number>();
  private readonly isOther = new Set<number>();
  private lastParent = '' as RawString;
  private bytes = 0;
  private files = 0;
  private newestMs: number | undefined;
  private rootNode: TreeNode | undefined;
  private exportFile: string | undefined;
  private readonly saved = new Map<RawString, SavedDirectory>();
  private readonly implied = new Set<RawString>();
  /** How many directories of each kind of depth there were. */
  private readonly remembered: number[] = [];

  constructor(options: ArchiveTreesOptions) {
    this.o = options;
    const { sink, chunkerPolynomial, signal, onBytes } = options;
    this.saveContent = createContentSaver({ chunker: createChunker(chunkerPolynomial), sink, onBytes, stopped: () => signal.aborted });
  }

  /** How many files were taken so far. */
  get filesDone(): number {
    return this.files;
  }

  /** @throws `archive-too-large`; what the entry's content and the sink throw; `interrupted`. */
  async take(entry: TarReadEntry): Promise<void> {
    if (this.o.signal.aborted) throw new HoldfastError('interrupted', 'interrupted');
    const clean = cleanName(entry.path);
    if ('refused' in clean) return this.o.onLeftOut(entry.path, clean.refused);
    if (clean.wasAbsolute) this.o.onChanged('names began with a slash, which is left out');
    const { path } = clean;
    if (path === '') {
      if (entry.type === 'dir') this.rootNode = nodeOfEntry(entry, path);
      return;
    }
    const refusal = this.refusalOf(entry) ?? this.enter(path, entry.type === 'dir');
    if (refusal !== undefined) return this.o.onLeftOut(path, refusal);
    this.noteTime(entry, path);
    if (entry.type === 'link') return this.takeLink(path, entry);
    const node = nodeOfEntry(this.withinLimits(entry), path);
    if (entry.type === 'file') await this.takeContent(node, path, entry);
    this.assembly.add(path, node);
  }

  /** Saves the trees. Once, after the last entry. */
  async finish(): Promise<SavedArchive> {
    await this.assembly.finish(this.visit('' as RawString, undefined));
    const { exportFile, newestMs, saved } = this;
    const root = saved.get('' as RawString);
    if (root !== undefined) root.node = this.rootNode;
    return { directories: saved, newestEntryMs: newestMs, exportFile };
  }

  private refusalOf(entry: TarReadEntry): string | undefined {
    if ((entry.type === 'dev' || entry.type === 'chardev') && !this.o.devices) return 'is a device node (--devices takes them over)';
    if (entry.type !== 'symlink') return undefined;
    const { target } = entry;
    return target === '' || target.length > maxTargetBytes || target.includes('\0')
      ? 'is a symlink to what can be nobody’s name'
      : undefined;
  }

  /** Takes note of a path; undefined, or why it can't be one. */
  private enter(path: RawString, isDirectory: boolean): string | undefined {
    const refusal = this.enterParents(parentOf(path));
    if (refusal !== undefined) return refusal;
    const number = pathNumber(path);
    const [same, contrary] = isDirectory ? [this.isDirectory, this.isOther] : [this.isOther, this.isDirectory];
    if (contrary.has(number)) return 'is in the archive as a directory and as something else, of which the first is taken';
    if (same.has(number) && !isDirectory) this.o.onChanged('entries were there more than once, of which the last is taken');
    same.add(number);
    if (this.isDirectory.size + this.isOther.size > maxEntries) {
      throw new HoldfastError('archive-too-large', `the archive has more than ${maxEntries} entries`, {
        remedy: 'unpack it, and back up the directory with `holdfast backup`',
      });
    }
    return undefined;
  }

  private enterParents(parent: RawString): string | undefined {
    if (parent === '' || parent === this.lastParent) return undefined;
    for (let end = parent.indexOf('/'); ; end = parent.indexOf('/', end + 1)) {
      const number = pathNumber(end < 0 ? parent : (parent.slice(0, end) as RawString));
      if (this.isOther.has(number)) return 'lies below something that is no directory';
      this.isDirectory.add(number);
      if (end < 0) break;
    }
    this.lastParent = parent;
    return undefined;
  }

  private noteTime({ mtimeSec, mtimeNsec }: TarReadEntry, path: RawString): void {
    const ms = mtimeSec * 1000 + Math.floor(mtimeNsec / 1e6);
    if (ms <= this.o.nowMs && path !== exportFileName && ms > (this.newestMs ?? Number.NEGATIVE_INFINITY)) this.newestMs = ms;
  }

  private takeLink(path: RawString, entry: TarReadEntry): void {
    const target = cleanName(entry.target);
    if ('refused' in target || target.path === '' || target.path === path) {
      return this.o.onLeftOut(path, 'is a hard link to something outside of the archive');
    }
    this.assembly.link(path, target.path);
  }

  private withinLimits(entry: TarReadEntry): TarReadEntry {
    const bytes = entry.attributes.reduce((sum, { name, value }) => sum + name.length + (value?.length ?? 0), 0);
    if (bytes <= maxAttributeBytes) return entry;
    this.o.onChanged('entries have more extended attributes than a file system takes, which are left out');
    return { ...entry, attributes: [] };
  }

  private async takeContent(node: TreeNode, path: RawString, entry: TarReadEntry): Promise<void> {
    this.bytes += entry.sizeBytes;
    if (this.bytes > this.o.maxBytes) throw tooLarge(this.o.maxBytes);
    const parts: Buffer[] = [];
    const isExportFile = path === exportFileName && entry.sizeBytes <= maxExportFileBytes;
    const { content, sizeBytes } = await this.saveContent(isExportFile ? remembering(entry.content, parts) : entry.content);
    if (isExportFile) this.exportFile = Buffer.concat(parts).toString('utf8');
    node.content = content;
    node.size = sizeBytes;
    this.files++;
  }

  private visit(path: RawString, parent: Totals | undefined): DirectoryVisit {
    const { sink, onLeftOut } = this.o;
    const at = (name: RawString) => (path === '' ? name : `${path}/${name}`) as RawString;
    const totals: Totals = { files: 0, bytes: 0, directories: 0 };
    return {
      keeps: () => () => true,
      child: async (name) => this.visit(at(name), totals),
      implied: (name) => {
        const child = at(name);
        if (this.saved.has(child)) this.implied.add(child);
        return impliedDirectory(child);
      },
      file: (node) => {
        totals.files++;
        totals.bytes += Number(node.size);
      },
      lost: (name) => onLeftOut(at(name), 'is a hard link to something that is not in the archive, or was left out'),
      save: async (bytes) => {
        const tree = sink.save('tree', bytes);
        if (sink.full) await sink.settle();
        totals.directories++;
        if (parent !== undefined) {
          parent.files += totals.files;
          parent.bytes += totals.bytes;
          parent.directories += totals.directories;
        }
        if (this.isRemembered(path)) this.remember(path, { tree, totals, bytes }, at);
        return tree;
      },
    };
  }

  private isRemembered(path: RawString): boolean {
    if (this.o.wanted.has(path) || path === '') return true;
    const depth = path.split('/').length;
    const kind = rememberedDepths.findIndex((known) => depth <= known.depth);
    if (kind < 0) return false;
    const count = (this.remembered[kind] ?? 0) + 1;
    this.remembered[kind] = count;
    return count <= (rememberedDepths[kind]?.most ?? 0);
  }

  /** Subdirectories were saved before: they get their metadata from the tree that they are in. */
  private remember(
    path: RawString,
    { tree, totals, bytes }: { tree: BlobId; totals: Totals; bytes: Buffer },
    at: (name: RawString) => RawString,
  ): void {
    const directories: RawString[] = [];
    const others: RawString[] = [];
    for (const node of decodeTree(bytes)) {
      if (node.type !== 'dir') {
        if (others.length < maxOthers) others.push(node.name);
        continue;
      }
      const child = this.saved.get(at(node.name));
      if (child === undefined) continue;
      directories.push(node.name);
      if (!this.implied.has(at(node.name))) child.node = node;
    }
    this.saved.set(path, { tree, node: undefined, totals, directories, others });
  }
}

async function* remembering(content: AsyncIterable<Buffer>, parts: Buffer[]): AsyncGenerator<Buffer> {
  for await (const piece of content) {
    parts.push(Buffer.from(piece));
    yield piece;
  }
}
