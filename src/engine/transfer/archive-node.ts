/** An entry of an archive as a node of a tree. */
import { createHash } from 'node:crypto';
import { goModeFromStat } from '../../format/file-mode.ts';
import { formatTime } from '../../format/time.ts';
import type { TreeNode } from '../../model/node.ts';
import { bytesFromRaw, type RawString } from '../../model/raw-bytes.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from '../source/posix-constants.ts';
import { makeDevice } from '../source/posix-stat.ts';
import type { TarReadEntry } from '../source/tar-read.ts';
import { nameOf } from './archive-names.ts';

const statTypes = { file: S_IFREG, link: S_IFREG, dir: S_IFDIR, symlink: S_IFLNK, chardev: S_IFCHR, dev: S_IFBLK, fifo: S_IFIFO } as const;

/** Without content. What an archive doesn't tell: the ctime and atime are the mtime, the device 0, the inode made of the path. */
export function nodeOfEntry(entry: TarReadEntry, path: RawString): TreeNode {
  const { type, uid, gid, user, group } = entry;
  const mtime = formatTime(entry.mtimeSec, entry.mtimeNsec);
  return {
    name: nameOf(path),
    type: type === 'link' ? 'file' : type,
    mode: goModeFromStat(statTypes[type] | entry.mode),
    mtime,
    atime: mtime,
    ctime: mtime,
    uid,
    gid,
    user,
    group,
    inode: pathNumber(path),
    deviceId: 0,
    size: 0,
    links: type === 'dir' || type === 'fifo' ? 0 : 1,
    linkTarget: type === 'symlink' ? entry.target : undefined,
    extendedAttributes: entry.attributes,
    device: type === 'dev' || type === 'chardev' ? makeDevice(entry.major, entry.minor) : 0,
    content: type === 'file' ? [] : undefined,
    subtree: undefined,
    error: '',
    unknown: undefined,
  };
}

/** A directory that only paths below it speak of. */
export function impliedDirectory(path: RawString): TreeNode {
  const metadata = { mode: 0o755, uid: 0, gid: 0, user: '', group: '', mtimeSec: 0, mtimeNsec: 0, target: '' as RawString };
  const nothing = { sizeBytes: 0, major: 0, minor: 0, attributes: [], content: (async function* () {})() };
  return nodeOfEntry({ type: 'dir', path, ...metadata, ...nothing }, path);
}

/**
 * 52 bits, never 0: the same in every import of the same path, so that trees repeat. It stands for the path, too, in sets that are too
 * large for paths.
 */
export const pathNumber = (path: RawString): number => createHash('sha256').update(bytesFromRaw(path)).digest().readUIntBE(0, 6) * 16 + 1;
