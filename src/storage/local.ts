/** A storage in a directory, in restic's layout: packs in 256 subdirectories by the first two characters of their names. */
import { randomBytes } from 'node:crypto';
import { constants, type FileHandle, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HoldfastError } from '../model/errors.ts';
import { codeOf, directoryMode, makeDirectory, openNew, pendingFile, syncDirectory, temporaryOf, writeDurably } from './local-files.ts';
import { strangersIn, temporaryPattern } from './local-strangers.ts';
import { type FileKind, type FileRef, longestFileBytes, type Storage, type StoredFile } from './storage.ts';

const directories: readonly FileKind[] = ['keys', 'locks', 'snapshots', 'index', 'data'];
const namePattern = /^[0-9a-f]{64}$/;
/** Memory for a range up to this is set aside without asking how long the file is. */
const trustedLengthBytes = 32 * 1024 * 1024;

/** A pipe that somebody has put in the place of a file is not waited for. */
const readFlags = constants.O_RDONLY | constants.O_NONBLOCK;

const tooLong = (path: string) => new HoldfastError('damaged', `${path} is longer than such files are`, { file: path });

export function createLocalStorage(root: string): Storage {
  const location = root;

  function pathOf({ kind, name }: FileRef): string {
    if (kind === 'config') return join(root, 'config');
    if (!namePattern.test(name)) throw new HoldfastError('internal', `no file of a repository is named ${JSON.stringify(name)}`);
    return kind === 'data' ? join(root, 'data', name.slice(0, 2), name) : join(root, kind, name);
  }

  function failure(error: unknown, doing: string, file: FileRef): HoldfastError {
    if (error instanceof HoldfastError) return error;
    const code = codeOf(error);
    const path = pathOf(file);
    if (code === 'ENOENT') return new HoldfastError('file-missing', `${path} is missing`, { file: path, cause: error });
    if (code === 'ENOSPC' || code === 'EDQUOT')
      return new HoldfastError('storage-full', `no room to store ${path} (${code})`, { file: path, cause: error });
    return cannot(doing, path, error);
  }

  const endsTooEarly = (file: FileRef) => new HoldfastError('damaged', `${pathOf(file)} is too short`, { file: pathOf(file) });

  return {
    location,
    hostFile: join(root, 'config'),

    async create() {
      try {
        await mkdir(root, { recursive: true, mode: directoryMode });
        for (const kind of directories) await mkdir(join(root, kind), { recursive: true, mode: directoryMode });
        await syncDirectory(root);
        await syncDirectory(dirname(root));
      } catch (error) {
        throw failure(error, 'create', { kind: 'config', name: '' });
      }
    },

    async *list(kind) {
      const at = join(root, kind);
      const folders = kind === 'data' ? (await entries(at)).filter((name) => name.length === 2).map((name) => join(at, name)) : [at];
      for (const folder of folders) yield* filesIn(folder);
    },

    async read(file, range) {
      let handle: FileHandle | undefined;
      try {
        handle = await open(pathOf(file), readFlags);
        const { offset, length, into } = range ?? { offset: 0, length: (await handle.stat()).size };
        if (range === undefined && length > longestFileBytes(file.kind)) throw tooLong(pathOf(file));
        // A range that an index got wrong can be gigabytes long: it must not cost that much memory to find out.
        if (length > trustedLengthBytes && offset + length > (await handle.stat()).size) throw endsTooEarly(file);
        const bytes = into?.subarray(0, length) ?? Buffer.allocUnsafeSlow(length);
        let done = 0;
        while (done < length) {
          const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
          if (bytesRead === 0) break;
          done += bytesRead;
        }
        if (done < length) throw endsTooEarly(file);
        return bytes;
      } catch (error) {
        throw failure(error, 'read', file);
      } finally {
        await handle?.close();
      }
    },

    async sizeOf(file) {
      try {
        return (await stat(pathOf(file))).size;
      } catch (error) {
        throw failure(error, 'read', file);
      }
    },

    async write(file, parts) {
      const path = pathOf(file);
      const temporary = temporaryOf(path);
      try {
        await writeDurably(temporary, parts);
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => undefined);
        throw failure(error, 'write', file);
      }
      await putInPlace(temporary, file);
    },

    async begin() {
      // The pack's name isn't known yet: any will do that `removeLeftovers` recognises.
      const standIn: FileRef = { kind: 'data', name: randomBytes(32).toString('hex') };
      const temporary = temporaryOf(pathOf(standIn));
      try {
        const handle = await openNew(temporary);
        return pendingFile({
          temporary,
          handle,
          failure: (error) => failure(error, 'write', standIn),
          putInPlace: (name) => putInPlace(temporary, { kind: 'data', name }),
        });
      } catch (error) {
        throw failure(error, 'write', standIn);
      }
    },

    async remove(file) {
      try {
        await unlink(pathOf(file));
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw failure(error, 'remove', file);
      }
    },

    strangers: () => strangersIn(root),

    async removeLeftovers(olderThanMs) {
      const folders = (await entries(join(root, 'data'))).filter((name) => name.length === 2).map((name) => join(root, 'data', name));
      for (const folder of [...folders, ...directories.map((kind) => join(root, kind)), root]) {
        for (const name of await entries(folder)) if (temporaryPattern.test(name)) await removeOld(join(folder, name), olderThanMs);
      }
    },
  };

  /** Gives a durable temporary file its name. */
  async function putInPlace(temporary: string, file: FileRef): Promise<void> {
    const path = pathOf(file);
    try {
      await rename(temporary, path).catch(async (error: unknown) => {
        if (codeOf(error) !== 'ENOENT') throw error;
        await makeDirectory(dirname(path));
        await rename(temporary, path);
      });
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw failure(error, 'write', file);
    }
    try {
      await syncDirectory(dirname(path));
    } catch (error) {
      // What may not survive a crash must not look stored. The configuration may have been there before, and stays.
      if (file.kind !== 'config') await rm(path, { force: true }).catch(() => undefined);
      throw failure(error, 'write', file);
    }
  }
}

/** Trying again does not help where the system refuses: somebody else, or another command line, can do it. */
function cannot(doing: string, path: string, error: unknown): HoldfastError {
  const refused = /^(EACCES|EPERM|EROFS)$/.test(codeOf(error) ?? '');
  const remedy = refused
    ? 'run as a user who may read and write the repository; commands that only read it work with --no-lock'
    : undefined;
  const details = { file: path, cause: error, ...(remedy === undefined ? {} : { remedy }) };
  return new HoldfastError('storage', `cannot ${doing} ${path}: ${(error as Error).message}`, details);
}

async function removeOld(path: string, olderThanMs: number): Promise<void> {
  try {
    if (Date.now() - (await stat(path)).mtimeMs >= olderThanMs) await unlink(path);
  } catch (error) {
    // Its writer, or another process, was faster.
    if (codeOf(error) !== 'ENOENT') throw cannot('remove', path, error);
  }
}

async function entries(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw cannot('list', directory, error);
  }
}

/** Temporary files of interrupted writers have longer names and don't show. */
async function* filesIn(folder: string): AsyncIterable<StoredFile> {
  for (const name of await entries(folder)) {
    if (!namePattern.test(name)) continue;
    try {
      yield { name, sizeBytes: (await stat(join(folder, name))).size };
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw cannot('list', folder, error);
    }
  }
}
