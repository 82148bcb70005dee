/**
 * Numbers of the Linux kernel's interface for x64 and arm64 (see the manual pages of section 2, and the kernel's
 * `include/uapi`). They are the same on glibc and musl, because they belong to the kernel and not to the C library.
 */
import { constants } from 'node:os';

const arm64 = process.arch === 'arm64';

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_NOATIME = 0o1000000;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
/** These three have other values on arm64 (`arch/arm64/include/uapi/asm/fcntl.h`). */
export const O_DIRECTORY = arm64 ? 0o40000 : 0o200000;
export const O_NOFOLLOW = arm64 ? 0o100000 : 0o400000;
export const O_DIRECT = arm64 ? 0o200000 : 0o40000;

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_NO_AUTOMOUNT = 0x800;
export const AT_EMPTY_PATH = 0x1000;

/** The type bits of a mode (`mode & S_IFMT`). */
export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_ISVTX = 0o1000;

/** Types of directory entries. Some file systems answer DT_UNKNOWN for everything: then only a stat tells. */
export const DT_UNKNOWN = 0;
export const DT_FIFO = 1;
export const DT_CHR = 2;
export const DT_DIR = 4;
export const DT_BLK = 6;
export const DT_REG = 8;
export const DT_LNK = 10;
export const DT_SOCK = 12;

/** Instead of nanoseconds: leave this time as it is. */
export const UTIME_OMIT = 0x3ffffffe;

export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const E2BIG = 7;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EBUSY = 16;
export const EEXIST = 17;
export const EXDEV = 18;
export const ENODEV = 19;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const ETXTBSY = 26;
export const EFBIG = 27;
export const ENOSPC = 28;
export const EROFS = 30;
export const EMLINK = 31;
export const ERANGE = 34;
export const ENAMETOOLONG = 36;
export const ENOSYS = 38;
export const ENOTEMPTY = 39;
export const ELOOP = 40;
export const ENODATA = 61;
export const EOVERFLOW = 75;
/** Linux gives EOPNOTSUPP the same number. */
export const ENOTSUP = 95;
export const ESTALE = 116;
/** "Structure needs cleaning": what ext4 and XFS say of a damaged file system. */
export const EUCLEAN = 117;
export const EDQUOT = 122;

/** Where two names share a number, the one that Linux users know; and what Node's own table lacks. */
const preferredNames: [number, string][] = [
  [EAGAIN, 'EAGAIN'],
  [ENOTSUP, 'ENOTSUP'],
  [EUCLEAN, 'EUCLEAN'],
  [112, 'EHOSTDOWN'],
  [121, 'EREMOTEIO'],
  [123, 'ENOMEDIUM'],
  [126, 'ENOKEY'],
];
const names = new Map<number, string>([
  ...Object.entries(constants.errno).map(([name, value]) => [value, name] as const),
  ...preferredNames,
]);

/** 'ENOENT' for 2, and for -2 as the functions of this layer return it; 'errno 4711' for a number without a name. */
export function errnoName(errno: number): string {
  const number = Math.abs(errno);
  return names.get(number) ?? `errno ${number}`;
}
