/** Where a repository's files are on an SFTP server: restic's layout, as in a directory. */
import { randomBytes } from 'node:crypto';
import { HoldfastError } from '../model/errors.ts';
import type { FileKind, FileRef } from './storage.ts';

export const fileMode = 0o600;
export const folderMode = 0o700;

export const namePattern = /^[0-9a-f]{64}$/;
export const packFolderPattern = /^[0-9a-f]{2}$/;
/** Files on their way, Holdfast's and restic's. */
export const temporaryPattern = /^([0-9a-f]{64}|config)-(tmp|restic-temp)-[0-9a-zA-Z]+$/;

export const folders: readonly FileKind[] = ['keys', 'locks', 'snapshots', 'index', 'data'];
/** All 256 that packs can be in. */
export const packFolders: readonly string[] = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, '0'));

/** Not `posix.join`: of a relative path nothing goes. */
export const below = (folder: string, ...names: readonly string[]): string => `${folder === '/' ? '' : folder}/${names.join('/')}`;

/** @throws `internal` for names that no file of a repository has. */
export function pathOf(root: string, { kind, name }: FileRef): string {
  if (kind === 'config') return below(root, 'config');
  if (!namePattern.test(name)) throw new HoldfastError('internal', `no file of a repository is named ${JSON.stringify(name)}`);
  return kind === 'data' ? below(root, 'data', name.slice(0, 2), name) : below(root, kind, name);
}

/** A name beside the file's that listings don't show and `removeLeftovers` recognises. */
export const temporaryOf = (path: string): string => `${path}-tmp-${randomBytes(6).toString('hex')}`;
