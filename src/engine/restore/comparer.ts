/** Collects files that are there already, and has the lanes hold them against the snapshot. */
import type { TreeNode } from '../../model/node.ts';
import { dropFromCache } from '../source/posix-io.ts';
import { close, openForReading } from '../source/posix-open.ts';
import { Stat, statFd } from '../source/posix-stat.ts';
import { type Content, partBytes, zeroEntry } from './content.ts';
import type { PassContext } from './context.ts';
import type { Directory } from './directories.ts';
import { addRange, addRow, type CompareReply, contentDiffers, type Rows, zeroSlot } from './messages.ts';
import { applyMetadata, metadataOf } from './metadata.ts';
import { zeroChunkBytes } from './zero-chunk.ts';

const maxBatchFiles = 250;
/** Bounds how long a lane is busy with one call, and so how long stopping takes. */
const maxBatchBytes = 32 * 1024 * 1024;

/** What a comparison found: whether content and size are right, which parts are not, and bits of metadata that differ (or, when it was to be set, differed). */
export type Comparison = { same: boolean; differing: readonly number[]; metadata: number };
export type OnCompared = (found: Comparison) => void;

type Small = { directory: Directory; parts: readonly number[]; onCompared: OnCompared };
type Large = {
  directory: Directory;
  node: TreeNode;
  fd: number;
  unfinished: number;
  differing: number[];
  fix: boolean;
  sizeIsRight: boolean;
  onCompared: OnCompared;
};
type LargePart = { file: Large; part: number };
type Batch = { fix: boolean; entries: number[]; rows: Rows; files: Small[]; ranges: number[]; parts: LargePart[]; bytes: number };

const noParts: readonly number[] = [];
const firstPart: readonly number[] = [0];

const emptyBatch = (fix: boolean): Batch => ({ fix, entries: [], rows: [], files: [], ranges: [], parts: [], bytes: 0 });
const stat = new Stat();

export class Comparer {
  private readonly context: PassContext;
  private readonly batches = { fixing: emptyBatch(true), looking: emptyBatch(false) };
  private readonly open = new Set<Large>();

  constructor(context: PassContext) {
    this.context = context;
  }

  get isIdle(): boolean {
    return Object.values(this.batches).every(isEmpty);
  }

  get openFiles(): number {
    return this.open.size;
  }

  /** Closes what is open. Only when no lane works any more. */
  abandon(): void {
    for (const { fd } of this.open) close(fd);
    this.open.clear();
  }

  /** Compares a regular file; with `fix`, metadata that differs is set when the content is right. */
  add(directory: Directory, node: TreeNode, content: Content, fix: boolean, onCompared: OnCompared): void {
    // Of a longer file parts may be right although its size is not.
    if (content.sizeBytes < zeroChunkBytes && content.entries.length <= 1) this.addSmall(directory, node, content, fix, onCompared);
    else this.addLarge(directory, node, content, fix, onCompared);
  }

  private addSmall(directory: Directory, node: TreeNode, content: Content, fix: boolean, onCompared: OnCompared): void {
    const { directories, options } = this.context;
    const batch = this.batch(fix);
    const entry = content.entries[0];
    addRow(batch.rows, {
      slot: entry === undefined ? -1 : batch.entries.push(entry) - 1,
      dirFd: directories.fdOf(directory),
      name: node.name,
      temporary: '' as typeof node.name,
      inherits: false,
      metadata: metadataOf(node, options),
    });
    directories.hold(directory);
    batch.files.push({ directory, parts: entry === undefined ? noParts : firstPart, onCompared });
    this.added(batch, content.sizeBytes);
  }

  private addLarge(directory: Directory, node: TreeNode, content: Content, fix: boolean, onCompared: OnCompared): void {
    const { directories, mode } = this.context;
    const fd = openForReading(directories.fdOf(directory), node.name);
    if (fd < 0) return onCompared({ same: false, differing: content.entries.map((_, part) => part), metadata: 0 });
    const sizeIsRight = statFd(fd, stat) === 0 && stat.size === content.sizeBytes;
    if (mode === 'verify') dropFromCache(fd, 0, 0);
    directories.hold(directory);
    const file: Large = { directory, node, fd, unfinished: 1, differing: [], fix, sizeIsRight, onCompared };
    this.open.add(file);
    for (let part = 0; part < content.entries.length; part++) {
      const batch = this.batch(fix);
      const entry = content.entries[part] as number;
      const slot = entry === zeroEntry ? zeroSlot : batch.entries.push(entry) - 1;
      addRange(batch.ranges, { slot, fd, offset: content.offsets[part] as number, overwrites: false });
      batch.parts.push({ file, part });
      file.unfinished++;
      this.added(batch, entry === zeroEntry ? 0 : partBytes(content, part));
    }
    this.partDone(file);
  }

  private batch(fix: boolean): Batch {
    return fix ? this.batches.fixing : this.batches.looking;
  }

  private added(batch: Batch, bytes: number): void {
    batch.bytes += bytes;
    if (batch.files.length + batch.parts.length >= maxBatchFiles || batch.bytes >= maxBatchBytes) this.submit(batch);
  }

  flush(): void {
    for (const batch of Object.values(this.batches)) if (!isEmpty(batch)) this.submit(batch);
  }

  private submit(batch: Batch): void {
    if (batch.fix) this.batches.fixing = emptyBatch(true);
    else this.batches.looking = emptyBatch(false);
    const { fix, entries, rows, ranges } = batch;
    const dropCache = this.context.mode === 'verify';
    this.context.dispatcher.submit<CompareReply>({ call: 'compare', entries, files: rows, ranges, fix, dropCache }, (reply) =>
      this.done(batch, reply),
    );
  }

  private done({ files, parts }: Batch, reply: CompareReply): void {
    const { tally, directories } = this.context;
    tally.warnAll(reply.warnings);
    for (const [i, { directory, parts: all, onCompared }] of files.entries()) {
      const found = reply.files[i] as number;
      const same = found !== contentDiffers;
      onCompared({ same, differing: same ? noParts : all, metadata: same ? found : 0 });
      directories.release(directory);
    }
    for (const [i, { file, part }] of parts.entries()) {
      if (reply.ranges[i] !== 0) file.differing.push(part);
      this.partDone(file);
    }
    tally.progress();
  }

  private partDone(file: Large): void {
    if (--file.unfinished > 0) return;
    const { directory, node, fd, fix, differing } = file;
    const { options, warn, directories } = this.context;
    let metadata = 0;
    const isRight = differing.length === 0 && file.sizeIsRight;
    if (isRight && statFd(fd, stat) === 0) metadata = applyMetadata(fd, undefined, metadataOf(node, options), { stat }, warn, fix);
    close(fd);
    this.open.delete(file);
    file.onCompared({ same: isRight, differing, metadata });
    directories.release(directory);
  }
}

const isEmpty = ({ files, parts }: Batch): boolean => files.length === 0 && parts.length === 0;
