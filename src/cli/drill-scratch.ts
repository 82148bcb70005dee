/** Folders that drills restore into: nobody else's, and gone afterwards whatever happens. */
import { chmodSync, lstatSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HoldfastError } from '../model/errors.ts';
import { formatSize } from '../model/quantities.ts';
import { holdLock } from './kernel-lock.ts';

const prefix = 'holdfast-drill-';
/** A drill's mark of life: the kernel lets go of its lock when the drill ends in whatever way, in whichever container. */
const mark = '.running';
/** A folder without a mark is just being made, or was given up in that moment. */
const youngMs = 3_600_000;

export type Scratch = {
  folder: string;
  /** A folder in it that is not there yet. */
  place(name: string): string;
  /** Removes what was restored to it. */
  clear(path: string): void;
  remove(): void;
};

/** Where drills go when nobody says: `TMPDIR`, `/var/tmp`, then where the system has its temporary files. */
export const scratchCandidates = (environment: NodeJS.ProcessEnv): string[] => [
  ...new Set([...(environment.TMPDIR ? [environment.TMPDIR] : []), '/var/tmp', tmpdir()]),
];

/**
 * The first of the folders that has room.
 * @param neededBytes of the largest volume: each is removed before the next one.
 * @throws `target-full` when none has, `target-unwritable` when none can be looked into.
 */
export function chooseScratch(folders: readonly string[], neededBytes: number, volume: string): string {
  let roomiest: { folder: string; freeBytes: number } | undefined;
  let failure: unknown;
  for (const folder of folders) {
    try {
      const freeBytes = freeBytesOf(folder);
      if (freeBytes >= neededBytes) return folder;
      if (roomiest === undefined || freeBytes > roomiest.freeBytes) roomiest = { folder, freeBytes };
    } catch (error) {
      failure = error;
    }
  }
  if (roomiest === undefined)
    throw new HoldfastError('target-unwritable', `there is no scratch space at ${folders.join(', ')}`, { cause: failure, volume });
  const { folder, freeBytes } = roomiest;
  const message = `a drill of ${volume} takes about ${formatSize(neededBytes)}, and ${folder} has room for ${formatSize(freeBytes)}`;
  throw new HoldfastError('target-full', message, { volume, file: folder, remedy: 'name a folder with more room: --scratch DIR' });
}

/** A file system in memory may not say how large it is. */
function freeBytesOf(folder: string): number {
  const { blocks, bavail, bsize } = statfsSync(folder);
  return blocks === 0 ? Number.POSITIVE_INFINITY : bavail * bsize;
}

/** Makes a folder that only this user can look into. @throws `target-unwritable`. */
export function makeScratch(parent: string): Scratch {
  let folder: string;
  let release: () => void;
  try {
    folder = mkdtempSync(join(parent, prefix));
    release = hold(folder) as () => void;
  } catch (cause) {
    throw new HoldfastError('target-unwritable', `no scratch folder can be made in ${parent}`, { cause, file: parent });
  }
  return {
    folder,
    place: (name) => join(folder, name),
    clear: removeTree,
    remove() {
      removeTree(folder);
      release();
    },
  };
}

/**
 * Removes what drills that were killed have left in a folder.
 * @returns the folders that were removed.
 */
export function removeLeftScratch(parent: string, nowMs: number): string[] {
  const removed: string[] = [];
  for (const name of namesIn(parent)) {
    const folder = join(parent, name);
    try {
      const { uid, mtimeMs, isFolder } = look(folder);
      // In a folder that all may write to, anybody could have made it.
      if (!isFolder || uid !== process.geteuid?.()) continue;
      const isMarked = namesIn(folder, mark).includes(mark);
      if (!isMarked && nowMs - mtimeMs < youngMs) continue;
      const release = hold(folder);
      if (release === undefined) continue;
      try {
        removeTree(folder);
      } finally {
        release();
      }
      removed.push(folder);
    } catch {
      // It is another drill's that ends just now, or the next one's to remove.
    }
  }
  return removed;
}

function look(folder: string): { uid: number; mtimeMs: number; isFolder: boolean } {
  const status = lstatSync(folder);
  return { uid: status.uid, mtimeMs: status.mtimeMs, isFolder: status.isDirectory() };
}

function namesIn(folder: string, begin = prefix): string[] {
  try {
    return readdirSync(folder).filter((name) => name.startsWith(begin));
  } catch {
    return [];
  }
}

/** Undefined when another process holds it. */
const hold = (folder: string): (() => void) | undefined => holdLock(join(folder, mark));

/** What was restored may be closed to its owner, too. */
function removeTree(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    open(Buffer.from(path));
    rmSync(path, { recursive: true, force: true });
  }
}

function open(folder: Buffer): void {
  chmodSync(folder, 0o700);
  for (const entry of readdirSync(folder, { withFileTypes: true, encoding: 'buffer' }))
    if (entry.isDirectory()) open(Buffer.concat([folder, Buffer.from('/'), entry.name]));
}
