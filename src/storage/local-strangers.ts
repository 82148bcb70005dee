/** What lies in a repository's directory and is none of its files. */
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../model/errors.ts';
import { codeOf } from './local-files.ts';
import type { Stranger } from './storage.ts';

const kinds = ['keys', 'locks', 'snapshots', 'index', 'data'];
const namePattern = /^[0-9a-f]{64}$/;
const packFolderPattern = /^[0-9a-f]{2}$/;
/** Files on their way, Holdfast's and restic's. */
export const temporaryPattern = /^([0-9a-f]{64}|config)-tmp-[0-9a-zA-Z]+$/;

/** Folders that do not belong are one stranger each, whatever they hold. @throws `storage`. */
export async function* strangersIn(root: string): AsyncIterable<Stranger> {
  yield* strangersAt(root, '', (name, folder) => (folder ? kinds.includes(name) : name === 'config'));
  for (const kind of kinds) {
    if (kind !== 'data') yield* strangersAt(root, kind, (name, folder) => !folder && namePattern.test(name));
  }
  yield* strangersAt(root, 'data', (name, folder) => folder && packFolderPattern.test(name));
  for (const { name } of await entriesOf(join(root, 'data'))) {
    if (!packFolderPattern.test(name)) continue;
    // A pack in another's folder is found by nobody.
    yield* strangersAt(root, join('data', name), (pack, folder) => !folder && namePattern.test(pack) && pack.startsWith(name));
  }
}

async function* strangersAt(root: string, folder: string, belongs: (name: string, folder: boolean) => boolean): AsyncIterable<Stranger> {
  for (const entry of await entriesOf(join(root, folder))) {
    const path = join(folder, entry.name);
    try {
      // A kind's folder may be a link to another disk.
      const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && (await leadsToFolder(join(root, path))));
      if (belongs(entry.name, isFolder)) continue;
      const sizeBytes = isFolder ? 0 : (await lstat(join(root, path))).size;
      yield { path, sizeBytes, unfinished: temporaryPattern.test(entry.name) };
    } catch (error) {
      // What is gone by now was on its way.
      if (codeOf(error) !== 'ENOENT') throw failure(join(root, path), error);
    }
  }
}

const leadsToFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return [];
    throw failure(folder, error);
  }
}

const failure = (path: string, error: unknown) =>
  new HoldfastError('storage', `cannot list ${path}: ${(error as Error).message}`, { file: path, cause: error });
