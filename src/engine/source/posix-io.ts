/** The content of open files: reading, writing, holes, flushing. Positions and lengths in bytes. */
import { EINTR, EIO } from './posix-constants.ts';
import { addressInside, call1, call1Aside, call2, call3, call3Wide, call4, sys } from './posix-syscall.ts';

/** Reads once from the descriptor's own position. Returns the number of bytes (0 at the end, possibly fewer than asked) or a negative errno. */
export function read(fd: number, buffer: Uint8Array, offset: number, length: number): number {
  const address = addressInside(buffer, offset, length);
  for (;;) {
    const count = call3(sys.read, fd, address, length);
    if (count !== -EINTR) return count;
  }
}

/** As {@link read}, from a position, leaving the descriptor's own alone. */
export function pread(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number {
  const address = addressInside(buffer, offset, length);
  for (;;) {
    const count = call4(sys.pread64, fd, address, length, position);
    if (count !== -EINTR) return count;
  }
}

/** Writes all of `length` bytes at a position. Returns `length`, or a negative errno (some of the bytes may have been written then). */
export function pwrite(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number {
  const address = addressInside(buffer, offset, length);
  let done = 0;
  while (done < length) {
    const count = call4(sys.pwrite64, fd, address + done, length - done, position + done);
    if (count === -EINTR) continue;
    if (count < 0) return count;
    // The kernel never writes nothing without an error to a regular file; whatever does must not make this spin.
    if (count === 0) return -EIO;
    done += count;
  }
  return length;
}

const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** Where the next data at or after `position` begins; -ENXIO when there is none; -EINVAL where the file system doesn't know. Moves the descriptor's position. */
export const seekData = (fd: number, position: number): number => call3Wide(sys.lseek, fd, position, SEEK_DATA);

/** Where the next hole at or after `position` begins: at the end of the file at the latest. -ENXIO from the end on. Moves the descriptor's position. */
export const seekHole = (fd: number, position: number): number => call3Wide(sys.lseek, fd, position, SEEK_HOLE);

const keepSizeAndPunchHole = 0x01 | 0x02;

/** Makes a hole of zeros, without changing the file's size. -ENOTSUP where the file system has no holes. */
export function punchHole(fd: number, position: number, length: number): number {
  for (;;) {
    const result = call4(sys.fallocate, fd, keepSizeAndPunchHole, position, length);
    if (result !== -EINTR) return result;
  }
}

/** Sets the size; what is added is a hole. */
export function truncate(fd: number, sizeBytes: number): number {
  for (;;) {
    const result = call2(sys.ftruncate, fd, sizeBytes);
    if (result !== -EINTR) return result;
  }
}

/** Flushes content and metadata of one file or directory to the disk. */
export const sync = (fd: number): number => call1(sys.fsync, fd);

/** As {@link sync}, with only the metadata that reading the content needs. */
export const syncData = (fd: number): number => call1(sys.fdatasync, fd);

/** Flushes the whole file system that a file is on: much faster than one file at a time after many were written. */
export const syncFileSystem = (fd: number): number => call1(sys.syncfs, fd);

/** The same beside this thread, which goes on meanwhile. @returns whether the kernel could. */
export const syncFileSystemAside = (fd: number): Promise<boolean> => call1Aside(sys.syncfs, fd);

const POSIX_FADV_SEQUENTIAL = 2;
const POSIX_FADV_DONTNEED = 4;

/** Tells the kernel to read ahead far. */
export const willReadInOrder = (fd: number): number => call4(sys.fadvise64, fd, 0, 0, POSIX_FADV_SEQUENTIAL);

/** Tells the kernel that it need not keep this range in its cache. `length` 0 is to the end. */
export const dropFromCache = (fd: number, position: number, length: number): number =>
  call4(sys.fadvise64, fd, position, length, POSIX_FADV_DONTNEED);
