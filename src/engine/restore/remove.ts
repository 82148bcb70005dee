/** Removing what is in the way, or not in the snapshot, with everything below it; never across a mount point, never through a symlink. */
import type { RawString } from '../../model/raw-bytes.ts';
import { chmodAt, unlinkAt } from '../source/posix-change.ts';
import { EACCES, EBUSY, errnoName, S_IFDIR, S_IFMT } from '../source/posix-constants.ts';
import { listDirectory } from '../source/posix-list.ts';
import { close, openDirectoryAt } from '../source/posix-open.ts';
import { Stat, statAt } from '../source/posix-stat.ts';

export type Removal = {
  /** Entries that were removed, or with `write` false would be. */
  removed: number;
  /** What could not be removed: relative path, and why. */
  failures: { path: RawString; message: string }[];
};

/** Deeper than any path that can be made by accident: each level costs a descriptor and a stack frame. */
const maxDepth = 1000;

/** `device` is the directory's own st_dev. */
export function removeEntry(dirFd: number, name: RawString, path: RawString, device: number, write: boolean): Removal {
  const removal: Removal = { removed: 0, failures: [] };
  removeInto(removal, dirFd, name, path, device, write, 0);
  return removal;
}

function removeInto(
  removal: Removal,
  dirFd: number,
  name: RawString,
  path: RawString,
  device: number,
  write: boolean,
  depth: number,
): boolean {
  const fail = (message: string) => {
    removal.failures.push({ path, message: `not removed: ${message}` });
    return false;
  };
  const stat = new Stat();
  const known = statAt(dirFd, name, stat);
  if (known < 0) return fail(errnoName(known));
  const isDirectory = (stat.mode & S_IFMT) === S_IFDIR;
  if (stat.device !== device) return fail('something is mounted there');
  if (isDirectory) {
    if (depth >= maxDepth) return fail('too many directories inside each other');
    if (!emptyDirectory(removal, dirFd, name, path, device, write, depth, fail)) return false;
  }
  const result = write ? unlinkAt(dirFd, name, isDirectory) : 0;
  if (result < 0) return fail(result === -EBUSY ? 'something is mounted there' : errnoName(result));
  removal.removed++;
  return true;
}

function emptyDirectory(
  removal: Removal,
  dirFd: number,
  name: RawString,
  path: RawString,
  device: number,
  write: boolean,
  depth: number,
  fail: (message: string) => boolean,
): boolean {
  let fd = openDirectoryAt(dirFd, name);
  if (fd === -EACCES && write && chmodAt(dirFd, name, 0o700) === 0) fd = openDirectoryAt(dirFd, name);
  if (fd < 0) return fail(errnoName(fd));
  try {
    const listing = listDirectory(fd);
    if (typeof listing === 'number') return fail(errnoName(listing));
    let all = true;
    for (const child of listing.names) {
      if (!removeInto(removal, fd, child, `${path}/${child}` as RawString, device, write, depth + 1)) all = false;
    }
    return all;
  } finally {
    close(fd);
  }
}
