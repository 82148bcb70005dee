import { HoldfastError } from '../../model/errors.ts';
import { displayRaw, type RawString } from '../../model/raw-bytes.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { EDQUOT, ENOSPC, EROFS, errnoName } from '../source/posix-constants.ts';
import type { Directories, Directory } from './directories.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { Warn } from './metadata.ts';
import type { RestoreOptions } from './options.ts';
import type { Tally } from './tally.ts';

/** `write` restores; `dry-run` finds what would be restored; `verify` finds what should have been. Only the first changes anything. */
export type PassMode = 'write' | 'dry-run' | 'verify';

/** What the parts of one pass over a snapshot share. */
export type PassContext = {
  mode: PassMode;
  options: RestoreOptions;
  index: BlobIndex;
  dispatcher: Dispatcher;
  directories: Directories;
  tally: Tally;
  warn: Warn;
  /** A restore of the same volume was interrupted earlier: what it left under temporary names is removed. */
  resumed: boolean;
  /** A name for a file that isn't complete. */
  nextTemporary: () => RawString;
};

export const pathIn = (directory: Directory, name: RawString): RawString =>
  directory.path === '' ? name : (`${directory.path}/${name}` as RawString);

/** Turns what ends every restore into an error, and leaves the rest, which concerns one file, to the caller. @throws `target-full`, `target-unwritable`. */
export function throwIfFatal(errno: number, path: RawString, volume: string): void {
  const number = Math.abs(errno);
  const details = { volume, file: displayRaw(path) };
  if (number === ENOSPC || number === EDQUOT) {
    throw new HoldfastError('target-full', `no room to restore ${displayRaw(path)} (${errnoName(number)})`, details);
  }
  if (number === EROFS) throw new HoldfastError('target-unwritable', `the file system of ${displayRaw(path)} is read-only`, details);
}

/** Reports a file that the target refuses; ends the restore when it would refuse every file. */
export function refused({ tally, options }: PassContext, errno: number, path: RawString, doing: string): void {
  throwIfFatal(errno, path, options.volume);
  tally.problem(path, 'unwritable', `cannot ${doing}: ${errnoName(errno)}`);
}
