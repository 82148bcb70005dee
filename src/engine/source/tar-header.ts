/**
 * Headers of tar archives, bytes to values: ustar and pax (IEEE Std 1003.1, "pax Interchange Format"), GNU's (GNU tar, src/tar.h), star's and
 * the oldest form, V7. Pure: knows neither streams nor what follows a header.
 */
import { HoldfastError } from '../../model/errors.ts';
import { type RawString, rawFromBytes } from '../../model/raw-bytes.ts';

export const blockBytes = 512;

/** A piece of a sparse file that is in the archive; what lies between is zeros. */
export type Segment = { offset: number; length: number };

export type TarHeader = {
  /** The type flag: one character, '0' for a file also where an old writer has a NUL. */
  flag: string;
  path: RawString;
  mode: number;
  uid: number;
  gid: number;
  /** Bytes that follow the header. */
  sizeBytes: number;
  mtimeSec: number;
  target: RawString;
  user: RawString;
  group: RawString;
  major: number;
  minor: number;
  /** Only for GNU's sparse files (flag `S`). */
  sparse: { realSizeBytes: number; segments: Segment[]; continued: boolean } | undefined;
};

/** What an archive says of itself is wrong. */
export const archiveDamaged = (what: string): HoldfastError => new HoldfastError('archive-damaged', what);

export const isZeroBlock = (block: Buffer): boolean => block.every((byte) => byte === 0);

/** @throws `archive-damaged` when the block is no header. */
export function decodeHeader(block: Buffer): TarHeader {
  if (!checksumMatches(block)) throw archiveDamaged('a header is damaged, or this is no tar archive');
  const magic = block.toString('latin1', 257, 263);
  const gnu = magic === 'ustar ';
  const ustar = magic === 'ustar\0';
  // star keeps times in the last bytes of the prefix.
  const prefixLength = block.toString('latin1', 508, 512) === 'tar\0' ? 131 : 155;
  const prefix = ustar ? text(block, 345, prefixLength) : '';
  const name = text(block, 0, 100);
  const flag = block[156] === 0 ? '0' : String.fromCharCode(block[156] as number);
  return {
    flag,
    path: (prefix === '' ? name : `${prefix}/${name}`) as RawString,
    mode: number(block, 100, 8, 'mode') & 0o7777,
    uid: number(block, 108, 8, 'owner'),
    gid: number(block, 116, 8, 'group'),
    sizeBytes: size(block, 124),
    mtimeSec: number(block, 136, 12, 'time'),
    target: text(block, 157, 100),
    user: gnu || ustar ? text(block, 265, 32) : ('' as RawString),
    group: gnu || ustar ? text(block, 297, 32) : ('' as RawString),
    // Blank in the headers of what is no device, whatever they hold there.
    major: flag === '3' || flag === '4' ? number(block, 329, 8, 'device number') : 0,
    minor: flag === '3' || flag === '4' ? number(block, 337, 8, 'device number') : 0,
    sparse: flag === 'S' ? sparseOf(block) : undefined,
  };
}

const sparseSlot = 24;

function sparseOf(block: Buffer): TarHeader['sparse'] {
  return { realSizeBytes: size(block, 483), segments: decodeSegments(block, 386, 4), continued: block[482] !== 0 };
}

/** A block that carries on the list of a sparse file's segments. @throws `archive-damaged`. */
export function decodeSparseBlock(block: Buffer): { segments: Segment[]; continued: boolean } {
  return { segments: decodeSegments(block, 0, 21), continued: block[504] !== 0 };
}

function decodeSegments(block: Buffer, at: number, slots: number): Segment[] {
  const segments: Segment[] = [];
  for (let slot = 0; slot < slots; slot++) {
    const start = at + slot * sparseSlot;
    if (block[start + 12] === 0) break;
    segments.push({ offset: size(block, start), length: size(block, start + 12) });
  }
  return segments;
}

/** Old writers summed signed bytes. */
function checksumMatches(block: Buffer): boolean {
  let unsigned = 8 * 0x20;
  let signed = unsigned;
  for (let at = 0; at < blockBytes; at++) {
    if (at === 148) at = 156;
    const byte = block[at] as number;
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  const match = /^[ \0]*([0-7]{1,8})[ \0]*$/.exec(block.toString('latin1', 148, 156));
  const said = match === null ? -1 : Number.parseInt(match[1] as string, 8);
  return said === unsigned || said === signed;
}

function text(block: Buffer, at: number, length: number): RawString {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return rawFromBytes(end < 0 ? field : field.subarray(0, end));
}

function size(block: Buffer, at: number): number {
  const bytes = number(block, at, 12, 'size');
  if (bytes < 0) throw archiveDamaged('a header has a size below zero');
  return bytes;
}

/** Octal digits among blanks and NULs; or, where the first bit is set, a binary number in two's complement (GNU). */
function number(block: Buffer, at: number, length: number, what: string): number {
  const first = block[at] as number;
  if (first >= 0x80) return binaryNumber(block.subarray(at, at + length), what);
  const match = /^[ \0]*([0-7]*)[ \0]*/.exec(block.toString('latin1', at, at + length)) as RegExpExecArray;
  // What stands behind a number's end is nobody's.
  const digits = match[1] as string;
  const value = digits === '' ? 0 : Number.parseInt(digits, 8);
  const next = block[at + match[0].length];
  if (match[0].length < length && digits === '' && next !== 0) throw archiveDamaged(`a header has no number as its ${what}`);
  return value;
}

function binaryNumber(field: Buffer, what: string): number {
  let value = BigInt((field[0] as number) & 0x7f);
  for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte);
  // The bit that marks the form is not part of the number; the next one is its sign.
  const bits = BigInt(field.length * 8 - 1);
  if (((field[0] as number) & 0x40) !== 0) value -= 1n << bits;
  const exact = Number(value);
  if (!Number.isSafeInteger(exact)) throw archiveDamaged(`a header has an impossible ${what}`);
  return exact;
}
