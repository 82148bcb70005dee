/** The names in a directory, and the targets of symlinks. */
import { type RawString, rawFromBytes } from '../../model/raw-bytes.ts';
import { ENAMETOOLONG } from './posix-constants.ts';
import { call3, call3Wide, call4, putName, scratch, sys } from './posix-syscall.ts';

/** `types[i]` is what `names[i]` is: a DT_ constant, DT_UNKNOWN where the file system doesn't say. In the file system's own order. */
export type DirectoryListing = { names: RawString[]; types: number[] };

/** `struct linux_dirent64`: inode (8 bytes), offset (8), length of this record (2), type (1), name and NUL, padded to 8 bytes. */
const lengthAt = 16;
const typeAt = 18;
const nameAt = 19;

/** All entries of an open directory from its beginning, without `.` and `..`; or a negative errno. */
export function listDirectory(fd: number): DirectoryListing | number {
  const { address, bytes } = scratch().list;
  const names: RawString[] = [];
  const types: number[] = [];
  const rewound = call3Wide(sys.lseek, fd, 0, 0);
  if (rewound < 0) return rewound;
  for (;;) {
    const filled = call3(sys.getdents64, fd, address, bytes.length);
    if (filled < 0) return filled;
    if (filled === 0) return { names, types };
    collectEntries(bytes, filled, names, types);
  }
}

const dot = 0x2e;

function collectEntries(bytes: Buffer, filled: number, names: RawString[], types: number[]): void {
  for (let at = 0; at < filled; ) {
    const recordEnd = at + ((bytes[at + lengthAt] as number) | ((bytes[at + lengthAt + 1] as number) << 8));
    const start = at + nameAt;
    // The name's NUL is among the last 8 bytes of the record, because padding is shorter than that.
    let end = Math.max(start, recordEnd - 8);
    while (bytes[end] !== 0) end++;
    const length = end - start;
    const isDots = bytes[start] === dot && (length === 1 || (length === 2 && bytes[start + 1] === dot));
    if (!isDots) {
      names.push(bytes.toString('latin1', start, end) as RawString);
      types.push(bytes[at + typeAt] as number);
    }
    at = recordEnd;
  }
}

/** The target of a symlink, of any length; or a negative errno. */
export function readLinkAt(dirFd: number, name: RawString): RawString | number {
  const { name: memory, value } = scratch();
  const refused = putName(memory, name);
  if (refused < 0) return refused;
  const length = call4(sys.readlinkat, dirFd, memory.address, value.address, value.bytes.length);
  if (length < 0) return length;
  // A full buffer may hold a part only. No file system of Linux has targets of 64 KiB.
  return length === value.bytes.length ? -ENAMETOOLONG : rawFromBytes(value.bytes.subarray(0, length));
}
