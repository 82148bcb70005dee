/** Keeps the caches of a host small: those of repositories that are no longer used go, and packs that are long unused. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

const dayMs = 24 * 60 * 60 * 1000;
/** As restic's. */
const unusedMs = 30 * dayMs;
/** Of packs of trees, a repository. */
const mostBytes = 2 * 1024 * 1024 * 1024;
const repositoryPattern = /^[0-9a-f]{64}$/;

export type TrimOptions = { nowMs: number /** Of packs of trees a repository. Default 2 GiB. */; maxBytes?: number };

/**
 * Removes caches below `root` of repositories that were not opened for 30 days, what killed processes left a day ago, and of the packs in
 * each cache the least recently used until they are within `maxBytes`. Never fails: a cache that is not trimmed is trimmed the next time.
 */
export async function trimCaches(root: string, { nowMs, maxBytes = mostBytes }: TrimOptions): Promise<void> {
  for (const name of await namesIn(root)) {
    const forOneRun = name.startsWith('fresh-');
    if (!repositoryPattern.test(name) && !forOneRun) continue;
    const folder = join(root, name);
    const usedMs = await timeOf(folder);
    if (usedMs !== undefined && nowMs - usedMs > (forOneRun ? dayMs : unusedMs))
      await rm(folder, { recursive: true, force: true }).catch(() => undefined);
    else await trim(folder, nowMs, maxBytes);
  }
}

async function trim(folder: string, nowMs: number, maxBytes: number): Promise<void> {
  for (const kind of ['index', 'snapshots', 'data']) {
    for (const name of await namesIn(join(folder, kind))) {
      if (!name.includes('-tmp-')) continue;
      const path = join(folder, kind, name);
      if (nowMs - ((await timeOf(path)) ?? nowMs) > dayMs) await rm(path, { force: true }).catch(() => undefined);
    }
  }
  const packs: { path: string; sizeBytes: number; usedMs: number }[] = [];
  for (const name of await namesIn(join(folder, 'data'))) {
    const path = join(folder, 'data', name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined) packs.push({ path, sizeBytes: found.size, usedMs: found.mtimeMs });
  }
  let bytes = packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  for (const pack of packs.sort((a, b) => a.usedMs - b.usedMs)) {
    if (bytes <= maxBytes) return;
    await rm(pack.path, { force: true }).catch(() => undefined);
    bytes -= pack.sizeBytes;
  }
}

const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);
const timeOf = async (path: string): Promise<number | undefined> => (await stat(path).catch(() => undefined))?.mtimeMs;
