/** Names in archives, which anybody can have written, to paths that stay below the root of what is read. */
import type { RawString } from '../../model/raw-bytes.ts';

export type CleanName = { path: RawString; wasAbsolute: boolean } | { refused: string };

/** Without `./`, slashes at its ends and double ones; '' for the root. Refused is what leads out, or can be nobody's name. */
export function cleanName(name: RawString): CleanName {
  if (name.includes('\0')) return { refused: 'has a NUL in its name' };
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) return { refused: 'has a name with `..`, which could lead out of the volume' };
  return { path: parts.join('/') as RawString, wasAbsolute: name.startsWith('/') };
}

export const parentOf = (path: RawString): RawString => path.slice(0, Math.max(0, path.lastIndexOf('/'))) as RawString;
export const nameOf = (path: RawString): RawString => path.slice(path.lastIndexOf('/') + 1) as RawString;
