/** What a directory holds, by a full walk: for when it is asked for. */
import { type Dirent, lstatSync } from 'node:fs';
import { opendir } from 'node:fs/promises';

/** Content of files, hard links once; what cannot be looked at is left out. Names are bytes. */
export async function measureDirectory(directory: string, signal: AbortSignal): Promise<{ bytes: number; files: number }> {
  const links = new Set<string>();
  const folders: Buffer[] = [Buffer.from(directory)];
  const sum = { bytes: 0, files: 0 };
  const add = (path: Buffer, entry: Dirent) => {
    if (entry.isDirectory()) return void folders.push(path);
    if (!entry.isFile()) return;
    const { size, nlink, ino, dev } = lstatSync(path, { throwIfNoEntry: false }) ?? { size: 0, nlink: 0, ino: 0, dev: 0 };
    sum.files++;
    if (nlink > 1 && links.size === links.add(`${dev}:${ino}`).size) return;
    sum.bytes += size;
  };
  for (let folder = folders.pop(); folder !== undefined && !signal.aborted; folder = folders.pop()) {
    const entries = await opendir(folder as never, { encoding: 'buffer' as never }).catch(() => undefined);
    if (entries === undefined) continue;
    for await (const entry of entries) add(Buffer.concat([folder, Buffer.from('/'), entry.name as unknown as Buffer]), entry);
  }
  return sum;
}
