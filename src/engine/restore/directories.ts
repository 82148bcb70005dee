/** The directories that a restore works in: held open while anything in them is under way, given their metadata when nothing is. */
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { ENOENT, ENOTDIR, O_DIRECTORY, O_RDONLY } from '../source/posix-constants.ts';
import { close, openAt } from '../source/posix-open.ts';

export type Directory = {
  parent: Directory | undefined;
  name: RawString;
  /** Relative to the target, '' for the target itself. */
  path: RawString;
  node: TreeNode | undefined;
  /** -1 while it is closed; see {@link Directories.fdOf}. */
  fd: number;
  /** st_dev, to notice mount points. */
  device: number;
  /** Made by this restore, so that nothing is in it but what this restore put there. */
  fresh: boolean;
  /** New files in it may get a group or an ACL from it. */
  inherits: boolean;
  /** Of a root: the file system gives new files the group of their directory whatever its bits (mount option grpid). */
  groupIsInherited?: boolean;
  /** What is under way in it: files, subdirectories, the walk. */
  users: number;
};

export class Directories {
  private readonly open = new Set<Directory>();
  private readonly finish: (directory: Directory) => void;

  /** `finish` sets the metadata of a directory in which nothing is under way any more; it is closed afterwards. */
  constructor(finish: (directory: Directory) => void) {
    this.finish = finish;
  }

  get openCount(): number {
    return this.open.size;
  }

  /** Takes over an open descriptor (or -1 in a dry run). The directory begins with one user, the walk. */
  add(directory: Directory): Directory {
    if (directory.fd >= 0) this.open.add(directory);
    if (directory.parent) directory.parent.users++;
    return directory;
  }

  hold(directory: Directory): void {
    directory.users++;
  }

  release(directory: Directory): void {
    for (let at: Directory | undefined = directory; at !== undefined; at = at.parent) {
      if (--at.users > 0) return;
      this.finish(at);
      this.close(at);
    }
  }

  /** Descriptor of a directory, opened again if it was closed to save descriptors; or a negative errno. */
  fdOf(directory: Directory): number {
    if (directory.fd >= 0) return directory.fd;
    const closed: Directory[] = [];
    let at: Directory | undefined = directory;
    for (; at !== undefined && at.fd < 0; at = at.parent) closed.push(at);
    if (at === undefined) return -ENOENT;
    let fd = at.fd;
    for (const next of closed.reverse()) {
      fd = openAt(fd, next.name, O_RDONLY | O_DIRECTORY);
      if (fd < 0) return fd === -ENOTDIR ? -ENOENT : fd;
      next.fd = fd;
      this.open.add(next);
    }
    return fd;
  }

  /** Closes all but the root and `keep`. Only while no lane works. */
  closeIdle(keep: Directory): void {
    for (const directory of this.open) if (directory !== keep && directory.parent !== undefined) this.close(directory);
  }

  closeAll(): void {
    for (const directory of this.open) this.close(directory);
  }

  private close(directory: Directory): void {
    if (directory.fd < 0) return;
    this.open.delete(directory);
    close(directory.fd);
    directory.fd = -1;
  }
}
