/**
 * Reads a volume that arrives as a tar stream: the main thread reads and cuts, lanes save the contents. Its trees are those of a walk but for what a tar stream can't tell: inode
 * numbers (made of the path, the same in every backup), the device, the ctime (the mtime instead), and whether files changed meanwhile.
 */
import { createChunker } from '../../format/kernel/chunker.ts';
import { decodeTree } from '../../format/tree.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { FileProblem } from '../../model/events.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { displayRaw, type RawString, rawFromText } from '../../model/raw-bytes.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { type BlobReader, createBlobReader } from '../../repository/blob-reader.ts';
import type { Repository } from '../../repository/repository.ts';
import { restoreMarkerName } from '../restore/marker.ts';
import { compileExcludes, isCacheDirTag } from '../source/excludes.ts';
import type { TarEntry, TarFile } from '../source/tar-entry.ts';
import { cleanName, nameOf, parentOf } from '../source/tar-names.ts';
import { inodeOfPath, nodeOfEntry } from '../source/tar-node.ts';
import { readTar } from '../source/tar-read.ts';
import { createTreeAssembly, type DirectoryVisit, type TreeAssembly } from './assemble-trees.ts';
import type { Counter } from './counters.ts';
import type { KindCounter } from './kind-counter.ts';
import { LaneBlobs } from './lane-blobs.ts';
import type { VolumeStart } from './messages.ts';
import type { Root } from './root.ts';
import { createBlobSink } from './save-blobs.ts';
import type { StoringRun } from './storing-run.ts';
import { StreamContent } from './stream-content.ts';

export type VolumeStream = {
  /** What it comes from, for people: `a helper container`. */
  through: string;
  /** Entries below `./`, the first of them the volume's root. Called once. */
  read(signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  /** Paths, without leading slash, at which something else is mounted: directories whose content isn't the volume's. */
  mountedInside: readonly string[];
};

export type StreamOptions = {
  name: string;
  volume: Omit<VolumeStart, 'root' | 'oneFileSystem' | 'withAtime' | 'changes'>;
  stream: VolumeStream;
  repository: Repository;
  index: BlobIndex;
  run: StoringRun;
  /** Tree of the snapshot to count changes against. */
  parentTree: BlobId | undefined;
  count: Counter;
  kinds: Pick<KindCounter, 'add'>;
  onProblem(path: RawString, problem: FileProblem, message: string): void;
  onWarning(warning: string): void;
  signal: AbortSignal;
};

/**
 * @throws `volume-unreadable` when the stream is cut, damaged or holds no root; `restore-unfinished`; what the stream, the signal and the
 * storage throw.
 */
export async function readStreamedVolume(options: StreamOptions): Promise<{ root: Root; tree: BlobId }> {
  const volume = new StreamedVolume(options);
  try {
    return await volume.read();
  } catch (error) {
    throw error instanceof HoldfastError ? ofVolume(options, error) : error;
  } finally {
    volume.close();
  }
}

/** What is said of an archive is said of the volume. */
function ofVolume({ name, stream }: StreamOptions, error: HoldfastError): HoldfastError {
  const { code, message, remedy } = error;
  if (code === 'archive-damaged') {
    const what = `volume ${name}: its stream through ${stream.through} is no whole archive: ${message}`;
    const advice = 'back it up again; if files shrink or vanish while they are read, stop or pause what writes them';
    return new HoldfastError('volume-unreadable', what, { volume: name, cause: error, remedy: advice });
  }
  if (code !== 'archive-too-large') return error;
  return new HoldfastError('volume-unreadable', `volume ${name}: ${message}`, { volume: name, cause: error, remedy });
}

/** Files shorter than this may be a CACHEDIR.TAG. */
const tagBytes = 64;
const cacheDirTagName = 'CACHEDIR.TAG' as RawString;
const lostAndFound = 'lost+found' as RawString;

class StreamedVolume {
  private readonly o: StreamOptions;
  private readonly assembly: TreeAssembly;
  private readonly excludes: ReturnType<typeof compileExcludes>;
  private readonly sink: ReturnType<typeof createBlobSink>;
  private readonly content: StreamContent;
  private readonly blobs: BlobReader;
  private readonly mountedInside: readonly RawString[];
  /** Directories of which only tags are kept, and which those are. */
  private readonly tagged = new Map<RawString, Set<RawString>>();
  private readonly tagNames: ReadonlySet<RawString>;
  private root: TreeNode | undefined;
  private entries = 0;

  constructor(options: StreamOptions) {
    this.o = options;
    const { repository, index, volume, run, count, signal, stream } = options;
    const { storage, seal, config } = repository;
    this.excludes = compileExcludes(volume.excludes);
    this.tagNames = new Set(volume.excludeIfPresent.map(rawFromText));
    const unreadable = (path: RawString, message: string) => {
      count('unreadable', 1);
      options.onProblem(path, 'unreadable', message);
    };
    this.assembly = createTreeAssembly({
      lost: (path, target) => unreadable(path, `is another name of ${displayRaw(target)}, which is excluded or not in the stream`),
      misplaced: (path) => unreadable(path, 'lies in the stream below something that is no directory'),
      contrary: (path) => unreadable(path, 'is in the stream as a directory, which is taken, and as something else'),
      repeated: () => undefined,
    });
    this.sink = createBlobSink(index, run.packs(), count);
    this.content = new StreamContent({
      chunker: createChunker(config.chunkerPolynomial),
      blobs: new LaneBlobs(run.lanes),
      onBytes: (bytes) => count('totalBytesProcessed', bytes),
      stopped: () => signal.aborted,
    });
    this.blobs = createBlobReader({ storage, seal, index, windows: 4, reuse: true });
    this.mountedInside = stream.mountedInside.map(rawFromText);
  }

  async read(): Promise<{ root: Root; tree: BlobId }> {
    const { name, stream, signal } = this.o;
    for await (const entry of readTar(await stream.read(signal), (what) => this.o.onWarning(what))) {
      if (signal.aborted) throw new HoldfastError('interrupted', 'interrupted');
      await this.take(entry);
    }
    if (this.root === undefined) {
      throw new HoldfastError('volume-unreadable', `volume ${name}: its stream through ${stream.through} holds no directory`, {
        volume: name,
      });
    }
    await this.content.settle();
    const tree = await this.assembly.finish(await this.visit('' as RawString, this.o.parentTree));
    return { root: { node: { ...this.root, name: rawFromText(name) }, empty: this.entries === 0, warnings: [] }, tree };
  }

  close(): void {
    this.assembly.close();
  }

  private async take(entry: TarEntry): Promise<void> {
    const path = pathInVolume(entry.path);
    if (path === undefined) return this.o.onProblem(entry.path, 'unreadable', 'has a name that leads out of the volume');
    if (path === '') {
      if (entry.type === 'dir') this.root ??= nodeOfEntry(entry, path);
      return;
    }
    const name = nameOf(path);
    if (name === restoreMarkerName) {
      throw new HoldfastError('restore-unfinished', `volume ${this.o.name} holds an unfinished restore (${displayRaw(path)})`, {
        volume: this.o.name,
      });
    }
    if (path === lostAndFound || path.startsWith(`${lostAndFound}/`) || this.isForeign(path)) return;
    this.entries++;
    if (this.isExcluded(path, entry.type === 'dir')) return;
    if (this.tagNames.has(name)) this.noteTag(path);
    if (entry.type === 'link') return this.takeLink(path, entry.target);
    const node = nodeOfEntry(entry, path);
    if (entry.type === 'file') await this.readContent(node, path, entry);
    else await this.content.after(() => this.assembly.add(path, node));
  }

  private noteTag(path: RawString): void {
    const directory = parentOf(path);
    const tags = this.tagged.get(directory);
    if (tags === undefined) this.tagged.set(directory, new Set([nameOf(path)]));
    else tags.add(nameOf(path));
  }

  private async takeLink(path: RawString, name: RawString): Promise<void> {
    const target = pathInVolume(name);
    if (target === undefined || target === '') return this.o.onProblem(path, 'unreadable', 'is a hard link to nothing in the volume');
    this.o.count('totalFilesProcessed', 1);
    await this.content.after(() => this.assembly.link(path, target));
  }

  private async readContent(node: TreeNode, path: RawString, entry: TarFile): Promise<void> {
    this.o.count('totalFilesProcessed', 1);
    const isTag = this.o.volume.excludeCaches && node.name === cacheDirTagName;
    const head: Buffer[] = [];
    await this.content.save(isTag ? remembering(entry.content, head) : entry.content, (content, sizeBytes) => {
      this.assembly.add(path, { ...node, content, size: sizeBytes });
    });
    if (isTag && isCacheDirTag(Buffer.concat(head))) this.noteTag(path);
  }

  private isForeign = (path: RawString): boolean => this.mountedInside.some((mounted) => path.startsWith(`${mounted}/`));

  /** By itself, or with a directory above it. */
  private isExcluded(path: RawString, isDirectory: boolean): boolean {
    for (let cut = path.indexOf('/'); cut >= 0; cut = path.indexOf('/', cut + 1)) {
      const above = path.slice(0, cut) as RawString;
      if (this.excludes.excludes(above, nameOf(above), true)) return true;
    }
    return this.excludes.excludes(path, nameOf(path), isDirectory);
  }

  private async parentNodes(tree: BlobId | undefined): Promise<Map<RawString, TreeNode>> {
    if (tree === undefined) return new Map();
    try {
      return new Map(decodeTree(await this.blobs.read('tree', tree)).map((node) => [node.name, node]));
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      this.o.onWarning('part of the parent snapshot could not be read; run `holdfast check`');
      return new Map();
    }
  }

  /** How a directory is saved: what is excluded by what it holds is left out, and it is compared with the parent snapshot's. */
  private async visit(path: RawString, parentTree: BlobId | undefined): Promise<DirectoryVisit> {
    const { count, kinds } = this.o;
    const parents = await this.parentNodes(parentTree);
    const at = (name: RawString) => (path === '' ? name : `${path}/${name}`) as RawString;
    const tags = this.tagged.get(path);
    return {
      keeps: (name) => tags === undefined || tags.has(name),
      child: (name) => {
        const parent = parents.get(name);
        return this.visit(at(name), parent?.type === 'dir' ? parent.subtree : undefined);
      },
      implied: (name) => ({ ...(this.root as TreeNode), name, inode: inodeOfPath(at(name)) }),
      entry: (node) => {
        if (node.type !== 'file') return;
        count(changeOf(node, parents.get(node.name)), 1);
        kinds.add(node.name);
      },
      save: async (tree) => {
        const id = this.sink.save('tree', tree);
        if (this.sink.full) await this.sink.settle();
        count(parentTree === undefined ? 'dirsNew' : parentTree === id ? 'dirsUnmodified' : 'dirsChanged', 1);
        return id;
      },
    };
  }
}

function changeOf(node: TreeNode, parent: TreeNode | undefined): 'filesNew' | 'filesChanged' | 'filesUnmodified' {
  if (parent?.type !== 'file') return 'filesNew';
  const [now, before] = [node.content ?? [], parent.content ?? []];
  const same = node.mtime === parent.mtime && now.length === before.length && now.every((id, i) => id === before[i]);
  return same ? 'filesUnmodified' : 'filesChanged';
}

/** Undefined when it leads out. */
function pathInVolume(name: RawString): RawString | undefined {
  const clean = cleanName(name);
  return 'refused' in clean || clean.wasAbsolute ? undefined : clean.path;
}

/** Passes a content on, and keeps its first bytes. */
async function* remembering(content: AsyncIterable<Uint8Array>, head: Buffer[]): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of content) {
    if (bytes < tagBytes) head.push(Buffer.from(piece.subarray(0, tagBytes)));
    bytes += piece.length;
    yield piece;
  }
}
