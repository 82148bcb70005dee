/** Writes fetched blobs: small files from creation to their times in one go, parts of large files to their places. */
import { renameAt, unlinkAt } from '../source/posix-change.ts';
import { errnoName, O_CREAT, O_EXCL, O_WRONLY } from '../source/posix-constants.ts';
import { truncate } from '../source/posix-io.ts';
import { close, openAt } from '../source/posix-open.ts';
import { Stat, statFd } from '../source/posix-stat.ts';
import type { BlobFetcher } from './lane-fetch.ts';
import {
  type Failure,
  type FileRow,
  rangeAt,
  rangeCount,
  rowAt,
  rowCount,
  type WarningCounts,
  type WriteCall,
  type WriteReply,
} from './messages.ts';
import { applyMetadata, type Before, type Warn } from './metadata.ts';
import { holeBytes, writePart, writeSparsely } from './sparse.ts';

/** Until its owner and mode are set, only this process may read it. */
export const initialMode = 0o600;

const empty = Buffer.alloc(0);
const made: Before = { made: initialMode };
const stat = new Stat();

export function createWriter(fetch: BlobFetcher): (call: WriteCall) => Promise<WriteReply> {
  return async ({ entries, files, ranges, sparse }) => {
    const reply: WriteReply = { failedFiles: [], failedRanges: [], warnings: {} };
    const warn = countWarnings(reply.warnings);
    const { filesOf, rangesOf, withoutBlob } = targetsBySlot(entries.length, files, ranges);

    const writeFileAt = (index: number, plain: Buffer) => {
      const row = rowAt(files, index);
      const result = writeNewFile(row, plain, sparse, warn);
      if (result < 0) reply.failedFiles.push(refusal(index, result));
    };
    for (const index of withoutBlob) writeFileAt(index, empty);
    await fetch(
      entries,
      (slot, plain) => {
        for (const index of filesOf[slot] ?? []) writeFileAt(index, plain);
        for (const index of rangesOf[slot] ?? []) {
          const { fd, offset, overwrites } = rangeAt(ranges, index);
          const result = sparse ? writeSparsely(fd, plain, offset, overwrites) : writePart(fd, plain, 0, plain.length, offset);
          if (result < 0) reply.failedRanges.push(refusal(index, result));
        }
      },
      (slot, message) => {
        for (const index of filesOf[slot] ?? []) reply.failedFiles.push({ index, errno: 0, message });
        for (const index of rangesOf[slot] ?? []) reply.failedRanges.push({ index, errno: 0, message });
      },
    );
    return reply;
  };
}

const refusal = (index: number, result: number): Failure => ({ index, errno: -result, message: errnoName(result) });

export const countWarnings =
  (counts: WarningCounts): Warn =>
  (warning) => {
    counts[warning] = (counts[warning] ?? 0) + 1;
  };

/** Which rows and ranges want which blob. */
function targetsBySlot(slots: number, files: WriteCall['files'], ranges: number[]) {
  const filesOf: (number[] | undefined)[] = new Array(slots);
  const rangesOf: (number[] | undefined)[] = new Array(slots);
  const withoutBlob: number[] = [];
  for (let i = 0; i < rowCount(files); i++) {
    const { slot } = rowAt(files, i);
    if (slot < 0) withoutBlob.push(i);
    else push(filesOf, slot, i);
  }
  for (let i = 0; i < rangeCount(ranges); i++) push(rangesOf, rangeAt(ranges, i).slot, i);
  return { filesOf, rangesOf, withoutBlob };
}

function push(lists: (number[] | undefined)[], slot: number, value: number): void {
  const list = lists[slot];
  if (list === undefined) lists[slot] = [value];
  else list.push(value);
}

/** Creates a file with all its content and metadata. When that fails nothing is left of it. @returns 0 or a negative errno. */
function writeNewFile({ dirFd, name, temporary, inherits, metadata }: FileRow, plain: Buffer, sparse: boolean, warn: Warn): number {
  const written = temporary === '' ? name : temporary;
  const fd = openAt(dirFd, written, O_WRONLY | O_CREAT | O_EXCL, initialMode);
  if (fd < 0) return fd;
  let result = writeContent(fd, plain, sparse);
  if (result === 0) {
    const before = inherits && statFd(fd, stat) === 0 ? { stat } : made;
    applyMetadata(fd, undefined, metadata, before, warn);
  }
  // Network file systems tell of a full disk only here.
  const closed = close(fd);
  if (result === 0) result = closed;
  if (result === 0 && temporary !== '') result = renameAt(dirFd, temporary, dirFd, name);
  if (result < 0) unlinkAt(dirFd, written, false);
  return result;
}

function writeContent(fd: number, plain: Buffer, sparse: boolean): number {
  if (!sparse || plain.length < holeBytes) return writePart(fd, plain, 0, plain.length, 0);
  const result = writeSparsely(fd, plain, 0, false);
  if (result < 0) return result;
  // A hole at the end leaves the file too short.
  const endsInZeros = plain[plain.length - 1] === 0;
  return endsInZeros ? truncate(fd, plain.length) : 0;
}
