/** A tree that holds everything a POSIX volume can hold, and a description of any tree in full, for comparison. */
import { execFileSync } from 'node:child_process';
import { createHash, type Hash, randomFillSync } from 'node:crypto';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { chmodAt, chownAt, linkAt, mkdirAt, mknodAt, symlinkAt, utimensAt } from '../src/engine/source/posix-change.ts';
import { O_CREAT, O_DIRECTORY, O_RDONLY, O_WRONLY, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../src/engine/source/posix-constants.ts';
import { pread, pwrite, seekData, seekHole, truncate } from '../src/engine/source/posix-io.ts';
import { listDirectory, readLinkAt } from '../src/engine/source/posix-list.ts';
import { close, openAt } from '../src/engine/source/posix-open.ts';
import { makeDevice, Stat, statAt } from '../src/engine/source/posix-stat.ts';
import { listXattrsAt, setXattrAt } from '../src/engine/source/posix-xattr.ts';
import { type RawString, rawFromText } from '../src/model/raw-bytes.ts';
import { peer } from './peers.ts';

const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;

export const raw = (text: string): RawString => rawFromText(text);
/** A name given byte by byte: characters up to U+00FF. */
export const bytes = (latin1: string): RawString => latin1 as RawString;

/** Fails with the errno that a call returned. */
export function must(result: number, doing = 'system call'): number {
  if (result < 0) throw new Error(`${doing}: errno ${-result}`);
  return result;
}

export const openFolder = (path: string): number => openSync(path, O_RDONLY | O_DIRECTORY);

/** Content at a position of a file of a size: the rest is holes. */
export type Piece = { at: number; content: Buffer };

export function makeFile(directory: number, name: RawString, pieces: readonly Piece[], sizeBytes?: number): void {
  const fd = must(openAt(directory, name, O_WRONLY | O_CREAT, 0o644), 'open');
  try {
    for (const { at, content } of pieces) must(pwrite(fd, content, 0, content.length, at), 'write');
    if (sizeBytes !== undefined) must(truncate(fd, sizeBytes), 'truncate');
  } finally {
    close(fd);
  }
}

export const makeText = (directory: number, name: RawString, text = 'content\n'): void =>
  makeFile(directory, name, [{ at: 0, content: Buffer.from(text) }]);

export function makeFolder(directory: number, name: RawString, inside: (fd: number) => void = () => undefined): void {
  must(mkdirAt(directory, name, 0o755), 'mkdir');
  const fd = must(openAt(directory, name, O_RDONLY | O_DIRECTORY), 'open directory');
  try {
    inside(fd);
  } finally {
    close(fd);
  }
}

export const randomBytes = (length: number): Buffer => randomFillSync(Buffer.alloc(length));

/** What an ordinary user may not make: owners, devices, attributes of the system. */
export type AwkwardOptions = { asRoot: boolean };

/** Fills an empty directory. Needs setfacl; as root setcap too. Everything in it is something that rsync can compare. */
export function makeAwkwardTree(path: string, { asRoot }: AwkwardOptions): void {
  const root = openFolder(path);
  try {
    makeFolder(root, raw('names'), makeNames);
    makeFolder(root, raw('modes'), (fd) => makeModes(fd, asRoot));
    makeFolder(root, raw('links'), (fd) => makeHardLinks(fd, root));
    makeFolder(root, raw('symlinks'), (fd) => makeSymlinks(fd, asRoot));
    makeFolder(root, raw('special'), (fd) => makeSpecial(fd, asRoot));
    makeFolder(root, raw('attributes'), (fd) => makeAttributes(fd, join(path, 'attributes'), asRoot));
    makeFolder(root, raw('sparse'), makeSparse);
    if (asRoot) makeFolder(root, raw('owners'), makeOwners);
    makeFolder(root, raw('empty folder'));
    makeText(root, raw('empty file'), '');
    makeFolder(root, raw('times'), makeTimes);
    // Times of directories come last: what is made in them changes them.
    for (const [i, name] of ['names', 'modes', 'links', 'times', 'empty folder'].entries()) {
      must(utimensAt(root, raw(name), 1_000_000_000 + i, 1, 1_400_000_000 + i, 987_654_321 - i), 'utimens');
    }
  } finally {
    close(root);
  }
}

const awkwardNames = [
  'new\nline',
  'tab\there',
  'quote"s\'and`ticks',
  'back\\slash',
  '\\xff',
  '\\u00e9',
  '-leading-dash',
  ' spaces ',
  '...',
  '<tag>&amp;',
  'line\u2028and\u2029paragraph',
  'käse 日本 🧀',
  'e\u0301 and \u00e9',
  'bell\u0007 delete\u007f',
  '$(echo)*?[a]{b}',
  'right-to-left \u202e txt',
  'x'.repeat(255),
];
const awkwardBytes = ['\xff\xfe', 'half \xe6\x97', 'latin1 \xe9t\xe9', '\x80', '\xed\xa0\x80 surrogate', '\xc0\xaf', '\x01\x02\x1b[31m'];

function makeNames(fd: number): void {
  for (const name of [...awkwardNames.map(raw), ...awkwardBytes.map(bytes)]) makeText(fd, name, name);
  makeFolder(fd, bytes(`folder \xff\n${'y'.repeat(200)}`), (inside) => makeText(inside, bytes('\xfe')));
}

function makeModes(fd: number, asRoot: boolean): void {
  for (const mode of [0o400, 0o755, 0o777, 0o600, 0o4755, 0o2755, 0o6755, 0o1644, ...(asRoot ? [0, 0o7777, 0o111] : [])]) {
    const file = raw(`file ${mode.toString(8)}`);
    makeText(fd, file);
    must(chmodAt(fd, file, mode), 'chmod');
  }
  for (const mode of [0o1777, 0o2775, 0o700, 0o555, ...(asRoot ? [0] : [])]) {
    const folder = raw(`folder ${mode.toString(8)}`);
    makeFolder(fd, folder, (inside) => makeText(inside, raw('inside')));
    must(chmodAt(fd, folder, mode), 'chmod');
  }
}

function makeHardLinks(fd: number, root: number): void {
  makeText(fd, raw('a first'), 'linked\n');
  must(linkAt(fd, raw('a first'), fd, raw('b second')));
  must(linkAt(fd, raw('a first'), root, raw('third in another folder')));
  must(symlinkAt(raw('anywhere'), fd, raw('symlink')));
  must(linkAt(fd, raw('symlink'), fd, raw('symlink again')));
  makeFile(fd, raw('big'), [{ at: 0, content: randomBytes(3 * 1024 * 1024) }]);
  makeFolder(fd, raw('below'), (inside) => must(linkAt(fd, raw('big'), inside, raw('big again'))));
}

function makeSymlinks(fd: number, asRoot: boolean): void {
  const targets = ['../empty file', 'dangling/nowhere', '/', '/etc/passwd', '..', 'z'.repeat(4095), 'quote"\\<\n'];
  for (const [i, target] of targets.entries()) must(symlinkAt(raw(target), fd, raw(`link ${i}`)));
  must(symlinkAt(bytes('not \xff UTF-8 \xfe'), fd, raw('link to bytes')));
  must(utimensAt(fd, raw('link 1'), 1_100_000_000, 123_456_789, 1_200_000_000, 987_654_321));
  if (!asRoot) return;
  must(chownAt(fd, raw('link 1'), 1234, 4321));
  must(setXattrAt(fd, raw('link 2'), 'trusted.of-a-link', Buffer.from('value')));
}

function makeSpecial(fd: number, asRoot: boolean): void {
  must(mknodAt(fd, raw('fifo'), S_IFIFO | 0o622, 0));
  must(utimensAt(fd, raw('fifo'), 5, 6, 7, 8));
  if (!asRoot) return;
  must(mknodAt(fd, raw('null'), S_IFCHR | 0o666, makeDevice(1, 3)));
  must(mknodAt(fd, raw('loop'), S_IFBLK | 0o660, makeDevice(7, 0)));
  must(mknodAt(fd, raw('large numbers'), S_IFCHR | 0o600, makeDevice(4095, 1_048_575)));
  must(mknodAt(fd, raw('overlay whiteout'), S_IFCHR, 0));
  must(chownAt(fd, raw('null'), 12, 34));
  must(setXattrAt(fd, raw('loop'), 'trusted.of-a-device', Buffer.from('value')));
}

function makeAttributes(fd: number, path: string, asRoot: boolean): void {
  makeText(fd, raw('file'));
  must(setXattrAt(fd, raw('file'), 'user.text', Buffer.from('value')), 'setxattr');
  must(setXattrAt(fd, raw('file'), 'user.empty', Buffer.alloc(0)), 'setxattr');
  must(setXattrAt(fd, raw('file'), 'user.binary', Buffer.from([0, 255, 10, 13, 0])), 'setxattr');
  must(setXattrAt(fd, raw('file'), 'user.name ü <&>', randomBytes(3000)), 'setxattr');
  makeFolder(fd, raw('folder'), (inside) => makeText(inside, raw('inside')));
  must(setXattrAt(fd, raw('folder'), 'user.of-a-folder', Buffer.from('value')), 'setxattr');
  // So many that a directory's files are shared out among the lanes.
  makeFolder(fd, raw('many'), (inside) => {
    for (let i = 0; i < 700; i++) {
      makeText(inside, raw(`file ${i}`), `${i}`);
      must(setXattrAt(inside, raw(`file ${i}`), 'user.number', Buffer.from(`${i}`)), 'setxattr');
    }
  });
  makeText(fd, raw('with acl'));
  makeFolder(fd, raw('folder with acl'));
  const setfacl = peer('setfacl');
  if (setfacl) {
    execFileSync(setfacl, ['-m', 'u:1234:rw,g:4321:r,m::rwx', join(path, 'with acl')]);
    execFileSync(setfacl, ['-m', 'u:1234:rwx,d:u:1234:rx,d:g:4321:rwx', join(path, 'folder with acl')]);
  }
  if (!asRoot) return;
  makeText(fd, raw('with capabilities'), '#!/bin/sh\n');
  must(chmodAt(fd, raw('with capabilities'), 0o755));
  must(chownAt(fd, raw('with capabilities'), 1000, 1000));
  const setcap = peer('setcap');
  if (setcap) execFileSync(setcap, ['cap_net_raw,cap_net_bind_service+ep', join(path, 'with capabilities')]);
  must(setXattrAt(fd, raw('with capabilities'), 'trusted.system', Buffer.from('value')), 'setxattr');
}

const MiB = 1024 * 1024;

function makeSparse(fd: number): void {
  const piece = (at: number, length: number): Piece => ({ at, content: randomBytes(length).map((byte) => byte | 1) as Buffer });
  makeFile(fd, raw('hole at the beginning'), [piece(5 * MiB, 100_000)]);
  makeFile(fd, raw('hole in the middle'), [piece(0, 4096), piece(3 * MiB, 700_000)]);
  makeFile(fd, raw('hole at the end'), [piece(0, 2 * MiB)], 20 * MiB + 123);
  makeFile(fd, raw('nothing but a hole'), [], 9 * MiB + 1);
  makeFile(fd, raw('small hole'), [piece(0, 4096), piece(65_536, 10)], 200_000);
  makeFile(
    fd,
    raw('many holes'),
    Array.from({ length: 40 }, (_, i) => piece(i * 640 * 1024 + 8192, 4096 + 7 * i)),
  );
  makeFile(fd, raw('odd hole'), [piece(0, 999_999), piece(10 * MiB + 777, 3 * MiB + 1)], 14 * MiB);
}

function makeOwners(fd: number): void {
  for (const [uid, gid] of [
    [1000, 1000],
    [1, 4],
    [54_321, 65_534],
    [2 ** 32 - 2, 2 ** 32 - 2],
  ] as const) {
    makeText(fd, raw(`${uid} ${gid}`));
    must(chownAt(fd, raw(`${uid} ${gid}`), uid, gid), 'chown');
  }
  makeFolder(fd, raw('folder'), (inside) => makeText(inside, raw('inside')));
  must(chownAt(fd, raw('folder'), 99, 98), 'chown');
  // chown takes these bits away: they are set afterwards, by a restore too.
  makeText(fd, raw('setuid of another'));
  must(chownAt(fd, raw('setuid of another'), 99, 98), 'chown');
  must(chmodAt(fd, raw('setuid of another'), 0o6755), 'chmod');
}

function makeTimes(fd: number): void {
  const times = [
    [0, 0],
    [0, 1],
    [-1, 999_999_999],
    [-2_000_000_000, 5],
    [1_700_000_000, 120_000_000],
    [1_700_000_000, 999_999_999],
    [4_102_444_800, 1],
    [7_258_118_400, 100],
  ] as const;
  for (const [sec, nsec] of times) {
    makeText(fd, raw(`${sec}.${nsec}`));
    must(utimensAt(fd, raw(`${sec}.${nsec}`), 1, 2, sec, nsec), 'utimens');
  }
}

/** All that a user can tell of an entry, but for access and change times. */
export type Description = {
  mode: number;
  uid: number;
  gid: number;
  mtime: string;
  size: number | bigint | undefined;
  device: number | bigint;
  /** The first of all paths of the same inode. */
  linkedTo: string | undefined;
  target: string | undefined;
  attributes: string[];
  /** Hash of the content of a file. */
  content: string | undefined;
  /** Bytes of a file that are not in holes. */
  dataBytes: number | undefined;
};

/** Describes what is in a directory. Paths are raw and may be longer than any system call takes. */
export function describeTree(path: string): Map<string, Description> {
  const found = new Map<string, Description>();
  const firstPaths = new Map<string, string>();
  const root = openFolder(path);
  try {
    describeFolder(root, '', found, firstPaths);
  } finally {
    close(root);
  }
  return found;
}

function describeFolder(fd: number, prefix: string, found: Map<string, Description>, firstPaths: Map<string, string>): void {
  const listing = listDirectory(fd);
  if (typeof listing === 'number') throw new Error(`list ${prefix}: errno ${-listing}`);
  for (const name of listing.names.sort()) {
    const path = prefix === '' ? name : `${prefix}/${name}`;
    const description = describe(fd, name, path, firstPaths);
    found.set(path, description);
    if ((description.mode & S_IFMT) !== S_IFDIR) continue;
    const inside = must(openAt(fd, name, O_RDONLY | O_DIRECTORY), `open ${path}`);
    try {
      describeFolder(inside, path, found, firstPaths);
    } finally {
      close(inside);
    }
  }
}

function describe(fd: number, name: RawString, path: string, firstPaths: Map<string, string>): Description {
  const stat = new Stat();
  must(statAt(fd, name, stat), `stat ${path}`);
  const type = stat.mode & S_IFMT;
  const inode = `${stat.device}:${stat.inode}`;
  const linkedTo = type !== S_IFDIR && stat.links > 1 ? (firstPaths.get(inode) ?? path) : undefined;
  if (linkedTo !== undefined) firstPaths.set(inode, linkedTo);
  const attributes = listXattrsAt(fd, name);
  if (typeof attributes === 'number') throw new Error(`attributes of ${path}: errno ${-attributes}`);
  const target = type === S_IFLNK ? readLinkAt(fd, name) : undefined;
  return {
    mode: stat.mode,
    uid: stat.uid,
    gid: stat.gid,
    mtime: `${stat.mtimeSec}.${String(stat.mtimeNsec).padStart(9, '0')}`,
    size: type === S_IFREG || type === S_IFLNK ? stat.size : undefined,
    device: stat.rdev,
    linkedTo,
    target: typeof target === 'number' ? `errno ${-target}` : target,
    attributes: attributes.map(({ name: attribute, value }) => `${attribute}=${value?.toString('base64')}`).sort(),
    ...(type === S_IFREG ? describeContent(fd, name, Number(stat.size)) : { content: undefined, dataBytes: undefined }),
  };
}

const page = 4096;
const zeros = Buffer.alloc(page);

/** Content by its pages that are not all zero, so that holes and zeros are the same, and holes cost nothing. */
function describeContent(directory: number, name: RawString, sizeBytes: number): { content: string; dataBytes: number } {
  const fd = must(openAt(directory, name, O_RDONLY), `open ${name}`);
  const hash = createHash('sha256');
  let dataBytes = 0;
  const buffer = Buffer.alloc(Math.min(MiB, sizeBytes));
  try {
    for (let start = seekData(fd, 0); start >= 0; ) {
      const end = must(seekHole(fd, start), 'seek');
      dataBytes += end - start;
      for (let at = start; at < end; ) {
        const got = must(pread(fd, buffer, 0, Math.min(buffer.length, end - at), at), 'read');
        if (got === 0) break;
        hashPages(hash, buffer.subarray(0, got), at);
        at += got;
      }
      start = seekData(fd, end);
    }
  } finally {
    close(fd);
  }
  return { content: hash.digest('hex'), dataBytes };
}

function hashPages(hash: Hash, content: Buffer, position: number): void {
  for (let at = 0; at < content.length; at += page) {
    const piece = content.subarray(at, at + page);
    if (piece.equals(zeros.subarray(0, piece.length))) continue;
    hash.update(`${position + at}\n`);
    hash.update(piece);
  }
}

/** A hole that begins or ends in the middle of a chunk may cost pages at its ends. */
const allowedDataBytes = (of: Description): number => (of.dataBytes ?? 0) + 4 * page + Math.ceil(Number(of.size) / (512 * 1024)) * 2 * page;

/** Paths whose descriptions differ, with what differs: empty when the trees are the same. */
export function compareTrees(original: Map<string, Description>, copy: Map<string, Description>): string[] {
  const different: string[] = [];
  for (const path of new Set([...original.keys(), ...copy.keys()])) {
    const [a, b] = [original.get(path), copy.get(path)];
    if (a === undefined || b === undefined)
      different.push(`${JSON.stringify(path)}: ${a === undefined ? 'not in the original' : 'missing'}`);
    else {
      for (const key of Object.keys(a) as (keyof Description)[]) {
        const [before, after] = [String(a[key]), String(b[key])];
        if (key === 'dataBytes' && (b.dataBytes ?? 0) <= allowedDataBytes(a)) continue;
        if (before !== after)
          different.push(`${JSON.stringify(path).slice(0, 200)}: ${key} was ${before.slice(0, 500)}, is ${after.slice(0, 500)}`);
      }
    }
  }
  return different;
}
