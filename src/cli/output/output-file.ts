/** A file that a command writes its result to. */
import { randomBytes } from 'node:crypto';
import { link, lstat, open, rename, rm, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { HoldfastError } from '../../model/errors.ts';

export type OutputFile = {
  /** Absolute. */
  readonly path: string;
  /** Bytes that were written. */
  readonly sizeBytes: number;
  /**
   * Writes all, flushes it, and puts it in its place: until then, and after a failure, there is no file of that name, or the one from before.
   * @throws `target-full`, `target-unwritable`, and what the bytes throw.
   */
  write(bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>;
};

/**
 * Only the user may read what comes from a repository.
 * @param replace whether a file that is there is replaced, which is the default.
 * @throws `target-unwritable`.
 */
export async function openOutputFile(path: string, { replace = true } = {}): Promise<OutputFile> {
  if (!replace && (await exists(path))) throw alreadyThere(path);
  await refuseSpecial(path);
  const temporary = `${path}.${randomBytes(6).toString('hex')}.partial`;
  const handle = await open(temporary, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    throw outputFailure(error, path);
  });
  let sizeBytes = 0;
  return {
    path,
    get sizeBytes() {
      return sizeBytes;
    },
    async write(bytes, signal) {
      const stream = handle.createWriteStream({ flush: true });
      try {
        await pipeline(bytes, stream, { signal });
        sizeBytes = stream.bytesWritten;
        if (replace) await rename(temporary, path);
        else await putInPlace(temporary, path);
      } catch (error) {
        await rm(temporary, { force: true });
        throw outputFailure(error, path);
      }
    },
  };
}

/** To put a file in the place of a device (`/dev/null`) or a pipe would take that away from everybody. */
async function refuseSpecial(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  throw new HoldfastError('target-unwritable', `${path} is no regular file`, {
    file: path,
    remedy: 'choose another place with --output, or leave it out for the standard output',
  });
}

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );

const alreadyThere = (path: string): HoldfastError =>
  new HoldfastError('target-unwritable', `there is a ${path} already`, { file: path, remedy: 'choose another name, or give --force' });

/** A link is made only where there is nothing, also when that has changed since the beginning. */
async function putInPlace(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' || (await exists(path))) throw alreadyThere(path);
    // Some file systems know no links.
    await rename(temporary, path);
    return;
  }
  await rm(temporary);
}

/** What a failure to write to a path (or to `standard output`) means. Other errors stay as they are. */
export function outputFailure(error: unknown, path: string): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (error instanceof HoldfastError || syscall === undefined) return error;
  const remedy = 'choose another place with --output';
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new HoldfastError('target-full', `no room to write ${path}`, { file: path, remedy, cause: error });
  return new HoldfastError('target-unwritable', `cannot write ${path} (${code})`, { file: path, remedy, cause: error });
}
