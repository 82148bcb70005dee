/** A lane's part of reading the data: a pack from its first byte to its last, in pieces, with every blob opened and hashed. */
import { createHash, type Hash } from 'node:crypto';
import { headerLength, openHeader, type PackEntry } from '../../format/pack-header.ts';
import { HoldfastError, isOfContent } from '../../model/errors.ts';
import type { BlobLocation } from '../../repository/blob-index.ts';
import { openBlob } from '../../repository/blob-reader.ts';
import type { LaneContext } from '../lanes/protocol.ts';
import { firstDifference } from './compare-header.ts';
import { type Damage, type DamageKind, kindOfFailure } from './damage.ts';
import { createPackBuffers } from './pack-buffers.ts';
import { type Piece, type PlacedBlob, planPieces } from './pack-pieces.ts';

export type PackToRead = { pack: string; sizeBytes: number; entries: Uint32Array };
export type PackChecker = (pack: PackToRead) => Promise<Damage[]>;

/**
 * @param work from `createWork`: checkers of one thread share it, for nothing stays in it.
 * @param onRead is told how many bytes were read, and throws to stop.
 */
export function createPackChecker(context: LaneContext, work: Buffer, onRead: (bytes: number) => void): PackChecker {
  const { index, repository } = context;
  const { storage, seal } = repository;
  const { own, pieceBytes, ahead, bufferFor } = createPackBuffers(storage);
  const readRange = (pack: string, offset: number, length: number, into?: Buffer) =>
    storage.read({ kind: 'data', name: pack }, { offset, length, into });

  /** Opens a blob that lies in `sealed`, and destroys that. */
  async function checkBlob(
    pack: string,
    { entry, offset, length, plainLength }: PlacedBlob,
    sealed: Buffer,
    damages: Damage[],
  ): Promise<void> {
    const id = index.idOf(entry);
    try {
      openBlob(seal, sealed, plainLength, id, sealed.length > pieceBytes ? own : work);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      try {
        // Perhaps it was only compressed so oddly that it cannot be inflated over itself.
        if (sealed.length <= pieceBytes || plainLength === 0) throw error;
        openBlob(seal, await readRange(pack, offset, length), plainLength, id);
      } catch (failure) {
        if (!(failure instanceof HoldfastError && isOfContent(failure))) throw failure;
        const message = `${index.kindOf(entry)} blob ${id} at ${offset} of pack ${pack}: ${failure.message}`;
        damages.push({ ...inPack('blob-damaged', pack, message), entries: [entry] });
      }
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
    const underWay: Promise<Buffer>[] = [];
    let started = 0;
    const start = () => {
      const piece = plan.pieces[started] as Piece;
      const reading = readRange(pack, piece.offset, piece.length, bufferFor(piece, started++));
      // Its failure is reported when it is awaited; it must not count as unhandled until then.
      reading.catch(() => undefined);
      underWay.push(reading);
    };
    /** The buffer for large blobs exists once: only what fits the small ones is fetched ahead. */
    const mayStart = (i: number) => {
      const next = plan.pieces[started];
      return next !== undefined && (started === i || (started <= i + ahead && next.length <= pieceBytes));
    };
    let last: Buffer = Buffer.alloc(0);
    try {
      for (const [i, piece] of plan.pieces.entries()) {
        while (mayStart(i)) start();
        const bytes = await (underWay.shift() as Promise<Buffer>);
        onRead(bytes.length);
        hash.update(bytes);
        for (const blob of piece.blobs) {
          const at = blob.offset - piece.offset;
          await checkBlob(pack, blob, bytes.subarray(at, at + blob.length), damages);
        }
        last = bytes;
      }
    } finally {
      await Promise.allSettled(underWay);
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
    await checkBlob(pack, blob, await readRange(pack, blob.offset, blob.length), damages);
  }

  return async (call) => {
    const { pack, entries } = call;
    const blobs = Array.from(entries, (entry): PlacedBlob => ({ ...(index.location(entry) as BlobLocation), entry }));
    const damages: Damage[] = [];
    const hash = createHash('sha256');
    try {
      const tail = await readThrough(call, blobs, hash, damages);
      damages.push(...(await checkHeader(context, call, tail, blobs)));
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code === 'interrupted') throw error;
      const kind = error.code === 'file-missing' ? 'pack-missing' : kindOfFailure(error, 'pack-size');
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

/**
 * Holds a pack's header against what the index says. `tail` is the end of the pack, where the header should be.
 * @throws `storage` and others when it cannot be read now.
 */
async function checkHeader(
  context: LaneContext,
  { pack, sizeBytes }: PackToRead,
  tail: Buffer,
  blobs: readonly PlacedBlob[],
): Promise<Damage[]> {
  const { index, repository } = context;
  let header: PackEntry[];
  try {
    const length = headerLength(tail, sizeBytes);
    const range = { offset: sizeBytes - length, length };
    const read = () => repository.storage.read({ kind: 'data', name: pack }, range);
    header = openHeader(repository.seal, length <= tail.length ? tail.subarray(tail.length - length) : await read(), sizeBytes);
  } catch (error) {
    if (!(error instanceof HoldfastError && isOfContent(error))) throw error;
    return [inPack('pack-header', pack, `the header of pack ${pack}: ${error.message}`)];
  }
  const difference = firstDifference(header, blobs, index);
  return difference === undefined
    ? []
    : [inPack('index-mismatch', pack, `the index and the header of pack ${pack} disagree: ${difference}`)];
}
