/** How a local storage writes files: aside, durably, and then under their names. */
import { randomBytes } from 'node:crypto';
import { constants, type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { HoldfastError } from '../model/errors.ts';
import type { PendingFile } from './storage.ts';

/** restic makes packs and keys read-only, against accidents. */
const fileMode = 0o400;
export const directoryMode = 0o700;

export const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code;

/** A name that listings don't show and `removeLeftovers` recognises. */
export const temporaryOf = (path: string): string => `${path}-tmp-${randomBytes(6).toString('hex')}`;

/** Opens the file anew, making its directory when that is missing (packs' directories are made on demand). */
export async function openNew(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', fileMode);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    await makeDirectory(dirname(path));
    return await open(path, 'wx', fileMode);
  }
}

/** Not recursive: a storage whose root has gone (unmounted) must not be made anew somewhere else. */
export async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { mode: directoryMode }).catch((error: unknown) => {
    if (codeOf(error) !== 'EEXIST') throw error;
  });
  await syncDirectory(dirname(path));
}

async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await handle.write(bytes, done)).bytesWritten;
}

export async function writeDurably(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const handle = await openNew(path);
  try {
    for (const part of parts) await writeFully(handle, part);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems (FUSE, CIFS) can't flush a directory; then the rename is as durable as they make it.
    if (codeOf(error) !== 'EINVAL' && codeOf(error) !== 'ENOTSUP') throw error;
  } finally {
    await handle.close();
  }
}

type Pending = {
  temporary: string;
  handle: FileHandle;
  failure: (error: unknown) => HoldfastError;
  /** Gives the temporary file, which is durable, its name; removes it when that fails. */
  putInPlace: (name: string) => Promise<void>;
};

export function pendingFile({ temporary, handle, failure, putInPlace }: Pending): PendingFile {
  let open = true;

  async function close(): Promise<void> {
    if (open) await handle.close();
    open = false;
  }

  async function discard(): Promise<void> {
    await close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
  }

  return {
    async append(bytes) {
      try {
        await writeFully(handle, bytes);
      } catch (error) {
        throw failure(error);
      }
    },
    async commit(name) {
      try {
        await handle.sync();
        await close();
      } catch (error) {
        await discard();
        throw failure(error);
      }
      await putInPlace(name);
    },
    discard,
  };
}
