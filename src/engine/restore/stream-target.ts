/** The contract of a volume that is no directory here, as a restore writes it: by tar archives that something at the volume unpacks. */
import type { RawString } from '../../model/raw-bytes.ts';
import type { TarEntry } from '../source/tar-entry.ts';

/** Paths are relative to the volume's root; '' is the root itself. */
export type StreamTarget = {
  /** What writes it, for people: `a helper container with shop_data`. */
  through: string;
  /** Whether its file system is known to keep POSIX ACLs, and so those of entries are kept. */
  keepsAcls: boolean;
  /**
   * Unpacks entries over what is there: of the same path, directories stay and get the entry's metadata, anything else is replaced. Owners
   * (as numbers), modes, times from 1970 on and extended attributes are kept, ACLs where `keepsAcls` says so; holes are filled.
   * @throws `target-full`, `target-unwritable`; `engine-unreachable`; what the entries and the signal throw. What was unpacked by then stays.
   */
  write(entries: AsyncIterable<TarEntry>, signal: AbortSignal): Promise<void>;
  /** All that is there as a tar archive, entries below `./`, the first of them the root; depth first in the order of names. */
  read(signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  /** What is at a path, symlinks not followed; undefined for nothing. */
  kindOf(path: RawString): Promise<'dir' | 'other' | undefined>;
  /** Whether nothing is there but the root, and what file systems make (`lost+found`). */
  isEmpty(signal: AbortSignal): Promise<boolean>;
  /** Removes a path with all below it; '' empties the volume. Harmless when nothing is there. @throws `target-unwritable` when it stays. */
  remove(path: RawString): Promise<void>;
};
