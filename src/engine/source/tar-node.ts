/** An entry of a tar archive as a node of a tree. */
import { goModeFromStat } from '../../format/file-mode.ts';
import { sha256Into } from '../../format/kernel/sha256.ts';
import { formatTime } from '../../format/time.ts';
import type { TreeNode } from '../../model/node.ts';
import { bytesFromRaw, type RawString } from '../../model/raw-bytes.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from './posix-constants.ts';
import { makeDevice } from './posix-stat.ts';
import type { TarEntry } from './tar-entry.ts';
import { nameOf } from './tar-names.ts';

const statTypes = { file: S_IFREG, dir: S_IFDIR, symlink: S_IFLNK, chardev: S_IFCHR, dev: S_IFBLK, fifo: S_IFIFO } as const;

/** Anything but another name of a file, which is no node of its own. */
export type TarNodeEntry = Exclude<TarEntry, { type: 'link' }>;

/** Without content. What an archive doesn't tell: the ctime and atime are the mtime, the device 0, the inode made of the path. */
export function nodeOfEntry(entry: TarNodeEntry, path: RawString): TreeNode {
  const { type, uid, gid, user, group } = entry;
  const mtime = formatTime(entry.mtimeSec, entry.mtimeNsec);
  return {
    name: nameOf(path),
    type,
    mode: goModeFromStat(statTypes[type] | entry.mode),
    mtime,
    atime: mtime,
    ctime: mtime,
    uid,
    gid,
    user,
    group,
    inode: inodeOfPath(path),
    deviceId: 0,
    size: 0,
    links: type === 'dir' || type === 'fifo' ? 0 : 1,
    linkTarget: type === 'symlink' ? entry.target : undefined,
    extendedAttributes: [...entry.attributes],
    device: type === 'dev' || type === 'chardev' ? makeDevice(entry.major, entry.minor) : 0,
    content: type === 'file' ? [] : undefined,
    subtree: undefined,
    error: '',
    unknown: undefined,
  };
}

const digest = Buffer.alloc(32);

/** 52 bits, never 0: the same in every archive for the same path, so that trees repeat. */
export function inodeOfPath(path: RawString): number {
  sha256Into(bytesFromRaw(path), digest);
  return digest.readUIntBE(0, 6) * 16 + 1;
}
