/**
 * The entries of an archive, which anybody can have written, become trees and blobs of a repository; nothing touches the file system. What could
 * lead out of a volume is left out and told.
 */
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { createTreeAssembly, type DirectoryVisit, type TreeAssembly } from '../backup/assemble-trees.ts';
import type { BlobSink } from '../backup/save-blobs.ts';
import type { StreamContent } from '../backup/stream-content.ts';
import type { TarEntry, TarFile } from '../source/tar-entry.ts';
import { nodeOfEntry } from '../source/tar-node.ts';
import { tooLarge } from './archive-input.ts';
import { importedName } from './archive-names.ts';
import { exportFileName } from './export-file.ts';

export type ArchiveTreesOptions = {
  /** Where contents go. */
  content: StreamContent;
  /** Where trees go. */
  sink: BlobSink;
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

/** Of an archive: their metadata takes some 100 bytes each of a temporary file. */
const maxEntries = 20_000_000;
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
  private readonly assembly: TreeAssembly;
  private entries = 0;
  private bytes = 0;
  private files = 0;
  private newestMs: number | undefined;
  private rootNode: TreeNode | undefined;
  private exportFile: string | undefined;
  private readonly saved = new Map<RawString, SavedDirectory>();
  /** How many directories of each kind of depth there were. */
  private readonly remembered: number[] = [];

  constructor(options: ArchiveTreesOptions) {
    this.o = options;
    const { onLeftOut, onChanged } = options;
    this.assembly = createTreeAssembly({
      lost: (path) => onLeftOut(path, 'is a hard link to something that is not in the archive, or was left out'),
      misplaced: (path) => onLeftOut(path, 'lies below something that is no directory'),
      contrary: (path) => onLeftOut(path, 'is in the archive as a directory and as something else, of which the directory is taken'),
      repeated: () => onChanged('entries were there more than once, of which the last is taken'),
    });
  }

  /** How many files were taken so far. */
  get filesDone(): number {
    return this.files;
  }

  /** @throws `archive-too-large`; what the entry's content and the sink throw; `interrupted`. */
  async take(entry: TarEntry): Promise<void> {
    if (this.o.signal.aborted) throw new HoldfastError('interrupted', 'interrupted');
    if (++this.entries > maxEntries) throw tooManyEntries();
    const clean = importedName(entry.path);
    if ('refused' in clean) return this.o.onLeftOut(entry.path, clean.refused);
    if (clean.wasAbsolute) this.o.onChanged('names began with a slash, which is left out');
    const { path } = clean;
    if (path === '') {
      if (entry.type === 'dir') this.rootNode = nodeOfEntry(entry, path);
      return;
    }
    const refusal = this.refusalOf(entry);
    if (refusal !== undefined) return this.o.onLeftOut(path, refusal);
    this.noteTime(entry, path);
    if (entry.type === 'link') return this.takeLink(path, entry.target);
    const node = nodeOfEntry(this.withinLimits(entry), path);
    if (entry.type === 'file') await this.takeContent(node, path, entry);
    else await this.o.content.after(() => this.assembly.add(path, node));
  }

  /** Saves the trees. Once, after the last entry. */
  async finish(): Promise<SavedArchive> {
    await this.o.content.settle();
    await this.assembly.finish(this.visit('' as RawString, undefined));
    const { exportFile, newestMs, saved } = this;
    const root = saved.get('' as RawString);
    if (root !== undefined) root.node = this.rootNode;
    return { directories: saved, newestEntryMs: newestMs, exportFile };
  }

  private refusalOf(entry: TarEntry): string | undefined {
    if ((entry.type === 'dev' || entry.type === 'chardev') && !this.o.devices) return 'is a device node (--devices takes them over)';
    if (entry.type !== 'symlink') return undefined;
    const { target } = entry;
    return target === '' || target.length > maxTargetBytes || target.includes('\0')
      ? 'is a symlink to what can be nobody’s name'
      : undefined;
  }

  private noteTime({ mtimeSec, mtimeNsec }: TarEntry, path: RawString): void {
    const ms = mtimeSec * 1000 + Math.floor(mtimeNsec / 1e6);
    if (ms <= this.o.nowMs && path !== exportFileName && ms > (this.newestMs ?? Number.NEGATIVE_INFINITY)) this.newestMs = ms;
  }

  private async takeLink(path: RawString, name: RawString): Promise<void> {
    const target = importedName(name);
    if ('refused' in target || target.path === '' || target.path === path) {
      return this.o.onLeftOut(path, 'is a hard link to something outside of the archive');
    }
    const { path: first } = target;
    await this.o.content.after(() => this.assembly.link(path, first));
  }

  private withinLimits<Entry extends TarEntry>(entry: Entry): Entry {
    const bytes = entry.attributes.reduce((sum, { name, value }) => sum + name.length + (value?.length ?? 0), 0);
    if (bytes <= maxAttributeBytes) return entry;
    this.o.onChanged('entries have more extended attributes than a file system takes, which are left out');
    return { ...entry, attributes: [] };
  }

  private async takeContent(node: TreeNode, path: RawString, entry: TarFile): Promise<void> {
    this.bytes += entry.sizeBytes;
    if (this.bytes > this.o.maxBytes) throw tooLarge(this.o.maxBytes);
    const parts: Buffer[] = [];
    const isExportFile = path === exportFileName && entry.sizeBytes <= maxExportFileBytes;
    await this.o.content.save(isExportFile ? remembering(entry.content, parts) : entry.content, (content, sizeBytes) => {
      this.assembly.add(path, { ...node, content, size: sizeBytes });
    });
    if (isExportFile) this.exportFile = Buffer.concat(parts).toString('utf8');
    this.files++;
  }

  private visit(path: RawString, parent: Totals | undefined): DirectoryVisit {
    const { sink } = this.o;
    const at = (name: RawString) => (path === '' ? name : `${path}/${name}`) as RawString;
    const totals: Totals = { files: 0, bytes: 0, directories: 0 };
    const directories: RawString[] = [];
    const others: RawString[] = [];
    let impliedName: RawString | undefined;
    return {
      keeps: () => true,
      child: async (name) => this.visit(at(name), totals),
      implied: (name) => {
        impliedName = name;
        return impliedDirectory(at(name));
      },
      entry: (node) => {
        const { name, type, size } = node;
        if (type === 'file') {
          totals.files++;
          totals.bytes += Number(size);
        }
        const child = type === 'dir' ? this.saved.get(at(name)) : undefined;
        if (child !== undefined) {
          directories.push(name);
          if (name !== impliedName) child.node = node;
        } else if (type !== 'dir' && others.length < maxOthers) others.push(name);
      },
      save: async (bytes) => {
        const tree = sink.save('tree', bytes);
        if (sink.full) await sink.settle();
        totals.directories++;
        if (parent !== undefined) {
          parent.files += totals.files;
          parent.bytes += totals.bytes;
          parent.directories += totals.directories;
        }
        if (this.isRemembered(path)) this.saved.set(path, { tree, node: undefined, totals, directories, others });
        return tree;
      },
    };
  }

  /** Lets go what was held; in any case. */
  close(): void {
    this.assembly.close();
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
}

/** A directory that only paths below it speak of. */
export function impliedDirectory(path: RawString): TreeNode {
  const metadata = { mode: 0o755, uid: 0, gid: 0, user: '', group: '', mtimeSec: 0, mtimeNsec: 0, attributes: [] };
  return nodeOfEntry({ ...metadata, type: 'dir', path }, path);
}

const tooManyEntries = (): HoldfastError =>
  new HoldfastError('archive-too-large', `the archive has more than ${maxEntries} entries`, {
    remedy: 'unpack it, and back up the directory with `holdfast backup`',
  });

async function* remembering(content: AsyncIterable<Uint8Array>, parts: Buffer[]): AsyncGenerator<Uint8Array> {
  for await (const piece of content) {
    parts.push(Buffer.from(piece));
    yield piece;
  }
}
