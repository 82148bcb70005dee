/**
 * What the main thread and the lanes of a restore say to each other. Descriptors belong to the whole process: the main thread opens
 * directories and large files, and lanes get their numbers. Files travel as rows of one flat array, because copying an object for each
 * of many small files between threads costs more than restoring it.
 */
import type { RawString } from '../../model/raw-bytes.ts';

/** What a file shall be, besides its content. `mode` holds the permission bits (07777) alone; times are seconds since 1970 and nanoseconds. */
export type Metadata = {
  mode: number;
  uid: number;
  gid: number;
  mtimeSec: number;
  mtimeNsec: number;
  atimeSec: number;
  atimeNsec: number;
  attributes: readonly Attribute[];
};

export type Attribute = { name: string; value: Uint8Array };

export type FileRow = {
  /** Place of its blob in the call's entries; -1 for an empty file. */
  slot: number;
  dirFd: number;
  name: RawString;
  /** When not '': it is written under this name, and renamed when it is complete. */
  temporary: RawString;
  /** Its directory may hand down a group or an ACL to new files. */
  inherits: boolean;
  metadata: Metadata;
};

type Cell = number | string | boolean | readonly Attribute[] | undefined;
export type Rows = Cell[];
const rowCells = 13;

export const rowCount = (rows: Rows): number => rows.length / rowCells;

export function addRow(rows: Rows, { slot, dirFd, name, temporary, inherits, metadata: m }: FileRow): void {
  const attributes = m.attributes.length === 0 ? undefined : m.attributes;
  rows.push(slot, dirFd, name, temporary, inherits, m.mode, m.uid, m.gid, m.mtimeSec, m.mtimeNsec, m.atimeSec, m.atimeNsec, attributes);
}

const none: readonly Attribute[] = [];

export function rowAt(rows: Rows, index: number): FileRow {
  const at = index * rowCells;
  const number = (cell: number) => rows[at + cell] as number;
  return {
    slot: number(0),
    dirFd: number(1),
    name: rows[at + 2] as RawString,
    temporary: rows[at + 3] as RawString,
    inherits: rows[at + 4] as boolean,
    metadata: {
      mode: number(5),
      uid: number(6),
      gid: number(7),
      mtimeSec: number(8),
      mtimeNsec: number(9),
      atimeSec: number(10),
      atimeNsec: number(11),
      attributes: (rows[at + 12] as readonly Attribute[] | undefined) ?? none,
    },
  };
}

/** A part of a file that is open in the main thread. */
export type Range = {
  slot: number;
  fd: number;
  /** Where in the file the blob goes, or is expected. */
  offset: number;
  /** The file has old content: zeros must be written (as a hole) too. */
  overwrites: boolean;
};

/** In a comparison: the chunk of zeros is expected, which needs no entry. */
export const zeroSlot = -1;

const rangeCells = 4;
export const rangeCount = (ranges: number[]): number => ranges.length / rangeCells;

export function addRange(ranges: number[], { slot, fd, offset, overwrites }: Range): void {
  ranges.push(slot, fd, offset, overwrites ? 1 : 0);
}

export function rangeAt(ranges: number[], index: number): Range {
  const at = index * rangeCells;
  return { slot: ranges[at] as number, fd: ranges[at + 1] as number, offset: ranges[at + 2] as number, overwrites: ranges[at + 3] === 1 };
}

/** Both calls name blobs by their entries' numbers in the shared blob index. */
export type WriteCall = { call: 'write'; entries: number[]; files: Rows; ranges: number[]; sparse: boolean };

/** Compares content, and for files metadata; with `fix` metadata that differs is set, when the content is right. */
export type CompareCall = { call: 'compare'; entries: number[]; files: Rows; ranges: number[]; fix: boolean; dropCache: boolean };

/** Flushes the file system of an open directory, which may take long, to its disk. The reply is 0 or a negative errno. */
export type SyncCall = { call: 'sync'; fd: number };

export type LaneCall = WriteCall | CompareCall | SyncCall;

/** A row or range that failed: because its blob is damaged (errno 0), or because the kernel refused (a positive errno). */
export type Failure = { index: number; errno: number; message: string };

/** How many files could not get an attribute, by the kind of warning. */
export type WarningCounts = Record<string, number>;

export type WriteReply = { failedFiles: Failure[]; failedRanges: Failure[]; warnings: WarningCounts };

/** `files[i]`: 0 when nothing differs, {@link contentDiffers}, or bits of metadata that differ (or differed); `ranges[i]`: 1 when it differs. */
export type CompareReply = { files: Uint8Array; ranges: Uint8Array; warnings: WarningCounts };

export const contentDiffers = 0x80;
