/**
 * Files that programs write through mapped memory (mmap). The kernel gives such a file new times only when a page is written that was clean: a program
 * that writes the same page again, before it was flushed, leaves no trace that a backup could compare. Flushing makes all pages clean.
 * (Linux: `file_update_time` in `page_mkwrite`, and `page_mkclean` when a page is flushed.)
 */
import { constants } from 'node:fs';
import { open, statfs } from 'node:fs/promises';
import { syncFileSystemAside } from './posix-io.ts';

/**
 * After it, whatever is written changes the times of its file, for all files on the file systems of these directories. Takes as long as the disks
 * do for what waits to be written; nothing waits for it but the caller. A directory that is not there is left to who reads it.
 * @returns whether all were flushed.
 */
export async function settleMappedWrites(directories: readonly string[]): Promise<boolean> {
  const seen = new Set<number>();
  let settled = true;
  for (const directory of directories) {
    const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY).catch(() => undefined);
    if (handle === undefined) continue;
    try {
      const { dev } = await handle.stat();
      if (!seen.has(dev)) settled = (await syncFileSystemAside(handle.fd)) && settled;
      seen.add(dev);
    } finally {
      await handle.close();
    }
  }
  return settled;
}

/** `TMPFS_MAGIC` and `RAMFS_MAGIC` of `linux/magic.h`. */
const neverFlushed = new Set([0x01021994, 0x858458f6]);

/** False where nothing is ever flushed, because files are in memory alone: times tell nothing of what is written there through mappings. */
export async function canSettle(directory: string): Promise<boolean> {
  const found = await statfs(directory).catch(() => undefined);
  return found === undefined || !neverFlushed.has(found.type);
}
