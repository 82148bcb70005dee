/** A lane's part of reading the data: a pack from its first byte to its last, in pieces, with every blob opened and hashed. */
import { createHash, type Hash } from 'node:crypto';
import { headerLength, openHeader, type PackEntry } from '../../format/pack-header.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobLocation } from '../../repository/blob-index.ts';
import { openBlob } from '../../repository/blob-reader.ts';
import type { LaneContext } from '../lanes/protocol.ts';
import type { Damage, DamageKind } from './damage.ts';
import { type PlacedBlob, planPieces } from './pack-pieces.ts';

/** Small enough to stay in a processor's cache from reading through hashing to opening. */
const pieceBytes = 1024 * 1024;
/** A buffer for larger blobs is kept for the next one up to this. */
const keptBytes = 9 * 1024 * 1024;
const scratchBytes = 8 * 1024 * 1024;

export type PackToRead = { pack: string; sizeBytes: number; entries: Uint32Array };
export type PackChecker = (pack: PackToRead) => Promise<Damage[]>;

/** @param onRead is told how many bytes were read, and throws to stop. */
export function createPackChecker({ repository: { storage, seal }, index }: LaneContext, onRead: (bytes: number) => void): PackChecker {
  const pieces = [Buffer.allocUnsafeSlow(pieceBytes), Buffer.allocUnsafeSlow(pieceBytes)] as const;
  const scratch = Buffer.allocUnsafeSlow(scratchBytes);
  let large: Buffer | undefined;

  /** Memory that isn't written to isn't used: the full size costs address space only. */
  function bufferFor(length: number, slot: 0 | 1): Buffer {
    if (length <= pieceBytes) return pieces[slot];
    if (length > keptBytes) return Buffer.allocUnsafeSlow(length);
    large ??= Buffer.allocUnsafeSlow(keptBytes);
    return large;
  }

  const readRange = (pack: string, offset: number, length: number, into: Buffer) =>
    storage.read({ kind: 'data', name: pack }, { offset, length, into });

  /** Opens a blob that lies in `sealed`, and destroys that. */
  function checkBlob(pack: string, { entry, offset, plainLength }: PlacedBlob, sealed: Buffer, damages: Damage[]): void {
    const id = index.idOf(entry);
    try {
      openBlob(seal, sealed, plainLength, id, scratch);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      damages.push({
        ...inPack('blob-damaged', pack, `${index.kindOf(entry)} blob ${id} at ${offset} of pack ${pack}: ${error.message}`),
        entries: [entry],
      });
    }
  }

  /** Reads the pack from its beginning to its end. @returns its last piece, which must be its header. */
  async function readThrough(
    { pack, sizeBytes }: PackToRead,
    blobs: readonly PlacedBlob[],
    hash: Hash,
    damages: Damage[],
  ): Promise<Buffer> {
    const plan = planPieces(blobs, sizeBytes, pieceBytes);
    const start = (i: number) => {
      const { offset, length } = plan.pieces[i] as { offset: number; length: number };
      const reading = readRange(pack, offset, length, bufferFor(length, (i % 2) as 0 | 1));
      // Its failure is reported when it is awaited; it must not count as unhandled until then.
      reading.catch(() => undefined);
      return reading;
    };
    let next: Promise<Buffer> | undefined;
    let last: Buffer = Buffer.alloc(0);
    try {
      for (const [i, piece] of plan.pieces.entries()) {
        const bytes = await (next ?? start(i));
        // The buffer for large blobs exists once: only what fits the small ones is fetched ahead.
        const following = plan.pieces[i + 1];
        next = following !== undefined && following.length <= pieceBytes ? start(i + 1) : undefined;
        onRead(bytes.length);
        hash.update(bytes);
        for (const blob of piece.blobs)
          checkBlob(pack, blob, bytes.subarray(blob.offset - piece.offset, blob.offset - piece.offset + blob.length), damages);
        last = bytes;
      }
    } finally {
      await next?.catch(() => undefined);
    }
    for (const blob of plan.strays) await checkStray(pack, blob, sizeBytes, damages);
    return Buffer.from(last.subarray(Math.max(0, last.length - pieceBytes)));
  }

  /** A blob that overlaps another, or lies beyond the end, if the index is to be believed. */
  async function checkStray(pack: string, blob: PlacedBlob, sizeBytes: number, damages: Damage[]): Promise<void> {
    if (blob.offset + blob.length > sizeBytes) {
      const message = `${index.kindOf(blob.entry)} blob ${index.idOf(blob.entry)} lies beyond the end of pack ${pack}`;
      return void damages.push({ ...inPack('blob-damaged', pack, message), entries: [blob.entry] });
    }
    checkBlob(pack, blob, await readRange(pack, blob.offset, blob.length, bufferFor(blob.length, 0)), damages);
  }

  async function checkHeader(pack: string, sizeBytes: number, tail: Buffer, blobs: readonly PlacedBlob[]): Promise<Damage[]> {
    let header: PackEntry[];
    try {
      const length = headerLength(tail, sizeBytes);
      const bytes =
        length <= tail.length
          ? tail.subarray(tail.length - length)
          : await storage.read({ kind: 'data', name: pack }, { offset: sizeBytes - length, length });
      header = openHeader(seal, bytes, sizeBytes);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      return [inPack('pack-header', pack, `the header of pack ${pack}: ${error.message}`)];
    }
    const difference = firstDifference(
      header,
      blobs,
      (entry) => index.idOf(entry),
      (entry) => index.kindOf(entry),
    );
    return difference === undefined
      ? []
      : [inPack('index-mismatch', pack, `the index and the header of pack ${pack} disagree: ${difference}`)];
  }

  return async (call) => {
    const { pack, sizeBytes, entries } = call;
    const blobs = Array.from(entries, (entry): PlacedBlob => ({ ...(index.location(entry) as BlobLocation), entry }));
    const damages: Damage[] = [];
    const hash = createHash('sha256');
    try {
      const tail = await readThrough(call, blobs, hash, damages);
      const header = await checkHeader(pack, sizeBytes, tail, blobs);
      damages.push(...header);
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code === 'interrupted') throw error;
      const kind = error.code === 'file-missing' ? 'pack-missing' : error.code === 'storage' ? 'unreadable' : 'pack-size';
      return [...damages, { ...inPack(kind, pack, `pack ${pack}: ${error.message}`), entries: [...entries] }];
    }
    if (hash.digest('hex') !== pack) {
      const verdict = damages.some(({ kind }) => kind === 'blob-damaged') ? '' : '; all blobs that the index names in it are intact';
      damages.unshift(inPack('pack-damaged', pack, `pack ${pack} does not hash to its name${verdict}`));
    }
    return damages;
  };
}

const inPack = (kind: DamageKind, pack: string, message: string): Damage => ({ kind, message, file: `data/${pack}` });

/** What the header says first that the index doesn't, or the other way round. */
function firstDifference(
  header: readonly PackEntry[],
  blobs: readonly PlacedBlob[],
  idOf: (entry: number) => string,
  kindOf: (entry: number) => string,
): string | undefined {
  for (let i = 0; i < Math.max(header.length, blobs.length); i++) {
    const [there, here] = [header[i], blobs[i]];
    if (there === undefined) return `only the index names blob ${idOf((here as PlacedBlob).entry)}`;
    if (here === undefined) return `only the header names ${there.kind} blob ${there.id}`;
    if (idOf(here.entry) !== there.id) return `at ${there.offset} is blob ${there.id} in the header and ${idOf(here.entry)} in the index`;
    if (kindOf(here.entry) !== there.kind) return `blob ${there.id} is ${there.kind} in the header and ${kindOf(here.entry)} in the index`;
    const same = here.offset === there.offset && here.length === there.length && here.plainLength === there.plainLength;
    if (!same) {
      return `blob ${there.id} is ${there.length} bytes at ${there.offset} (${there.plainLength} inflated) in the header, ${here.length} at ${here.offset} (${here.plainLength}) in the index`;
    }
  }
  return undefined;
}
