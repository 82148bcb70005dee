/** Owners, modes, attributes and times of what is restored: set where they differ, and what cannot be set is counted. */
import { statModeFromGo } from '../../format/file-mode.ts';
import { parseTime } from '../../format/time.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { chmodAt, chmodFd, chownAt, chownFd, utimensAt, utimensFd } from '../source/posix-change.ts';
import { ENODATA, errnoName, S_IFLNK, S_IFMT } from '../source/posix-constants.ts';
import type { Stat } from '../source/posix-stat.ts';
import { listXattrsAt, listXattrsFd, removeXattrAt, removeXattrFd, setXattrAt, setXattrFd } from '../source/posix-xattr.ts';
import type { Attribute, Metadata } from './messages.ts';
import type { OwnerOptions } from './options.ts';

/** Bits of what differs. */
const ownerDiffers = 1;
const modeDiffers = 2;
const attributesDiffer = 4;
const timesDiffer = 8;

export const differenceNames: readonly [bit: number, name: string][] = [
  [ownerDiffers, 'owner'],
  [modeDiffers, 'mode'],
  [attributesDiffer, 'extended attributes'],
  [timesDiffer, 'times'],
];

/** Told of a kind of thing that could not be set, to be counted under. */
export type Warn = (warning: string) => void;

const warningStarts: readonly [start: string, bits: number][] = [
  // Without the owner, setuid and setgid are left out too.
  ['owner not set', ownerDiffers | modeDiffers],
  ['mode not set', modeDiffers],
  ['extended attribute', attributesDiffer | modeDiffers],
  ['times not set', timesDiffer],
];

/** The bits that a warning of {@link applyMetadata} says were not set. */
export const refusedBitOf = (warning: string): number => warningStarts.find(([start]) => warning.startsWith(start))?.[1] ?? 0;

const noAttributes: readonly Attribute[] = [];

/** The metadata that a node asks for, with owners mapped. */
export function metadataOf(node: TreeNode, { owner, mapUid, mapGid }: OwnerOptions): Metadata {
  const mtime = parseTime(node.mtime);
  const atime = node.atime === node.mtime ? mtime : parseTime(node.atime);
  return {
    mode: statModeFromGo(node.mode) & 0o7777,
    uid: owner?.uid ?? mapUid?.get(node.uid) ?? node.uid,
    gid: owner?.gid ?? mapGid?.get(node.gid) ?? node.gid,
    mtimeSec: mtime.sec,
    mtimeNsec: mtime.nsec,
    atimeSec: atime.sec,
    atimeNsec: atime.nsec,
    attributes: node.extendedAttributes.length === 0 ? noAttributes : attributesOf(node),
  };
}

/** Values are copied: a pooled Buffer would drag its whole pool across threads. */
function attributesOf(node: TreeNode): Attribute[] {
  return node.extendedAttributes.flatMap(({ name, value }) => (value === undefined ? [] : [{ name, value: new Uint8Array(value) }]));
}

/** What is known of a file before its metadata is set. */
export type Before =
  /** Just made by this process with this mode, without attributes, owned as {@link myUid} and {@link myGid} say. */
  | { made: number }
  /** As the kernel has just said. */
  | { stat: Stat };

const myUid = process.geteuid?.() ?? 0;
const myGid = process.getegid?.() ?? 0;

/**
 * Sets what differs; with `write` false only finds it. `name` undefined means the open file `fd` itself, else `name` in the directory `fd`.
 * The order matters: changing the owner takes away setuid bits and capabilities, and a file that is made read-only first could not get
 * attributes of users; times come last, because everything else changes them.
 * @returns the bits of what differed.
 */
export function applyMetadata(fd: number, name: RawString | undefined, wanted: Metadata, before: Before, warn: Warn, write = true): number {
  const stat = 'stat' in before ? before.stat : undefined;
  const isLink = stat !== undefined && (stat.mode & S_IFMT) === S_IFLNK;
  const mode = stat === undefined ? (before as { made: number }).made : stat.mode & 0o7777;
  let differs = 0;
  let ownerRefused = false;
  if ((stat?.uid ?? myUid) !== wanted.uid || (stat?.gid ?? myGid) !== wanted.gid) {
    differs |= ownerDiffers;
    if (write) ownerRefused = setOwner(fd, name, wanted, warn);
  }
  if (stat !== undefined || wanted.attributes.length > 0) {
    if (applyAttributes(fd, name, wanted.attributes, stat !== undefined, warn, write)) differs |= attributesDiffer;
  }
  if (!isLink && (mode !== wanted.mode || (differs & (ownerDiffers | attributesDiffer)) !== 0)) {
    if (mode !== wanted.mode) differs |= modeDiffers;
    if (write) setMode(fd, name, ownerRefused ? wanted.mode & 0o1777 : wanted.mode, warn);
  }
  const timesAreRight = stat !== undefined && stat.mtimeSec === wanted.mtimeSec && stat.mtimeNsec === wanted.mtimeNsec;
  if (!timesAreRight) differs |= timesDiffer;
  if (write && !timesAreRight) setTimes(fd, name, wanted, warn);
  return differs;
}

/** A file that could not be given to its owner must not run with the rights of whoever restored it: the caller leaves setuid bits out. */
function setOwner(fd: number, name: RawString | undefined, { uid, gid }: Metadata, warn: Warn): boolean {
  const result = name === undefined ? chownFd(fd, uid, gid) : chownAt(fd, name, uid, gid);
  if (result === 0) return false;
  warn(`owner not set (${errnoName(result)})`);
  return true;
}

function setMode(fd: number, name: RawString | undefined, mode: number, warn: Warn): void {
  const result = name === undefined ? chmodFd(fd, mode) : chmodAt(fd, name, mode);
  if (result < 0) warn(`mode not set (${errnoName(result)})`);
}

function setTimes(fd: number, name: RawString | undefined, m: Metadata, warn: Warn): void {
  const result =
    name === undefined
      ? utimensFd(fd, m.atimeSec, m.atimeNsec, m.mtimeSec, m.mtimeNsec)
      : utimensAt(fd, name, m.atimeSec, m.atimeNsec, m.mtimeSec, m.mtimeNsec);
  if (result < 0) warn(`times not set (${errnoName(result)})`);
}

/** Labels belong to the security policy of the machine, which puts them on by itself: they are set, but never taken away. */
const isLabel = (attribute: string): boolean => attribute === 'security.selinux' || attribute === 'security.SMACK64';

/** @returns whether any differed. */
function applyAttributes(
  fd: number,
  name: RawString | undefined,
  wanted: readonly Attribute[],
  mayHaveSome: boolean,
  warn: Warn,
  write: boolean,
): boolean {
  const listed = mayHaveSome ? (name === undefined ? listXattrsFd(fd) : listXattrsAt(fd, name)) : noAttributes;
  const there = typeof listed === 'number' ? noAttributes : listed;
  let differs = false;
  for (const { name: attribute } of there) {
    if (isLabel(attribute) || wanted.some((a) => a.name === attribute)) continue;
    differs = true;
    if (!write) continue;
    const result = name === undefined ? removeXattrFd(fd, attribute) : removeXattrAt(fd, name, attribute);
    if (result < 0 && result !== -ENODATA) warn(`extended attribute ${attribute} not removed (${errnoName(result)})`);
  }
  for (const { name: attribute, value } of wanted) {
    const old = there.find((a) => a.name === attribute)?.value;
    if (old !== undefined && Buffer.compare(old, value) === 0) continue;
    differs = true;
    if (!write) continue;
    const result = name === undefined ? setXattrFd(fd, attribute, value) : setXattrAt(fd, name, attribute, value);
    if (result < 0) warn(`extended attribute ${attribute} not set (${errnoName(result)})`);
  }
  return differs;
}
