/** Holds files that are there against the snapshot, blob by blob, without fetching anything. */

import type { BlobIndex } from '../../repository/blob-index.ts';
import { hashesTo } from '../../repository/blob-reader.ts';
import { ENXIO, S_IFMT, S_IFREG } from '../source/posix-constants.ts';
import { dropFromCache, pread, seekData } from '../source/posix-io.ts';
import { close, openForReading } from '../source/posix-open.ts';
import { Stat, statFd } from '../source/posix-stat.ts';
import { countWarnings } from './lane-write.ts';
import {
  type CompareCall,
  type CompareReply,
  contentDiffers,
  type FileRow,
  rangeAt,
  rangeCount,
  rowAt,
  rowCount,
  zeroSlot,
} from './messages.ts';
import { applyMetadata, type Warn } from './metadata.ts';
import { zeroChunkBytes, zeroChunkId } from './zero-chunk.ts';

const stat = new Stat();

export function createComparer(index: BlobIndex): (call: CompareCall) => Promise<CompareReply> {
  let scratch = Buffer.alloc(0);

  /** Whether the file holds a blob, or for -1 the chunk of zeros, at this place. */
  function holds(fd: number, position: number, entry: number): boolean {
    const isZeros = entry < 0;
    const id = isZeros ? zeroChunkId : index.idOf(entry);
    const length = isZeros ? zeroChunkBytes : index.plainLengthOf(entry);
    if (isZeros && isHole(fd, position, length)) return true;
    if (scratch.length < length) scratch = Buffer.allocUnsafeSlow(Math.max(length, zeroChunkBytes));
    for (let done = 0; done < length; ) {
      const count = pread(fd, scratch, done, length - done, position + done);
      if (count <= 0) return false;
      done += count;
    }
    return hashesTo(scratch.subarray(0, length), id);
  }

  function compareFile({ slot, dirFd, name, metadata }: FileRow, call: CompareCall, warn: Warn): number {
    const fd = openForReading(dirFd, name);
    if (fd < 0) return contentDiffers;
    try {
      if (statFd(fd, stat) < 0 || (stat.mode & S_IFMT) !== S_IFREG) return contentDiffers;
      const entry = slot < 0 ? -1 : (call.entries[slot] as number);
      if (stat.size !== (entry < 0 ? 0 : index.plainLengthOf(entry))) return contentDiffers;
      if (call.dropCache) dropFromCache(fd, 0, 0);
      if (entry >= 0 && !holds(fd, 0, entry)) return contentDiffers;
      return applyMetadata(fd, undefined, metadata, { stat }, warn, call.fix);
    } finally {
      close(fd);
    }
  }

  return async (call) => {
    const reply: CompareReply = {
      files: new Uint8Array(rowCount(call.files)),
      ranges: new Uint8Array(rangeCount(call.ranges)),
      warnings: {},
    };
    const warn = countWarnings(reply.warnings);
    for (let i = 0; i < reply.files.length; i++) reply.files[i] = compareFile(rowAt(call.files, i), call, warn);
    for (let i = 0; i < reply.ranges.length; i++) {
      const { slot, fd, offset } = rangeAt(call.ranges, i);
      reply.ranges[i] = holds(fd, offset, slot === zeroSlot ? -1 : (call.entries[slot] as number)) ? 0 : 1;
    }
    return reply;
  };
}

/** Whether no data is in this range. False where the file system doesn't know. */
function isHole(fd: number, position: number, length: number): boolean {
  const next = seekData(fd, position);
  return next === -ENXIO || next >= position + length;
}
