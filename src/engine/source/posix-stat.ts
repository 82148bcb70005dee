/** What the kernel knows of a file, without reading it. */
import type { Uint64 } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW } from './posix-constants.ts';
import { call2, call5, putName, scratch, sys } from './posix-syscall.ts';

/** Made once and filled again and again. Sizes in bytes, times in seconds since 1970 (negative before) and nanoseconds from 0 to 999,999,999. */
export class Stat {
  /** The type (`S_IFMT`) and the permission bits. */
  mode = 0;
  size: Uint64 = 0;
  mtimeSec = 0;
  mtimeNsec = 0;
  ctimeSec = 0;
  ctimeNsec = 0;
  atimeSec = 0;
  atimeNsec = 0;
  inode: Uint64 = 0;
  /** Encoded as `st_dev`, see {@link makeDevice}. */
  device = 0;
  /** The device that a device node stands for, encoded as `st_rdev`. */
  rdev = 0;
  links = 0;
  uid = 0;
  gid = 0;
  /** Units of 512 bytes that are allocated; less than the size when there are holes (or the file system compresses). */
  blocks = 0;
}

/** A device number as glibc's `makedev` and Go's `unix.Mkdev` encode it. */
export function makeDevice(major: number, minor: number): number {
  const low = ((major & 0xfff) << 8) | (minor & 0xff);
  return (major & 0xfffff000 ? (major - (major & 0xfff)) * 2 ** 32 : 0) + (minor - (minor & 0xff)) * 2 ** 12 + low;
}

const twoTo32 = 2 ** 32;

/** A 64-bit unsigned number from its two words. */
function uint64(low: number, high: number): Uint64 {
  return high < 0x200000 ? high * twoTo32 + low : (BigInt(high) << 32n) | BigInt(low);
}

/** A signed 64-bit number of seconds from its two words; exact within 2^53. */
const seconds = (low: number, high: number): number => (high | 0) * twoTo32 + low;

/** `STATX_BASIC_STATS`: everything that the old stat had. */
const basicFields = 0x7ff;

/** `struct statx`, in words of 32 bits (the kernel's `include/uapi/linux/stat.h`). */
function fillFrom(words: Uint32Array, stat: Stat): void {
  stat.links = words[4] as number;
  stat.uid = words[5] as number;
  stat.gid = words[6] as number;
  stat.mode = (words[7] as number) & 0xffff;
  stat.inode = uint64(words[8] as number, words[9] as number);
  stat.size = uint64(words[10] as number, words[11] as number);
  stat.blocks = (words[13] as number) * twoTo32 + (words[12] as number);
  stat.atimeSec = seconds(words[16] as number, words[17] as number);
  stat.atimeNsec = words[18] as number;
  stat.ctimeSec = seconds(words[24] as number, words[25] as number);
  stat.ctimeNsec = words[26] as number;
  stat.mtimeSec = seconds(words[28] as number, words[29] as number);
  stat.mtimeNsec = words[30] as number;
  stat.rdev = makeDevice(words[32] as number, words[33] as number);
  stat.device = makeDevice(words[34] as number, words[35] as number);
}

/** Fills `stat` with what `name` in the directory is; a symlink is not followed. Returns 0 or a negative errno. */
export function statAt(dirFd: number, name: RawString, stat: Stat): number {
  const memory = scratch();
  const refused = putName(memory.name, name);
  if (refused < 0) return refused;
  const result = call5(sys.statx, dirFd, memory.name.address, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, basicFields, memory.structure.address);
  if (result < 0) return result;
  fillFrom(memory.structure.words, stat);
  return 0;
}

/** As {@link statAt}, of an open descriptor, also one opened with O_PATH. */
export function statFd(fd: number, stat: Stat): number {
  const memory = scratch();
  memory.name.bytes[0] = 0;
  const result = call5(sys.statx, fd, memory.name.address, AT_EMPTY_PATH | AT_NO_AUTOMOUNT, basicFields, memory.structure.address);
  if (result < 0) return result;
  fillFrom(memory.structure.words, stat);
  return 0;
}

/** `type` is the file system's magic number (man page of `statfs`); free bytes are those that this user may still fill. */
export type FileSystem = { type: number; blockSizeBytes: number; totalBytes: number; freeBytes: number; freeInodes: number };

/** The file system that an open file is on; or a negative errno. */
export function fileSystemOf(fd: number): FileSystem | number {
  const { address, words } = scratch().structure;
  const result = call2(sys.fstatfs, fd, address);
  if (result < 0) return result;
  const word = (index: number) => words[index] as number;
  const long = (index: number) => word(index + 1) * twoTo32 + word(index);
  // Block counts are in fragments where the file system has them, else in blocks (`struct statfs`, the same on both processors).
  const unit = long(18) || long(2);
  return { type: word(0), blockSizeBytes: long(2), totalBytes: long(4) * unit, freeBytes: long(8) * unit, freeInodes: long(12) };
}
