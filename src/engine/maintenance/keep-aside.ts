/** Copies of repository files that a repair removes, in a folder on this machine. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { HoldfastError } from '../../model/errors.ts';
import type { FileRef, Storage } from '../../storage/storage.ts';

const rangeBytes = 4 * 1024 * 1024;
/** What is in a repository is its owner's alone, also when it lies elsewhere. */
const fileMode = 0o600;

/**
 * Copies a file of the repository as it is into a folder, durably. A copy that is there already, by the same name and with the same
 * content, will do.
 * @returns the path of the copy.
 * @throws `target-full`, `target-unwritable`, also when there is another file of that name; `storage`, `file-missing`.
 */
export async function keepAside(storage: Storage, file: FileRef, folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  const temporary = `${path}-tmp-${randomBytes(6).toString('hex')}`;
  try {
    await mkdir(folder, { recursive: true });
    const digest = await copyTo(storage, file, temporary);
    const there = await digestOf(path);
    if (there === undefined) await rename(temporary, path);
    else if (there === digest) await rm(temporary);
    else throw new HoldfastError('target-unwritable', `${path} is another file than the copy that is to be kept`, { file: path });
    await syncFolder(folder);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    if (error instanceof HoldfastError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    throw new HoldfastError(full ? 'target-full' : 'target-unwritable', `cannot keep a copy in ${folder}: ${message}`, {
      file: path,
      remedy: 'nothing was removed; name a folder with enough room by --keep',
      cause: error,
    });
  }
  return path;
}

/** @returns the SHA-256 of what was copied. */
async function copyTo(storage: Storage, file: FileRef, path: string): Promise<string> {
  const sizeBytes = await storage.sizeOf(file);
  const hash = createHash('sha256');
  const handle = await open(path, 'wx', fileMode);
  try {
    for (let offset = 0; offset < sizeBytes; offset += rangeBytes) {
      const bytes = await storage.read(file, { offset, length: Math.min(rangeBytes, sizeBytes - offset) });
      hash.update(bytes);
      await handle.writeFile(bytes);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}

async function digestOf(path: string): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path), hash);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return hash.digest('hex');
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder);
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems can't flush a folder.
    if (!['EINVAL', 'ENOTSUP'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    await handle.close();
  }
}
