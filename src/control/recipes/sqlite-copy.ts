/**
 * One SQLite database into one file that is consistent, whatever is written to it meanwhile. Meant for a process of its own: a hostile or locked
 * database holds up nobody else, and nobody else's close of the same file drops the locks that are held while it is copied
 * (sqlite.org/howtocorrupt.html, 2.2). Nothing is written beside the database. Who writes to the volume may swap folders for symlinks at any moment:
 * the folder of the database is held by a descriptor, and SQLite, which knows only names, must make no file and read no log of another folder.
 */
import { type BigIntStats, closeSync, constants, copyFileSync, fstatSync, lstatSync, openSync, readdirSync, rmSync } from 'node:fs';
import { backup, DatabaseSync } from 'node:sqlite';
import { setTimeout } from 'node:timers/promises';
import { O_DIRECTORY, O_RDONLY } from '../../engine/source/posix-constants.ts';
import { close, openBeneath, openDirectoryRoot } from '../../engine/source/posix-open.ts';
import { bytesFromRaw, type RawString, rawFromBytes } from '../../model/raw-bytes.ts';

export type CopyRequest = {
  /** Absolute path of the volume's root, in base64: names need not be text. */
  root: string;
  /** The database in it, in base64. No symlink on the way is followed. */
  path: string;
  /** What was found there: a symlink that has taken its place since is not followed anywhere. */
  device: string;
  inode: string;
  /** Whether its header says that it keeps a write-ahead log. */
  keepsLog: boolean;
  /** Absolute path of the copy; not there yet. */
  into: string;
};

export type CopyReply = { ok: true } | { ok: false; reason: string };

/** How long a writer may keep its lock before a step of the copy gives up. */
const longestBusyMs = 10_000;
/** All pages at once: in steps, the copy would begin anew whenever somebody else writes in between, and never end under load. */
const allPages = 2 ** 31 - 1;
/** Times of files tell writes apart that are so far from each other. */
const clockTickMs = 50;
const attempts = 5;
const sidecars = ['-wal', '-journal'];

/** By SQLite's own online backup where a program has it open, or may; else of the files as they stand, when nothing happens to them. */
export async function copyDatabase(request: CopyRequest, options: { busyMs?: number } = {}): Promise<CopyReply> {
  const path = rawFromBytes(Buffer.from(request.path, 'base64'));
  const root = openDirectoryRoot(rawFromBytes(Buffer.from(request.root, 'base64')));
  const cut = path.lastIndexOf('/');
  const folder = root < 0 ? root : openBeneath(root, path.slice(0, Math.max(cut, 0)) as RawString, O_RDONLY | O_DIRECTORY);
  if (root >= 0) close(root);
  if (folder < 0) return { ok: false, reason: 'its folder is gone, or something else has taken its place' };
  try {
    const held = Buffer.concat([Buffer.from(`/proc/self/fd/${folder}/`), bytesFromRaw(path.slice(cut + 1) as RawString)]);
    return await copyHeld(held, request, options);
  } finally {
    close(folder);
  }
}

/** @param path by the descriptor of its folder. */
async function copyHeld(path: Buffer, request: CopyRequest, { busyMs = longestBusyMs }: { busyMs?: number }): Promise<CopyReply> {
  const reasons: string[] = [];
  for (const copy of canBeOpen(path, request) ? [copyOnline, copyQuiet] : [copyQuiet, copyOnline]) {
    // Opening what nobody has open would make a log beside it.
    if (copy === copyOnline && !canBeOpen(path, request)) continue;
    try {
      await copy(path, request, busyMs);
      return { ok: true };
    } catch (error) {
      reasons.push((error as Error).message);
      for (const suffix of ['', '-shm', ...sidecars]) rmSync(`${request.into}${suffix}`, { force: true });
    }
  }
  return { ok: false, reason: [...new Set(reasons)].join('; ') };
}

/** With a write-ahead log, whoever has it open has both files beside it. */
const canBeOpen = (path: Buffer, { keepsLog }: CopyRequest): boolean =>
  !keepsLog || (statOf(path, '-wal') !== undefined && statOf(path, '-shm') !== undefined);

async function copyOnline(path: Buffer, request: CopyRequest, busyMs: number): Promise<void> {
  // Otherwise a reader, too, makes and changes the log's index (sqlite.org/c3ref/open.html, sqlite.org/wal.html#readonly).
  const source = new DatabaseSync(fileUrl(path, 'readonly_shm=1'), { readOnly: true, timeout: busyMs });
  try {
    // Looked at by descriptor: opening and closing it once more would drop the locks.
    if (!openDescriptors().some((found) => isSame(found, request))) throw new Error('something else has taken its place');
    // A copy would wait for ever where this is refused.
    source.prepare('SELECT count(*) FROM sqlite_schema').get();
    if (request.keepsLog && !isOpen(statOf(path, '-wal'))) throw new Error('something else has taken the place of its log');
    await backup(source, request.into, { rate: allPages });
  } finally {
    source.close();
  }
}

/** With every byte escaped: a name may hold anything. */
function fileUrl(path: Buffer, query: string): URL {
  const escaped = [...path].map((byte) => (byte === 0x2f ? '/' : `%${byte.toString(16).padStart(2, '0')}`)).join('');
  return new URL(`file://${escaped}?${query}`);
}

const isOpen = (file: BigIntStats | undefined): boolean =>
  file !== undefined && openDescriptors().some(({ dev, ino }) => dev === file.dev && ino === file.ino);

function openDescriptors(): BigIntStats[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [fstatSync(Number(fd), { bigint: true })];
    } catch {
      return [];
    }
  });
}

const isSame = ({ dev, ino }: BigIntStats, { device, inode }: CopyRequest): boolean => String(dev) === device && String(ino) === inode;

/** The files as one image at one instant: what a power cut would leave, which SQLite recovers. */
async function copyQuiet(path: Buffer, request: CopyRequest): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    await setTimeout(clockTickMs);
    const startedMs = Date.now();
    const before = stateOf(path);
    copyFile(path, request.into, request);
    for (const suffix of sidecars) {
      if (statOf(path, suffix) !== undefined) copyFile(withSuffix(path, suffix), `${request.into}${suffix}`);
    }
    // What was written right before may be written again without showing.
    if (before === stateOf(path) && startedMs - latestChangeMs(path) > clockTickMs) break;
    if (attempt === attempts) throw new Error('it is written to all the time');
    for (const suffix of ['', ...sidecars]) rmSync(`${request.into}${suffix}`, { force: true });
  }
  // Rolls in its log, or rolls back its journal.
  const copy = new DatabaseSync(request.into);
  try {
    copy.prepare('SELECT count(*) FROM sqlite_schema').get();
  } finally {
    copy.close();
  }
  for (const suffix of sidecars) rmSync(`${request.into}${suffix}`, { force: true });
}

function copyFile(path: Buffer, into: string, wanted?: CopyRequest): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const found = fstatSync(fd, { bigint: true });
    if (!found.isFile() || (wanted !== undefined && !isSame(found, wanted))) throw new Error('something else has taken its place');
    copyFileSync(`/proc/self/fd/${fd}`, into, constants.COPYFILE_FICLONE);
  } finally {
    closeSync(fd);
  }
}

const withSuffix = (path: Buffer, suffix: string): Buffer => Buffer.concat([path, Buffer.from(suffix)]);

/** Of a file; whatever else is there is nothing of a database's. */
function statOf(path: Buffer, suffix: string): BigIntStats | undefined {
  const found = lstatSync(withSuffix(path, suffix), { bigint: true, throwIfNoEntry: false });
  return found?.isFile() ? found : undefined;
}

/** Of the database and what is beside it: another text when anything was written. */
const stateOf = (path: Buffer): string =>
  ['', '-shm', ...sidecars]
    .map((suffix) => statOf(path, suffix))
    .map((found) => found && [found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' '))
    .join('\n');

const latestChangeMs = (path: Buffer): number => Math.max(...['', ...sidecars].map((suffix) => Number(statOf(path, suffix)?.ctimeMs ?? 0)));
