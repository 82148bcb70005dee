/**
 * The header of a pack: for each blob its type, sealed length, plaintext length when it is compressed, and id;
 * sealed as a whole and followed by its sealed length (restic design document, "Pack Format").
 */
import { HoldfastError } from '../model/errors.ts';
import type { BlobId } from '../model/ids.ts';
import { type Seal, sealOverheadBytes } from './seal.ts';

export type BlobKind = 'data' | 'tree';

/** A blob's place in a pack. */
export type PackEntry = {
  id: BlobId;
  kind: BlobKind;
  /** Of the sealed blob, from the beginning of the pack. */
  offset: number;
  /** Length of the sealed blob. */
  length: number;
  /** Length before compression; 0 when the blob is stored as it is. */
  plainLength: number;
};

const plainEntryBytes = 1 + 4 + 32;
const compressedEntryBytes = 1 + 4 + 4 + 32;
const lengthBytes = 4;

/** No header is larger: restic's own limit. */
const maxHeaderBytes = 16 * 1024 * 1024;

/** Upper bound of what header and length field add to a pack of so many blobs. */
export const headerBoundBytes = (blobs: number): number => blobs * compressedEntryBytes + sealOverheadBytes + lengthBytes;

/** Builds header entries without an object a blob: a backup makes millions. */
export class HeaderBuilder {
  private buffer = Buffer.allocUnsafe(64 * compressedEntryBytes);
  private used = 0;
  count = 0;

  add(kind: BlobKind, id: Buffer, length: number, plainLength: number): void {
    if (this.used + compressedEntryBytes > this.buffer.length) {
      this.buffer = Buffer.concat([this.buffer.subarray(0, this.used)], this.buffer.length * 2);
    }
    const kindByte = kind === 'data' ? 0 : 1;
    let at = this.buffer.writeUInt8(plainLength > 0 ? kindByte + 2 : kindByte, this.used);
    at = this.buffer.writeUInt32LE(length, at);
    if (plainLength > 0) at = this.buffer.writeUInt32LE(plainLength, at);
    id.copy(this.buffer, at, 0, 32);
    this.used = at + 32;
    this.count++;
  }

  /** A view that is valid until the next `add` or `reset`. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.used);
  }

  reset(): void {
    this.used = 0;
    this.count = 0;
  }
}

/** Seals the header entries into `target`, followed by the length field. @returns bytes written. */
export function writeHeader(seal: Seal, entries: Buffer, target: Buffer): number {
  const sealedLength = seal.sealInto(entries, target);
  target.writeUInt32LE(sealedLength, sealedLength);
  return sealedLength + lengthBytes;
}

/**
 * Reads header entries; offsets follow from the order.
 * @throws `damaged` when they don't make sense.
 */
export function parseHeaderEntries(bytes: Buffer): PackEntry[] {
  const entries: PackEntry[] = [];
  let at = 0;
  let offset = 0;
  while (at < bytes.length) {
    const type = bytes[at] as number;
    const compressed = type >= 2;
    const end = at + (compressed ? compressedEntryBytes : plainEntryBytes);
    if (type > 3 || end > bytes.length) throw new HoldfastError('damaged', 'the header of a pack has an entry that makes no sense');
    const length = bytes.readUInt32LE(at + 1);
    if (length < sealOverheadBytes) throw new HoldfastError('damaged', 'the header of a pack has a blob that is too short');
    entries.push({
      id: bytes.toString('hex', end - 32, end) as BlobId,
      kind: type % 2 === 0 ? 'data' : 'tree',
      offset,
      length,
      plainLength: compressed ? bytes.readUInt32LE(at + 5) : 0,
    });
    offset += length;
    at = end;
  }
  return entries;
}

/**
 * How many bytes at the end of a pack are its header with the length field, from the last bytes of the pack.
 * @throws `damaged` when the length makes no sense for a pack of that size.
 */
export function headerLength(tail: Buffer, packBytes: number): number {
  if (tail.length < lengthBytes) throw new HoldfastError('damaged', 'a pack is too short to have a header');
  const sealedLength = tail.readUInt32LE(tail.length - lengthBytes);
  const total = sealedLength + lengthBytes;
  if (sealedLength < sealOverheadBytes + plainEntryBytes || total > packBytes || sealedLength > maxHeaderBytes) {
    throw new HoldfastError('damaged', `the length of a pack's header (${sealedLength}) makes no sense in a pack of ${packBytes} bytes`);
  }
  return total;
}

/**
 * Opens a header: `bytes` are the last headerLength() bytes of a pack.
 * @throws `damaged`, also when the blobs and the header don't make up the pack.
 */
export function openHeader(seal: Seal, bytes: Buffer, packBytes: number): PackEntry[] {
  const entries = parseHeaderEntries(seal.open(Buffer.from(bytes.subarray(0, bytes.length - lengthBytes))));
  const last = entries[entries.length - 1];
  if (last === undefined || last.offset + last.length + bytes.length !== packBytes) {
    throw new HoldfastError('damaged', "the blobs in a pack's header do not add up to the pack");
  }
  return entries;
}
