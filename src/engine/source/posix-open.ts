/** Opening files without ever following a symlink. */
import type { RawString } from '../../model/raw-bytes.ts';
import {
  AT_FDCWD,
  EAGAIN,
  EINTR,
  EINVAL,
  ELOOP,
  ENAMETOOLONG,
  ENOSYS,
  ENOTDIR,
  EPERM,
  EXDEV,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_NOATIME,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from './posix-constants.ts';
import { Stat, statAt, statFd } from './posix-stat.ts';
import { call1, call4, longestPathBytes, putDescriptorPath, putName, putPath, scratch, sys } from './posix-syscall.ts';

/** Always added. */
const safe = O_NOFOLLOW | O_CLOEXEC;

/** A step on the way: good for going on from it, not for reading. */
const step = O_PATH | O_DIRECTORY | safe;

/** A path that was put into scratch memory; a network or FUSE file system may be interrupted while it opens. */
function openPut(dirFd: number, address: number, flags: number, mode: number): number {
  for (;;) {
    const fd = call4(sys.openat, dirFd, address, flags, mode);
    if (fd !== -EINTR) return fd;
  }
}

/** As {@link openPut}, leaving the access time alone where the kernel lets us: it does for the file's owner and for root. */
function openPutForReading(dirFd: number, address: number, flags: number): number {
  const fd = openPut(dirFd, address, flags | O_NOATIME, 0);
  return fd === -EPERM ? openPut(dirFd, address, flags, 0) : fd;
}

/** Returns 0 or a negative errno; the descriptor is free afterwards in any case. */
export function close(fd: number): number {
  const result = call1(sys.close, fd);
  return result === -EINTR ? 0 : result;
}

/**
 * Opens a directory where a user said, following symlinks: the one place where they are followed. The path is absolute, or
 * relative to the working directory; '' is the working directory. Returns a descriptor that can be listed and used as a root, or a negative errno.
 */
export function openDirectoryRoot(path: RawString): number {
  const flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  const memory = scratch().name;
  let from = AT_FDCWD;
  let rest = path === '' ? '.' : (path as string);
  // The kernel takes 4095 bytes at once: a longer path is walked in pieces.
  while (rest.length > longestPathBytes) {
    const cut = rest.lastIndexOf('/', longestPathBytes);
    if (cut <= 0) return closeAnd(from, -ENAMETOOLONG);
    const refused = putPath(memory, rest.slice(0, cut));
    const next = refused < 0 ? refused : openPut(from, memory.address, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    closeAnd(from, 0);
    if (next < 0) return next;
    from = next;
    rest = withoutLeadingSlashes(rest.slice(cut)) || '.';
  }
  const refused = putPath(memory, rest);
  return closeAnd(from, refused < 0 ? refused : openPutForReading(from, memory.address, flags));
}

/** Opens a name in a directory. O_NOFOLLOW and O_CLOEXEC are always added. Returns a descriptor or a negative errno (-ELOOP for a symlink). */
export function openAt(dirFd: number, name: RawString, flags: number, mode = 0): number {
  const memory = scratch().name;
  const refused = putName(memory, name);
  return refused < 0 ? refused : openPut(dirFd, memory.address, flags | safe, mode);
}

/**
 * Opens a name for reading its content, leaving its access time alone where the kernel lets us (the owner and root). Whatever was put in
 * the place of the file meanwhile, this doesn't hang: a FIFO opens at once (the caller stats the descriptor before it reads).
 */
export function openForReading(dirFd: number, name: RawString): number {
  const memory = scratch().name;
  const refused = putName(memory, name);
  if (refused < 0) return refused;
  const fd = openPutForReading(dirFd, memory.address, O_RDONLY | O_NONBLOCK | safe);
  return fd === -EAGAIN ? openLeased(dirFd, name) : fd;
}

/**
 * A file server's lease (an oplock) must be given back before others may read, and only an open that waits lets the kernel see to that. The
 * file is pinned first, so that what is waited for is a file, and no FIFO.
 */
function openLeased(dirFd: number, name: RawString): number {
  const pinned = openAt(dirFd, name, O_PATH);
  if (pinned < 0) return pinned;
  const known = statFd(pinned, leasedStat);
  const isFile = known === 0 && (leasedStat.mode & S_IFMT) === S_IFREG;
  const memory = scratch().name;
  // /proc's link to the descriptor is the one symlink that must be followed here.
  const fd = isFile && putDescriptorPath(memory, pinned) === 0 ? openPut(AT_FDCWD, memory.address, O_RDONLY | O_CLOEXEC, 0) : -EAGAIN;
  close(pinned);
  return fd;
}

const leasedStat = new Stat();

/** Opens a directory in a directory for listing, see {@link openForReading}. */
export function openDirectoryAt(dirFd: number, name: RawString): number {
  const memory = scratch().name;
  const refused = putName(memory, name);
  return refused < 0 ? refused : openPutForReading(dirFd, memory.address, O_RDONLY | O_DIRECTORY | safe);
}

/**
 * Opens a path of any length strictly beneath a root directory: no symlink on the way or at the end is followed, and nothing in the path
 * leads upwards. '' is the root itself. O_NOFOLLOW and O_CLOEXEC are always added. With O_PATH a symlink at the end is opened itself.
 * @returns a descriptor, or a negative errno: -ELOOP when a symlink is met (-ENOTDIR for one at the end, with O_DIRECTORY), -EXDEV for an absolute path or `..`.
 */
export function openBeneath(rootFd: number, path: RawString, flags: number, mode = 0): number {
  return kernelResolvesBeneath() ? openBeneathByKernel(rootFd, path, flags, mode) : openBeneathByComponent(rootFd, path, flags, mode);
}

let kernelResolves: boolean | undefined;

/** Whether openat2 is there (Linux 5.6) and allowed (older container runtimes forbid what they don't know). */
function kernelResolvesBeneath(): boolean {
  if (kernelResolves === undefined) {
    putPath(scratch().name, '.');
    const fd = openat2(AT_FDCWD, O_PATH | O_CLOEXEC, 0, 0);
    kernelResolves = fd !== -ENOSYS && fd !== -EPERM;
    if (fd >= 0) close(fd);
  }
  return kernelResolves;
}

/** RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH. */
const resolveStrictly = 0x02 | 0x04 | 0x08;

/** Opens the path in scratch memory. `struct open_how` is three 64-bit numbers: flags, mode, resolve. */
function openat2(dirFd: number, flags: number, mode: number, resolve: number): number {
  const { name, structure } = scratch();
  structure.words.fill(0, 0, 6);
  structure.words[0] = flags;
  // openat2, unlike openat, rejects a mode that it would not use.
  structure.words[2] = flags & O_CREAT ? mode : 0;
  structure.words[4] = resolve;
  for (;;) {
    const fd = call4(sys.openat2, dirFd, name.address, structure.address, 24);
    // EAGAIN: something was renamed while the kernel looked; it asks to be asked again.
    if (fd !== -EINTR && fd !== -EAGAIN) return fd;
  }
}

/** {@link openBeneath} where openat2 works. */
export function openBeneathByKernel(rootFd: number, path: RawString, flags: number, mode = 0): number {
  const refused = refusePath(path);
  if (refused < 0) return refused;
  const memory = scratch().name;
  let from = rootFd;
  let rest = path === '' ? '.' : (path as string);
  while (rest.length > longestPathBytes) {
    const cut = rest.lastIndexOf('/', longestPathBytes);
    const tooLong = cut <= 0 ? -ENAMETOOLONG : putPath(memory, rest.slice(0, cut));
    const next = tooLong < 0 ? tooLong : openat2(from, step, 0, resolveStrictly);
    if (from !== rootFd) close(from);
    if (next < 0) return next;
    from = next;
    rest = withoutLeadingSlashes(rest.slice(cut)) || '.';
  }
  putPath(memory, rest);
  const fd = openat2(from, flags | safe, mode, resolveStrictly);
  if (from !== rootFd) close(from);
  return fd;
}

/** {@link openBeneath} where openat2 is missing: every component by itself. */
export function openBeneathByComponent(rootFd: number, path: RawString, flags: number, mode = 0): number {
  const refused = refusePath(path);
  if (refused < 0) return refused;
  const components = path.split('/').filter((component) => component !== '' && component !== '.') as RawString[];
  const last = components.pop();
  if (last === undefined) return openItself(rootFd, flags | safe, mode);
  let from = rootFd;
  for (const component of components) {
    const next = openStep(from, component, step, 0);
    if (from !== rootFd) close(from);
    if (next < 0) return next;
    from = next;
  }
  // As the kernel does: a slash at the end demands a directory.
  const demandsDirectory = path.endsWith('/') || path.endsWith('/.');
  const fd = demandsDirectory ? openStep(from, last, flags | O_DIRECTORY | safe, mode) : openAt(from, last, flags, mode);
  if (from !== rootFd) close(from);
  return fd;
}

function openItself(fd: number, flags: number, mode: number): number {
  const memory = scratch().name;
  putPath(memory, '.');
  return openPut(fd, memory.address, flags, mode);
}

const stepStat = new Stat();

/** With O_DIRECTORY the kernel says ENOTDIR of a symlink; on the way of a path, as openat2 sees it, that is ELOOP. */
function openStep(dirFd: number, name: RawString, flags: number, mode: number): number {
  const fd = openAt(dirFd, name, flags, mode);
  if (fd === -ENOTDIR && statAt(dirFd, name, stepStat) === 0 && (stepStat.mode & S_IFMT) === S_IFLNK) return -ELOOP;
  return fd;
}

const upwards = /(^|\/)\.\.(\/|$)/;
const notInRawPath = /[\0\u0100-\uffff]/;

function refusePath(path: RawString): number {
  if (path.startsWith('/') || upwards.test(path)) return -EXDEV;
  return notInRawPath.test(path) ? -EINVAL : 0;
}

const withoutLeadingSlashes = (path: string): string => path.replace(/^\/+/, '');

function closeAnd(fd: number, result: number): number {
  if (fd !== AT_FDCWD) close(fd);
  return result;
}
