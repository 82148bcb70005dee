import { homedir } from 'node:os';
import { resolve } from 'node:path';

/** Storages that a repository's URL can name, beside a plain path. */
export const remoteSchemes = ['s3', 'rest', 'sftp', 'rclone'];
const localSchemes = ['local', 'file'];

export type RepositoryPlace =
  /** The path is as written: relative, absolute or with `~/`. */
  { kind: 'local'; path: string } | { kind: 'remote'; scheme: string } | { kind: 'unknown'; scheme: string };

/** What a repository's URL names. Anything without a scheme is a path; `./a:b` is a path with a colon. */
export function repositoryPlace(url: string): RepositoryPlace {
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(url)?.[1];
  if (scheme === undefined) return { kind: 'local', path: url };
  const lower = scheme.toLowerCase();
  if (localSchemes.includes(lower)) return { kind: 'local', path: url.slice(scheme.length + 1).replace(/^\/\/(?=\/)/, '') };
  return remoteSchemes.includes(lower) ? { kind: 'remote', scheme: lower } : { kind: 'unknown', scheme: lower };
}

/** An absolute path: relative to the folder of the file, `~/` to the user's home. */
export function resolvePath(directory: string, path: string): string {
  return path === '~' || path.startsWith('~/') ? resolve(homedir(), path.slice(2)) : resolve(directory, path);
}
