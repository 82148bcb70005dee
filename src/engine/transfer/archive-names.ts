/** Names in archives, which anybody can have written, to paths that stay below the root of what is imported. */
import type { RawString } from '../../model/raw-bytes.ts';

/** As Linux has them: what is longer could be restored nowhere. */
const maxPathBytes = 4095;
const maxNameBytes = 255;

export type CleanName = { path: RawString; wasAbsolute: boolean } | { refused: string };

/** Without `./`, slashes at its ends and double ones; '' for the root. Refused is what leads out, or can be nobody's name. */
export function cleanName(name: RawString): CleanName {
  if (name.includes('\0')) return { refused: 'has a NUL in its name' };
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) return { refused: 'has a name with `..`, which could lead out of the volume' };
  const path = parts.join('/') as RawString;
  if (path.length > maxPathBytes || parts.some((part) => part.length > maxNameBytes)) return { refused: 'has a name that is too long' };
  return { path, wasAbsolute: name.startsWith('/') };
}

export const parentOf = (path: RawString): RawString => path.slice(0, Math.max(0, path.lastIndexOf('/'))) as RawString;
export const nameOf = (path: RawString): RawString => path.slice(path.lastIndexOf('/') + 1) as RawString;
