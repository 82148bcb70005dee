/** What is in the folders of a repository on an SFTP server. */
import { HoldfastError } from '../model/errors.ts';
import type { SftpClient } from './sftp-client.ts';
import type { FoldersAhead } from './sftp-folders-ahead.ts';
import { below, fileMode, namePattern, packFolderPattern, temporaryPattern } from './sftp-layout.ts';
import type { Entry } from './sftp-protocol.ts';
import { isMissing } from './sftp-transfer.ts';
import type { StoredFile } from './storage.ts';

/** Empty when there is no such folder. */
async function entriesIn(client: SftpClient, folder: string): Promise<Entry[]> {
  try {
    return (await client.entries(await client.openFolder(folder))).entries;
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** The names of the folders that packs are in. */
export async function packFoldersIn(client: SftpClient, folder: string): Promise<string[]> {
  return (await entriesIn(client, folder)).map(({ name }) => name).filter((name) => packFolderPattern.test(name));
}

/** Temporary files of interrupted writers have longer names and don't show. */
export async function filesIn(client: SftpClient, folder: string): Promise<StoredFile[]> {
  return filesOf(client, folder, await entriesIn(client, folder));
}

async function filesOf(client: SftpClient, folder: string, entries: readonly Entry[]): Promise<StoredFile[]> {
  const files: StoredFile[] = [];
  for (const { name, attributes } of entries) {
    if (!namePattern.test(name)) continue;
    const sizeBytes = isLink(attributes.mode) ? undefined : attributes.sizeBytes;
    const known = sizeBytes ?? (await sizeIfThere(client, below(folder, name)));
    if (known !== undefined) files.push({ name, sizeBytes: known });
  }
  return files;
}

/**
 * As {@link filesIn}, of a folder that may have been opened ahead.
 * @param next folders that will be listed after this one: opened ahead, if this one was, since whoever lists what follows a plan.
 */
export async function filesAhead(client: SftpClient, ahead: FoldersAhead, folder: string, next: readonly string[]): Promise<StoredFile[]> {
  const opened = await ahead.take(client, folder);
  if (opened === undefined) {
    // What was opened after an earlier listing, which failed perhaps, would be listed after this one.
    for (const path of next) ahead.forget(path);
    return filesIn(client, folder);
  }
  const listing = client.entries(opened.handle);
  for (const path of next) ahead.open(client, path);
  const { entries, roundTrips } = await listing;
  const tooEarly = opened.shows !== undefined && !entries.some(({ name }) => name === opened.shows);
  // What else is here may be removed before it is read (a lock), and its owner has written there until then.
  const others = entries.some(({ name }) => name !== opened.shows && namePattern.test(name));
  // They are to be as they were after this folder was listed, not before it or in the middle of it.
  if (tooEarly || others || roundTrips > 1) for (const path of next) ahead.forget(path);
  if (tooEarly) return filesIn(client, folder);
  return filesOf(client, folder, entries);
}

async function sizeIfThere(client: SftpClient, path: string): Promise<number | undefined> {
  try {
    return (await client.stat(path)).sizeBytes;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

const isLink = (mode = 0): boolean => (mode & 0o170000) === 0o120000;

/**
 * Removes files on their way whose writer has not touched them for so long, by the server's clock.
 * @param probe a name for a file that is made and removed, to learn what time the server has.
 */
export async function removeOldIn(client: SftpClient, folder: string, options: { probe: string; olderThanMs: number }): Promise<void> {
  const unfinished = (await entriesIn(client, folder)).filter(({ name }) => temporaryPattern.test(name));
  if (unfinished.length === 0) return;
  const now = await secondsThere(client, options.probe);
  for (const { name, attributes } of unfinished) {
    const { modifiedSeconds = now } = attributes;
    if ((now - modifiedSeconds) * 1000 < options.olderThanMs) continue;
    await client.remove(below(folder, name)).catch((error: unknown) => {
      // Its writer, or another process, was faster.
      if (!isMissing(error)) throw error;
    });
  }
}

async function secondsThere(client: SftpClient, probe: string): Promise<number> {
  const handle = await client.openNew(probe, fileMode);
  try {
    const { modifiedSeconds } = await client.statHandle(handle);
    if (modifiedSeconds === undefined) throw new HoldfastError('unsupported', 'the server does not say when files were changed');
    return modifiedSeconds;
  } finally {
    client.closeUnheard(handle);
    await client.remove(probe).catch(() => undefined);
  }
}
