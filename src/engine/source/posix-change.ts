/**
 * Making, renaming and removing files, and setting what the kernel knows of them. A name is always one name in an open directory, and a symlink
 * is never followed. All return 0 or a negative errno.
 */
import type { Uint64 } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  EINVAL,
  ENOSYS,
  ENOTSUP,
  EPERM,
  O_CLOEXEC,
  O_NOFOLLOW,
  O_PATH,
  S_IFLNK,
  S_IFMT,
} from './posix-constants.ts';
import { close, openAt } from './posix-open.ts';
import { Stat, statFd } from './posix-stat.ts';
import { call1, call2, call3, call4, call5, putDescriptorPath, putName, putPath, scratch, sys } from './posix-syscall.ts';

/** The process's umask takes bits away from `mode`, see {@link setUmask}. */
export function mkdirAt(dirFd: number, name: RawString, mode: number): number {
  const memory = scratch().name;
  return putName(memory, name) || call3(sys.mkdirat, dirFd, memory.address, mode);
}

/** Makes the symlink `name`, which points to `target` (any bytes but NUL, up to 4095). */
export function symlinkAt(target: RawString, dirFd: number, name: RawString): number {
  const { name: memory, otherName } = scratch();
  return putName(memory, name) || putPath(otherName, target) || call3(sys.symlinkat, otherName.address, dirFd, memory.address);
}

/** Makes `toName` another name of the file `fromName`; of the symlink itself if it is one. */
export function linkAt(fromDirFd: number, fromName: RawString, toDirFd: number, toName: RawString): number {
  const { name, otherName } = scratch();
  return putName(name, fromName) || putName(otherName, toName) || call5(sys.linkat, fromDirFd, name.address, toDirFd, otherName.address, 0);
}

/**
 * Makes a FIFO, a socket, a device node or an empty file: `mode` holds the type and, less the umask, the permissions; `rdev` the device as
 * st_rdev encodes it (0 for others).
 */
export function mknodAt(dirFd: number, name: RawString, mode: number, rdev: Uint64): number {
  const memory = scratch().name;
  // The kernel's device numbers have 32 bits; what has more can't be a device of Linux.
  if (rdev >= 2 ** 32) return -EINVAL;
  return putName(memory, name) || call4(sys.mknodat, dirFd, memory.address, mode, Number(rdev));
}

/** Removes a name; an empty directory when `isDirectory`. */
export function unlinkAt(dirFd: number, name: RawString, isDirectory: boolean): number {
  const memory = scratch().name;
  return putName(memory, name) || call3(sys.unlinkat, dirFd, memory.address, isDirectory ? AT_REMOVEDIR : 0);
}

/** Renames, replacing what is at `toName`. */
export function renameAt(fromDirFd: number, fromName: RawString, toDirFd: number, toName: RawString): number {
  const { name, otherName } = scratch();
  return (
    putName(name, fromName) || putName(otherName, toName) || call5(sys.renameat2, fromDirFd, name.address, toDirFd, otherName.address, 0)
  );
}

/** Sets owner and group; -1 leaves one as it is. The kernel takes setuid and setgid bits and capabilities away: set the mode and attributes afterwards. */
export function chownAt(dirFd: number, name: RawString, uid: number, gid: number): number {
  const memory = scratch().name;
  return putName(memory, name) || call5(sys.fchownat, dirFd, memory.address, uid, gid, AT_SYMLINK_NOFOLLOW);
}

/** As {@link chownAt}. */
export const chownFd = (fd: number, uid: number, gid: number): number => call3(sys.fchown, fd, uid, gid);

/** Sets the permission bits (07777) of an open file. */
export const chmodFd = (fd: number, mode: number): number => call2(sys.fchmod, fd, mode & 0o7777);

/** Sets the permission bits (07777); -ENOTSUP for a symlink, which has none of its own. */
export function chmodAt(dirFd: number, name: RawString, mode: number): number {
  const memory = scratch().name;
  const refused = putName(memory, name);
  if (refused < 0) return refused;
  const result = call4(sys.fchmodat2, dirFd, memory.address, mode & 0o7777, AT_SYMLINK_NOFOLLOW);
  // fchmodat2 is of Linux 6.6; where a container's rules don't know it, they say ENOSYS or EPERM.
  return result === -ENOSYS || result === -EPERM ? chmodThroughDescriptor(dirFd, name, mode) : result;
}

const chmodStat = new Stat();

/** {@link chmodAt} where fchmodat2 is missing: `fchmodat` follows symlinks, but an O_PATH descriptor says first what it would follow to. */
export function chmodThroughDescriptor(dirFd: number, name: RawString, mode: number): number {
  const fd = openAt(dirFd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return fd;
  const result = chmodOpenPath(fd, mode);
  close(fd);
  return result;
}

function chmodOpenPath(fd: number, mode: number): number {
  const known = statFd(fd, chmodStat);
  if (known < 0) return known;
  if ((chmodStat.mode & S_IFMT) === S_IFLNK) return -ENOTSUP;
  const memory = scratch().name;
  return putDescriptorPath(memory, fd) || call3(sys.fchmodat, AT_FDCWD, memory.address, mode & 0o7777);
}

/** Sets the times in seconds since 1970 (negative before) and nanoseconds (0 to 999,999,999, or UTIME_OMIT). */
export function utimensAt(
  dirFd: number,
  name: RawString,
  atimeSec: number,
  atimeNsec: number,
  mtimeSec: number,
  mtimeNsec: number,
): number {
  const { name: memory, structure } = scratch();
  const refused = putName(memory, name);
  if (refused < 0) return refused;
  putTimes(atimeSec, atimeNsec, mtimeSec, mtimeNsec);
  return call4(sys.utimensat, dirFd, memory.address, structure.address, AT_SYMLINK_NOFOLLOW);
}

/** As {@link utimensAt}, of an open file. */
export function utimensFd(fd: number, atimeSec: number, atimeNsec: number, mtimeSec: number, mtimeNsec: number): number {
  putTimes(atimeSec, atimeNsec, mtimeSec, mtimeNsec);
  return call4(sys.utimensat, fd, 0, scratch().structure.address, 0);
}

/** Two `struct timespec`: seconds and nanoseconds, 64 bits each. */
function putTimes(atimeSec: number, atimeNsec: number, mtimeSec: number, mtimeNsec: number): void {
  const { words } = scratch().structure;
  words[0] = atimeSec;
  words[1] = Math.floor(atimeSec / 2 ** 32);
  words[2] = atimeNsec;
  words[3] = 0;
  words[4] = mtimeSec;
  words[5] = Math.floor(mtimeSec / 2 ** 32);
  words[6] = mtimeNsec;
  words[7] = 0;
}

/** Sets the permission bits that new files of the whole process (all threads) don't get. Returns the bits until now. */
export const setUmask = (mask: number): number => call1(sys.umask, mask);
