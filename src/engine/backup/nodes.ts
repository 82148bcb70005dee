/** From what the kernel says of a file to a node of a tree, and whether that is what the parent snapshot holds. */
import { goModeFromStat, nodeTypeFromStatMode } from '../../format/file-mode.ts';
import { formatTime, tryParseTime } from '../../format/time.ts';
import type { ExtendedAttribute, TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { groupName, userName } from '../source/posix-accounts.ts';
import type { Stat } from '../source/posix-stat.ts';
import type { ChangeDetection } from './messages.ts';

const noAttributes: ExtendedAttribute[] = [];

/** A node without content, link target or subtree. `atime` is written equal to `mtime` unless asked otherwise, as restic does. */
export function nodeFromStat(name: RawString, stat: Stat, withAtime: boolean): TreeNode {
  const mtime = formatTime(stat.mtimeSec, stat.mtimeNsec);
  const type = nodeTypeFromStatMode(stat.mode);
  return {
    name,
    type,
    mode: goModeFromStat(stat.mode),
    mtime,
    atime: withAtime ? formatTime(stat.atimeSec, stat.atimeNsec) : mtime,
    ctime: formatTime(stat.ctimeSec, stat.ctimeNsec),
    uid: stat.uid,
    gid: stat.gid,
    user: userName(stat.uid),
    group: groupName(stat.gid),
    inode: stat.inode,
    deviceId: stat.device,
    size: type === 'file' ? stat.size : 0,
    // As restic: for a FIFO there is none, hard-linked or not.
    links: type === 'dir' || type === 'fifo' ? 0 : stat.links,
    linkTarget: undefined,
    extendedAttributes: noAttributes,
    device: type === 'dev' || type === 'chardev' ? stat.rdev : 0,
    content: undefined,
    subtree: undefined,
    error: '',
    unknown: undefined,
  };
}

/**
 * Whether a node of the parent snapshot is to the letter what a node made of `stat` would be, content, link target, subtree and attributes
 * aside. Those of a file, too, are the same then, because whatever changes them changes the ctime.
 */
export function isAsBefore(parent: TreeNode, stat: Stat, withAtime: boolean): boolean {
  return (
    parent.inode === stat.inode &&
    parent.mode === goModeFromStat(stat.mode) &&
    (parent.type !== 'file' || parent.size === stat.size) &&
    parent.mtime === formatTime(stat.mtimeSec, stat.mtimeNsec) &&
    parent.ctime === formatTime(stat.ctimeSec, stat.ctimeNsec) &&
    parent.atime === (withAtime ? formatTime(stat.atimeSec, stat.atimeNsec) : parent.mtime) &&
    parent.uid === stat.uid &&
    parent.gid === stat.gid &&
    parent.user === userName(stat.uid) &&
    parent.group === groupName(stat.gid) &&
    parent.deviceId === stat.device &&
    (parent.type === 'dir' || parent.links === stat.links) &&
    parent.error === '' &&
    parent.unknown === undefined
  );
}

/** Whether a file was touched so late that its times cannot tell whether its content is the parent's. */
export const isDistrusted = (ctimeSec: number, { distrustedFromSec }: ChangeDetection): boolean =>
  distrustedFromSec !== undefined && ctimeSec >= distrustedFromSec;

/** The same instant, perhaps written in another zone. */
export function sameInstant(a: string, b: string): boolean {
  if (a === b) return true;
  const [left, right] = [tryParseTime(a), tryParseTime(b)];
  return left !== undefined && right !== undefined && left.sec === right.sec && left.nsec === right.nsec;
}

/** Whether a file's content can be taken over from the parent snapshot without being read. */
export function contentUnchanged(node: TreeNode, parent: TreeNode | undefined, changes: ChangeDetection): parent is TreeNode {
  return (
    !changes.force &&
    !(changes.distrustedFromSec !== undefined && isDistrusted(tryParseTime(node.ctime)?.sec ?? Number.POSITIVE_INFINITY, changes)) &&
    parent !== undefined &&
    parent.type === node.type &&
    parent.content !== undefined &&
    parent.size === node.size &&
    sameInstant(parent.mtime, node.mtime) &&
    (changes.ignoreCtime || sameInstant(parent.ctime, node.ctime)) &&
    (changes.ignoreInode || parent.inode === node.inode)
  );
}

/**
 * Whether extended attributes can be taken over: setting one changes the ctime, which nothing can set back. (Renaming does too, so
 * that nothing but the same file has both the inode and the ctime.) Those of a node with an error could not be read.
 */
export function attributesUnchanged(node: TreeNode, parent: TreeNode | undefined, changes: ChangeDetection): parent is TreeNode {
  return (
    !changes.force &&
    parent !== undefined &&
    parent.type === node.type &&
    parent.inode === node.inode &&
    parent.deviceId === node.deviceId &&
    parent.error === '' &&
    sameInstant(parent.ctime, node.ctime)
  );
}
