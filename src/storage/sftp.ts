/**
 * `sftp:` storages: a directory on a server, in restic's layout, over the system's own `ssh`.
 * Settings: docs/configuration.md.
 */
import { posix } from 'node:path';
import type { HoldfastError } from '../model/errors.ts';
import { isStatus, type SftpClient } from './sftp-client.ts';
import { failureOf } from './sftp-failures.ts';
import { filesAhead, filesIn, packFoldersIn, removeOldIn } from './sftp-folders.ts';
import { FoldersAhead } from './sftp-folders-ahead.ts';
import { below, fileMode, folderMode, folders, packFolders, pathOf, temporaryOf } from './sftp-layout.ts';
import { sftpConnection } from './sftp-process.ts';
import { extensions, type FileSystemRoom, statusCodes } from './sftp-protocol.ts';
import { parseSftpAddress } from './sftp-settings.ts';
import { isMissing, pipelined, readFile, writeFile } from './sftp-transfer.ts';
import type { FileKind, FileRef, Storage, StorageAddress } from './storage.ts';
import { takeTurns } from './turns.ts';

/** Folders that are listed at the same time. */
const foldersAtOnce = 64;

/**
 * Packs are written as a whole, not begun: a transfer that breaks off is then tried again, and a pack of trees gets into the cache.
 * @param address `sftp:user@host:path`, `sftp:host:/absolute/path`, `sftp://user@host:port/path`, or `//` for an absolute path. Options:
 * `args` (further arguments of `ssh`), or `command` (instead of `ssh` and all its arguments), `connections` (files at a time; default 5),
 * `timeout` (of silence; default 5m).
 * @throws `usage` for a URL or an option that cannot be used.
 */
export function createSftpStorage(address: StorageAddress): Storage {
  const settings = parseSftpAddress(address);
  const { path: root, location } = settings;
  const connection = sftpConnection(settings);
  const inTurn = takeTurns(settings.connections);
  const ahead = new FoldersAhead();
  const subjectOf = (path: string) => `${location}${path.slice(root.length)}`;

  /** Does something with the connection; failures become errors about a path. */
  async function use<Result>(doing: string, path: string, work: (client: SftpClient) => Promise<Result>): Promise<Result> {
    const client = await connection.client();
    try {
      return await work(client);
    } catch (error) {
      throw await explained(client, error, doing, path);
    }
  }

  async function explained(client: SftpClient, error: unknown, doing: string, path: string): Promise<HoldfastError> {
    let room: FileSystemRoom | undefined;
    if (isStatus(error, statusCodes.failure) && needsRoom.includes(doing)) room = await client.roomAt(root).catch(() => undefined);
    return failureOf(error, doing, subjectOf(path), room);
  }

  return {
    location,

    create: () =>
      use('create', root, async (client) => {
        await ensureFolder(client, root);
        const all = folders.map((kind) => below(root, kind));
        await pipelined(tasksFor(all, (path) => ensureFolder(client, path)));
        const forPacks = packFolders.map((name) => below(root, 'data', name));
        await pipelined(tasksFor(forPacks, (path) => ensureFolder(client, path)));
      }),

    async *list(kind) {
      const folder = below(root, kind);
      const next = kind === 'locks' ? listedUnderLock.map((other) => below(root, other)) : [];
      if (kind !== 'data') return yield* await use('list', folder, (client) => filesAhead(client, ahead, folder, next));
      const inFolders = takeTurns(foldersAtOnce);
      const names = await use('list', folder, (client) => packFoldersIn(client, folder));
      const listings = names.map((name) => {
        const path = below(folder, name);
        const listing = inFolders(() => use('list', path, (client) => filesIn(client, path)));
        // It is awaited later, or never when the listing is left before its end.
        listing.catch(() => undefined);
        return listing;
      });
      for (const listing of listings) yield* await listing;
    },

    async read(file, range) {
      const path = pathOf(root, file);
      return inTurn(() => use('read', path, (client) => readFile(client, path, subjectOf(path), range)));
    },

    async sizeOf(file) {
      const path = pathOf(root, file);
      return use('read', path, async (client) => {
        const { sizeBytes } = await client.stat(path);
        if (sizeBytes === undefined) throw new Error('the server does not say how long it is');
        return sizeBytes;
      });
    },

    async write(file, parts) {
      const path = pathOf(root, file);
      await inTurn(() => use('write', path, (client) => writeAside(client, file, path, parts)));
    },

    async remove(file) {
      const path = pathOf(root, file);
      ahead.forget(posix.dirname(path));
      await use('remove', path, async (client) => {
        await client.remove(path).catch((error: unknown) => {
          if (!isMissing(error)) throw error;
        });
      });
    },

    removeLeftovers: (olderThanMs) =>
      use('tidy up', root, async (client) => {
        const forPacks = (await packFoldersIn(client, below(root, 'data'))).map((name) => below(root, 'data', name));
        const all = [...forPacks, ...folders.map((kind) => below(root, kind)), root];
        await pipelined(tasksFor(all, (folder) => removeOldIn(client, folder, { probe: temporaryOf(pathOf(root, config)), olderThanMs })));
      }),

    close: () => connection.close(),
  };

  /** Writes under a temporary name, durably where the server can do that, and gives the file its name. */
  async function writeAside(client: SftpClient, file: FileRef, path: string, parts: readonly Uint8Array[]): Promise<void> {
    const temporary = temporaryOf(path);
    const folder = posix.dirname(path);
    ahead.forget(folder);
    // Its entries are to be durable as well.
    const flushed = client.has(extensions.fsync) ? client.openToRead(folder).catch(() => undefined) : undefined;
    try {
      try {
        await writeFile(client, await openNew(client, temporary), parts);
        const folderHandle = await flushed;
        await Promise.all([
          putInPlace(client, temporary, path, file.kind === 'config' ? undefined : lengthOf(parts)),
          // Servers that can't flush a folder refuse to; then the name is as durable as they make it.
          folderHandle && client.flush(folderHandle).catch(() => undefined),
          // Who has written a lock looks whether it is alone, next.
          file.kind === 'locks' && ahead.open(client, folder, file.name),
        ]);
      } catch (error) {
        // Before the temporary file goes, and makes room.
        const reason = await explained(client, error, 'write', path);
        await client.remove(temporary).catch(() => undefined);
        throw reason;
      }
    } finally {
      void flushed?.then((handle) => handle && client.closeUnheard(handle));
    }
  }
}

/** Kinds that are listed once the repository is locked. */
const listedUnderLock: readonly FileKind[] = ['index', 'snapshots'];
/** What fails on a disk that is full. */
const needsRoom: readonly string[] = ['create', 'write'];
const config: FileRef = { kind: 'config', name: '' };

const lengthOf = (parts: readonly Uint8Array[]): number => parts.reduce((sum, part) => sum + part.length, 0);

function* tasksFor<Item>(items: Iterable<Item>, task: (item: Item) => Promise<void>): Generator<() => Promise<void>> {
  for (const item of items) yield () => task(item);
}

/** Packs' folders may be missing; the repository's own is not made anew, lest it appears where something is not mounted. */
async function openNew(client: SftpClient, path: string): Promise<Buffer> {
  try {
    return await client.openNew(path, fileMode);
  } catch (error) {
    if (!isMissing(error)) throw error;
    // Another may be making it.
    await client.makeFolder(posix.dirname(path), folderMode).catch(() => undefined);
    return client.openNew(path, fileMode);
  }
}

/**
 * Servers without the extension posix-rename refuse to replace a file. One of the same length counts as stored, when names are hashes of content.
 * @param sameBytes the length; undefined when the file is to be replaced in any case.
 */
async function putInPlace(client: SftpClient, temporary: string, path: string, sameBytes: number | undefined): Promise<void> {
  try {
    await client.rename(temporary, path);
  } catch (error) {
    if (client.has(extensions.posixRename) || sameBytes === undefined) throw error;
    const there = await client.stat(path).catch(() => undefined);
    if (there?.sizeBytes !== sameBytes) throw error;
    await client.remove(temporary);
  }
}

/** Makes a folder, and those above it that are missing. Servers don't say why they don't make one: it may be there. */
async function ensureFolder(client: SftpClient, path: string): Promise<void> {
  try {
    await client.makeFolder(path, folderMode);
  } catch (error) {
    const above = posix.dirname(path);
    if (isMissing(error) && above !== path) {
      await ensureFolder(client, above);
      await client.makeFolder(path, folderMode).catch((again: unknown) => confirmFolder(client, path, again));
    } else await confirmFolder(client, path, error);
  }
}

async function confirmFolder(client: SftpClient, path: string, error: unknown): Promise<void> {
  const there = await client.stat(path).catch(() => undefined);
  if (there === undefined || (there.mode !== undefined && !isFolder(there.mode))) throw error;
}

const isFolder = (mode: number): boolean => (mode & 0o170000) === 0o040000;
