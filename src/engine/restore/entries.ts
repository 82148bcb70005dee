/** Everything that an entry of a tree can be: decides what is made, kept, replaced or linked. */
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { chmodAt, chmodFd, linkAt, mkdirAt, mknodAt, renameAt, symlinkAt, unlinkAt } from '../source/posix-change.ts';
import {
  EPERM,
  errnoName,
  O_DIRECTORY,
  O_PATH,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_ISGID,
} from '../source/posix-constants.ts';
import { readLinkAt } from '../source/posix-list.ts';
import { close, openBeneath, openDirectoryAt } from '../source/posix-open.ts';
import { Stat, statFd } from '../source/posix-stat.ts';
import { removeXattrFd } from '../source/posix-xattr.ts';
import { type PassContext, pathIn, refused, throwIfFatal } from './context.ts';
import type { Directory } from './directories.ts';
import { clearTheWay, lookAt, mayReplace, skip } from './existing.ts';
import { differenceText, type FileRestorer } from './files.ts';
import { decide, inodeKey, type LinkGroup, type LinkGroups } from './links.ts';
import { applyMetadata, metadataOf } from './metadata.ts';
import { rootOf } from './writer.ts';

/** Until everything in it is restored, a directory must be writable, and for nobody else. */
const workingMode = 0o700;

const specialTypes: Partial<Record<string, number>> = { symlink: S_IFLNK, fifo: S_IFIFO, dev: S_IFBLK, chardev: S_IFCHR };

export class EntryRestorer {
  private readonly context: PassContext;
  private readonly links: LinkGroups;
  private readonly files: FileRestorer;

  constructor(context: PassContext, links: LinkGroups, files: FileRestorer) {
    this.context = context;
    this.links = links;
    this.files = files;
  }

  /** Restores anything but a directory. */
  restore(directory: Directory, node: TreeNode, exists: boolean): void {
    const { tally, mode } = this.context;
    if (mode === 'verify' && tally.settledPaths.has(pathIn(directory, node.name))) return;
    if (node.type !== 'file' && specialTypes[node.type] === undefined) {
      if (mode === 'verify') return;
      tally.warn(`${node.type === '' ? 'entry of unknown type' : node.type} not restored`);
      return skip(this.context, pathIn(directory, node.name));
    }
    if (mode !== 'verify') tally.counts.filesTotal++;
    const stat = exists ? lookAt(this.context, directory, node.name) : undefined;
    const group = this.links.of(node);
    if (group?.first !== undefined) return this.restoreLink(directory, node, stat, group);
    if (group !== undefined) group.first = { directory, name: node.name };
    if (node.type === 'file') this.files.restore(directory, node, stat, group);
    else this.restoreSpecial(directory, node, stat, group);
  }

  /** Another name of a file whose first name has been seen. */
  private restoreLink(directory: Directory, node: TreeNode, stat: Stat | undefined, group: LinkGroup): void {
    const { directories } = this.context;
    if (group.state !== 'undecided') return this.linkTo(directory, node, stat, group);
    directories.hold(directory);
    group.waiting.push(() => {
      this.linkTo(directory, node, stat, group);
      directories.release(directory);
    });
  }

  private linkTo(directory: Directory, node: TreeNode, stat: Stat | undefined, group: LinkGroup): void {
    const { tally, mode } = this.context;
    const path = pathIn(directory, node.name);
    if (group.state === 'failed') {
      if (mode !== 'verify') tally.problem(path, 'damaged', 'not restored: the file that it is a hard link to could not be restored');
      return;
    }
    if (stat !== undefined && group.inode === inodeKey(stat)) {
      if (mode !== 'verify') tally.unchanged(0);
      return;
    }
    if (mode === 'verify')
      return tally.problem(path, 'differs', stat === undefined ? 'is missing after the restore' : 'is not the hard link that it was');
    if (stat !== undefined && !mayReplace(this.context, node, stat)) return skip(this.context, path);
    if (mode === 'dry-run') return tally.restored(0);
    const isDirectory = stat !== undefined && (stat.mode & S_IFMT) === S_IFDIR;
    if (isDirectory && !clearTheWay(this.context, directory, node.name, stat)) return;
    const result = this.link(directory, node.name, group, stat !== undefined && !isDirectory);
    if (result < 0) return this.restoreUnlinked(directory, node, stat, result);
    group.linked.push({ directory, name: node.name });
    tally.restored(0);
  }

  /** A file system that cannot link (any more) gets a copy: the data comes first. */
  private restoreUnlinked(directory: Directory, node: TreeNode, stat: Stat | undefined, result: number): void {
    throwIfFatal(result, pathIn(directory, node.name), this.context.options.volume);
    this.context.tally.warn(`hard link restored as a copy (${errnoName(result)})`);
    if (node.type === 'file') this.files.restore(directory, node, stat, undefined);
    else this.restoreSpecial(directory, node, stat, undefined);
  }

  /** Returns 0 or a negative errno. The directory of the first name may be closed already. */
  private link(directory: Directory, name: RawString, group: LinkGroup, replaces: boolean): number {
    const first = group.first as NonNullable<LinkGroup['first']>;
    const toFd = this.context.directories.fdOf(directory);
    const borrowed = first.directory.fd >= 0;
    const fromFd = borrowed ? first.directory.fd : openBeneath(rootOf(directory).fd, first.directory.path, O_PATH | O_DIRECTORY);
    if (fromFd < 0) return fromFd;
    const made = replaces ? this.context.nextTemporary() : name;
    let result = linkAt(fromFd, first.name, toFd, made);
    if (result === 0 && replaces) {
      result = renameAt(toFd, made, toFd, name);
      if (result < 0) unlinkAt(toFd, made, false);
    }
    if (!borrowed) close(fromFd);
    return result;
  }

  /** Symlinks, FIFOs and devices. */
  private restoreSpecial(directory: Directory, node: TreeNode, stat: Stat | undefined, group: LinkGroup | undefined): void {
    const { tally, mode } = this.context;
    const path = pathIn(directory, node.name);
    if (stat === undefined) return this.makeSpecial(directory, node, group);
    if (mode !== 'verify' && !mayReplace(this.context, node, stat)) {
      skip(this.context, path);
      return decide(group, true, inodeKey(stat));
    }
    const linksAreRight = group === undefined ? stat.links === 1 : this.links.claim(group, stat);
    if (this.isSameSpecial(directory, node, stat) && (linksAreRight || mode !== 'write')) {
      const differs = this.settleMetadata(directory, node, stat, mode === 'write');
      if (mode === 'verify') {
        const metadata = differs & ~tally.refusedBits;
        if (metadata !== 0) tally.problem(path, 'differs', `not as in the snapshot: ${differenceText(metadata)}`);
      } else if (differs === 0) tally.unchanged(0);
      else tally.restored(0);
      return decide(group, true, inodeKey(stat));
    }
    if (mode === 'verify') return tally.problem(path, 'differs', `is not the ${node.type} that the snapshot holds`);
    if (!clearTheWay(this.context, directory, node.name, stat)) return decide(group, false);
    this.makeSpecial(directory, node, group);
  }

  private isSameSpecial(directory: Directory, node: TreeNode, stat: Stat): boolean {
    const type = stat.mode & S_IFMT;
    if (type !== specialTypes[node.type]) return false;
    if (type === S_IFLNK) return readLinkAt(this.context.directories.fdOf(directory), node.name) === (node.linkTarget ?? '');
    return type === S_IFIFO || stat.rdev === Number(node.device);
  }

  private settleMetadata(directory: Directory, node: TreeNode, stat: Stat, write: boolean): number {
    const { directories, options, warn } = this.context;
    return applyMetadata(directories.fdOf(directory), node.name, metadataOf(node, options), { stat }, warn, write);
  }

  private makeSpecial(directory: Directory, node: TreeNode, group: LinkGroup | undefined): void {
    const { tally, mode, directories } = this.context;
    const path = pathIn(directory, node.name);
    if (mode === 'verify') {
      tally.problem(path, 'differs', 'is missing after the restore');
      return decide(group, false);
    }
    if (mode === 'dry-run') {
      tally.restored(0);
      return decide(group, true);
    }
    const fd = directories.fdOf(directory);
    const type = specialTypes[node.type] as number;
    const result =
      type === S_IFLNK ? symlinkAt(node.linkTarget ?? ('' as RawString), fd, node.name) : mknodAt(fd, node.name, type | 0o600, node.device);
    if (result === -EPERM && type !== S_IFLNK) {
      tally.warn(`${node.type === 'fifo' ? 'FIFO' : 'device node'} not made (${errnoName(result)})`);
      skip(this.context, path);
      return decide(group, false);
    }
    if (result < 0) {
      refused(this.context, result, path, 'make it');
      return decide(group, false);
    }
    const stat = lookAt(this.context, directory, node.name);
    if (stat !== undefined) this.settleMetadata(directory, node, stat, true);
    tally.restored(0);
    decide(group, true);
  }

  /** The directory of a node, open, or undefined when there can't be one, which has been reported. */
  openDirectory(parent: Directory, node: TreeNode, exists: boolean): Directory | undefined {
    const { mode, tally, directories } = this.context;
    const { name } = node;
    const path = pathIn(parent, name);
    const stat = exists ? lookAt(this.context, parent, name) : undefined;
    const isDirectory = stat !== undefined && (stat.mode & S_IFMT) === S_IFDIR;
    if (mode === 'verify' && tally.settledPaths.has(path)) return undefined;
    if (mode === 'verify' && !isDirectory) {
      tally.problem(path, 'differs', stat === undefined ? 'is missing after the restore' : 'is not a directory');
      return undefined;
    }
    if (stat !== undefined && !isDirectory) {
      if (!mayReplace(this.context, node, stat)) {
        skip(this.context, path);
        return undefined;
      }
      if (!clearTheWay(this.context, parent, name, stat)) return undefined;
    }
    const added = (fd: number, fresh: boolean, device: number, inherits: boolean) =>
      directories.add({ parent, name, path, node, fd, fresh, device, inherits, users: 1 });
    if (!isDirectory && mode === 'dry-run') return added(-1, true, parent.device, false);
    const fd = isDirectory ? this.openExisting(parent, name, stat) : this.makeDirectory(parent, name);
    if (fd < 0) {
      refused(this.context, fd, path, isDirectory ? 'open it' : 'make it');
      return undefined;
    }
    return isDirectory ? added(fd, false, stat.device, true) : added(fd, true, parent.device, this.inheritsInNew(parent));
  }

  private openExisting(parent: Directory, name: RawString, stat: Stat): number {
    const parentFd = this.context.directories.fdOf(parent);
    // Its mode is set when everything in it is restored.
    if (this.context.mode === 'write' && (stat.mode & workingMode) !== workingMode)
      chmodAt(parentFd, name, (stat.mode & 0o7777) | workingMode);
    return openDirectoryAt(parentFd, name);
  }

  /** Directories that this restore makes don't hand anything down, unless the file system itself does with groups. */
  private inheritsInNew(parent: Directory): boolean {
    return parent.fresh ? parent.inherits : rootOf(parent).groupIsInherited === true;
  }

  private makeDirectory(parent: Directory, name: RawString): number {
    const parentFd = this.context.directories.fdOf(parent);
    const made = mkdirAt(parentFd, name, workingMode);
    if (made < 0) return made;
    const fd = openDirectoryAt(parentFd, name);
    if (fd >= 0 && !parent.fresh) forgetInherited(fd);
    return fd;
  }
}

const stat = new Stat();

/** Takes away what a new directory got from one that was there before: default ACLs, and the bit that hands down groups. */
function forgetInherited(fd: number): void {
  removeXattrFd(fd, 'system.posix_acl_default');
  removeXattrFd(fd, 'system.posix_acl_access');
  if (statFd(fd, stat) === 0 && stat.mode & S_ISGID) chmodFd(fd, workingMode);
}
