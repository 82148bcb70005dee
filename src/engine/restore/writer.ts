/** Collects what is to be written, by the pack that it comes from, and gives it to the lanes. */
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { renameAt, unlinkAt, utimensFd } from '../source/posix-change.ts';
import { errnoName, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_WRONLY } from '../source/posix-constants.ts';
import { truncate } from '../source/posix-io.ts';
import { close, openAt, openBeneath } from '../source/posix-open.ts';
import { Stat, statFd } from '../source/posix-stat.ts';
import { type Content, partBytes, zeroEntry } from './content.ts';
import { type PassContext, pathIn, refused, throwIfFatal } from './context.ts';
import type { Directory } from './directories.ts';
import { initialMode } from './lane-write.ts';
import { addRange, addRow, type Rows, type WriteReply } from './messages.ts';
import { applyMetadata, metadataOf } from './metadata.ts';
import { clearRange } from './sparse.ts';

/** What goes to a lane at once: enough to be worth a message and round trips, little enough to spread over the lanes and to stop soon. */
const maxTaskFiles = 500;
/** Of a pack, as stored: usually all of it. */
const maxTaskBytes = 16 * 1024 * 1024;
/** A file that waits for its pack costs about this much memory. */
const pendingFileBytes = 1024;

/** The pack of files without content. */
const noPack = -1;

type SmallFile = { directory: Directory; name: RawString; sizeBytes: number };
type Part = { file: LargeFile; sizeBytes: number };

/** What is wanted from one pack. */
type PackWork = {
  pack: number;
  entries: number[];
  slots: Map<number, number>;
  rows: Rows;
  files: SmallFile[];
  ranges: number[];
  parts: Part[];
  bytes: number;
};

/** A file that is open here, and written in parts by the lanes. */
type LargeFile = {
  directory: Directory;
  node: TreeNode;
  fd: number;
  /** '' when it is written under its own name. */
  temporary: RawString;
  overwrites: boolean;
  unfinished: number;
  bytesWritten: number;
  bytesKept: number;
  damage: string | undefined;
  refusal: number;
  /** Told when it is complete (or not); `names` are links to it that were made meanwhile. */
  onEnd: ((complete: boolean) => void) | undefined;
  linked: () => readonly { directory: Directory; name: RawString }[];
};

export type LargeFileOptions = {
  /** Write it anew and put it in the place of what is there. */
  replaces: boolean;
  onEnd?: (complete: boolean) => void;
  /** Links that were made to it before it was complete. */
  linked?: () => readonly { directory: Directory; name: RawString }[];
};

const damagedSuffix = '.holdfast-damaged';
const longestNameBytes = 255;
const stat = new Stat();

export class Writer {
  private readonly context: PassContext;
  private readonly sparse: boolean;
  private readonly maxPending: number;
  private readonly packs = new Map<number, PackWork>();
  private pending = 0;
  private readonly open = new Set<LargeFile>();

  constructor(context: PassContext) {
    this.context = context;
    this.sparse = context.options.sparse ?? true;
    this.maxPending = Math.max(maxTaskFiles, Math.floor((context.options.memoryBytes ?? 16 * 1024 * 1024) / pendingFileBytes));
  }

  get isIdle(): boolean {
    return this.packs.size === 0;
  }

  /** Large files that are open. */
  get openFiles(): number {
    return this.open.size;
  }

  /** Closes what is open, unfinished. Only when no lane works any more. */
  abandon(): void {
    for (const { fd } of this.open) close(fd);
    this.open.clear();
  }

  /** A new file of one blob or none, which a lane creates. */
  addSmall(directory: Directory, node: TreeNode, content: Content, replaces: boolean): void {
    const { index, directories, options, nextTemporary } = this.context;
    const entry = content.entries[0];
    const work = this.workFor(entry === undefined ? noPack : index.packNumberOf(entry));
    addRow(work.rows, {
      slot: entry === undefined ? -1 : slotOf(work, entry),
      dirFd: directories.fdOf(directory),
      name: node.name,
      temporary: replaces ? nextTemporary() : ('' as RawString),
      inherits: directory.inherits,
      metadata: metadataOf(node, options),
    });
    directories.hold(directory);
    work.files.push({ directory, name: node.name, sizeBytes: content.sizeBytes });
    this.added(work, entry);
  }

  /** A new file that is opened here. @returns whether it could be made. */
  addLarge(directory: Directory, node: TreeNode, content: Content, { replaces, onEnd, linked }: LargeFileOptions): boolean {
    const temporary = replaces ? this.context.nextTemporary() : ('' as RawString);
    const name = replaces ? temporary : node.name;
    const fd = openAt(this.context.directories.fdOf(directory), name, O_WRONLY | O_CREAT | O_EXCL, initialMode);
    const result = fd < 0 ? fd : truncate(fd, content.sizeBytes);
    if (result < 0) {
      if (fd >= 0) close(fd);
      refused(this.context, result, pathIn(directory, node.name), 'create it');
      onEnd?.(false);
      return false;
    }
    const parts = content.entries.map((_, part) => part);
    this.addParts({ ...this.largeFile(directory, node, fd), temporary, onEnd, linked: linked ?? (() => []) }, content, parts);
    return true;
  }

  /** A file that is there, in which the `differing` parts are wrong. @returns false when it cannot be opened for writing. */
  addDiffering(
    directory: Directory,
    node: TreeNode,
    content: Content,
    differing: readonly number[],
    onEnd?: (complete: boolean) => void,
  ): boolean {
    const fd = openAt(this.context.directories.fdOf(directory), node.name, O_WRONLY);
    if (fd < 0) return false;
    const result = truncate(fd, content.sizeBytes);
    if (result < 0) {
      close(fd);
      return false;
    }
    this.addParts({ ...this.largeFile(directory, node, fd), overwrites: true, onEnd }, content, differing);
    return true;
  }

  private largeFile(directory: Directory, node: TreeNode, fd: number): LargeFile {
    this.context.directories.hold(directory);
    return {
      directory,
      node,
      fd,
      temporary: '' as RawString,
      overwrites: false,
      unfinished: 1,
      bytesWritten: 0,
      bytesKept: 0,
      damage: undefined,
      refusal: 0,
      onEnd: undefined,
      linked: () => [],
    };
  }

  private addParts(file: LargeFile, content: Content, parts: readonly number[]): void {
    this.open.add(file);
    let wanted = 0;
    for (const part of parts) {
      const entry = content.entries[part] as number;
      const sizeBytes = partBytes(content, part);
      const offset = content.offsets[part] as number;
      wanted += sizeBytes;
      if (entry === zeroEntry) {
        if (file.overwrites) file.refusal ||= clearRange(file.fd, offset, sizeBytes);
        file.bytesWritten += sizeBytes;
        continue;
      }
      const work = this.workFor(this.context.index.packNumberOf(entry));
      addRange(work.ranges, { slot: slotOf(work, entry), fd: file.fd, offset, overwrites: file.overwrites });
      work.parts.push({ file, sizeBytes });
      file.unfinished++;
      this.added(work, entry);
    }
    file.bytesKept = content.sizeBytes - wanted;
    this.partDone(file);
  }

  private workFor(pack: number): PackWork {
    let work = this.packs.get(pack);
    if (work === undefined) {
      work = { pack, entries: [], slots: new Map(), rows: [], files: [], ranges: [], parts: [], bytes: 0 };
      this.packs.set(pack, work);
    }
    return work;
  }

  private added(work: PackWork, entry: number | undefined): void {
    if (entry !== undefined) work.bytes += this.context.index.location(entry)?.length ?? 0;
    this.pending++;
    if (work.files.length + work.parts.length >= maxTaskFiles || work.bytes >= maxTaskBytes) this.flushWork(work);
    else if (this.pending >= this.maxPending) this.flush();
  }

  /** Gives everything to the lanes that was collected. */
  flush(): void {
    for (const work of this.packs.values()) this.submit(work);
    this.packs.clear();
  }

  private flushWork(work: PackWork): void {
    this.packs.delete(work.pack);
    this.submit(work);
  }

  private submit(work: PackWork): void {
    this.pending -= work.files.length + work.parts.length;
    const { entries, rows, ranges } = work;
    this.context.dispatcher.submit<WriteReply>({ call: 'write', entries, files: rows, ranges, sparse: this.sparse }, (reply) =>
      this.done(work, reply),
    );
  }

  private done({ files, parts }: PackWork, { failedFiles, failedRanges, warnings }: WriteReply): void {
    const { tally, directories } = this.context;
    tally.warnAll(warnings);
    const failed = new Map(failedFiles.map((failure) => [failure.index, failure]));
    for (const [i, { directory, name, sizeBytes }] of files.entries()) {
      const failure = failed.get(i);
      if (failure === undefined) tally.restored(sizeBytes);
      else if (failure.errno === 0) tally.problem(pathIn(directory, name), 'damaged', `not restored: ${failure.message}`);
      else refused(this.context, failure.errno, pathIn(directory, name), 'write it');
      directories.release(directory);
    }
    for (const { index, errno, message } of failedRanges) {
      const { file, sizeBytes } = parts[index] as Part;
      throwIfFatal(errno, pathIn(file.directory, file.node.name), this.context.options.volume);
      if (errno === 0) file.damage ??= message;
      else file.refusal ||= -errno;
      file.bytesWritten -= sizeBytes;
    }
    for (const { file, sizeBytes } of parts) {
      file.bytesWritten += sizeBytes;
      this.partDone(file);
    }
    tally.progress();
  }

  private partDone(file: LargeFile): void {
    if (--file.unfinished > 0) return;
    const { directory, node, fd, temporary } = file;
    const { directories, tally, options, warn } = this.context;
    const path = pathIn(directory, node.name);
    const dirFd = directories.fdOf(directory);
    const isNew = !file.overwrites && !directory.inherits;
    if (file.damage === undefined && file.refusal === 0) {
      if (!isNew) file.refusal ||= statFd(fd, stat);
      applyMetadata(fd, undefined, metadataOf(node, options), isNew ? { made: initialMode } : { stat }, warn);
    }
    file.refusal ||= close(fd);
    this.open.delete(file);
    if (file.damage !== undefined) this.setAside(file, path);
    else if (file.refusal < 0) {
      refused(this.context, file.refusal, path, 'write it');
      if (temporary !== '') unlinkAt(dirFd, temporary, false);
    } else {
      const renamed = temporary === '' ? 0 : renameAt(dirFd, temporary, dirFd, node.name);
      if (renamed < 0) {
        file.refusal = renamed;
        unlinkAt(dirFd, temporary, false);
        refused(this.context, renamed, path, 'put it in its place');
      } else tally.restored(file.bytesWritten, file.bytesKept);
    }
    file.onEnd?.(file.damage === undefined && file.refusal === 0);
    directories.release(directory);
  }

  /** A file that lacks parts must not look like a good one: it gets another name, with what could be restored. */
  private setAside(file: LargeFile, path: RawString): void {
    const { directories, tally } = this.context;
    const { directory, node, temporary } = file;
    if (file.overwrites && file.bytesWritten === 0) {
      tally.problem(path, 'damaged', `left as it was: ${file.damage}`);
      return;
    }
    const aside = damagedName(node.name);
    const dirFd = directories.fdOf(directory);
    const result = renameAt(dirFd, temporary === '' ? node.name : temporary, dirFd, aside);
    for (const link of file.linked()) this.removeLink(link);
    const where =
      result < 0
        ? errnoName(result)
        : `what could be restored is in ${aside.length < longestNameBytes ? `NAME${damagedSuffix}` : 'a file that ends so'}`;
    tally.problem(path, 'damaged', `${file.damage}; ${where}`);
  }

  /** Removes a name of a damaged file from a directory that may be finished already, and leaves that directory's times as they are. */
  private removeLink({ directory, name }: { directory: Directory; name: RawString }): void {
    const root = rootOf(directory);
    const pathFd = openBeneath(root.fd, directory.path, O_RDONLY | O_DIRECTORY);
    if (pathFd < 0) return;
    const known = statFd(pathFd, stat);
    const { atimeSec, atimeNsec, mtimeSec, mtimeNsec } = stat;
    unlinkAt(pathFd, name, false);
    if (known === 0) utimensFd(pathFd, atimeSec, atimeNsec, mtimeSec, mtimeNsec);
    close(pathFd);
    this.context.tally.problem(pathIn(directory, name), 'damaged', 'not restored: it is a hard link to a file that is damaged');
  }
}

function slotOf(work: PackWork, entry: number): number {
  let slot = work.slots.get(entry);
  if (slot === undefined) {
    slot = work.entries.length;
    work.slots.set(entry, slot);
    work.entries.push(entry);
  }
  return slot;
}

const damagedName = (name: RawString): RawString =>
  `${name.slice(0, longestNameBytes - damagedSuffix.length)}${damagedSuffix}` as RawString;

export function rootOf(directory: Directory): Directory {
  let at = directory;
  while (at.parent !== undefined) at = at.parent;
  return at;
}
