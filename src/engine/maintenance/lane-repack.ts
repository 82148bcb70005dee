/**
 * A lane's part of repacking: reads the blobs of a pack that are still needed, in few ranges, verifies each, and puts it into a new pack
 * sealed as it is. What is not compressed and should be is sealed anew.
 */
import { compressBound, zstd } from '../../format/kernel/zstd.ts';
import type { BlobKind } from '../../format/pack-header.ts';
import { ivBytes, sealOverheadBytes } from '../../format/seal.ts';
import { HoldfastError, isOfContent } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { BlobLocation } from '../../repository/blob-index.ts';
import { openBlob } from '../../repository/blob-reader.ts';
import type { PackWriter } from '../../repository/pack-writer.ts';
import type { LaneContext } from '../lanes/protocol.ts';

/** Reading on is cheaper than another request, up to here. */
const maxGapBytes = 512 * 1024;
/** Bounds the memory of a lane: it holds the range that it works on and the one that it fetches ahead. */
const maxRangeBytes = 1024 * 1024;
/** Blobs are this large at most, unless another tool made them. */
const scratchBytes = 8 * 1024 * 1024;
/** zstd level of what is compressed anew: that of `backup --compression auto`. */
export const compressionLevel = 2;

type Place = BlobLocation & { id: BlobId };
type Range = { pack: string; offset: number; end: number; places: Place[] };

export type Repacker = {
  /** Copies entries of one pack. */
  copy(entries: Uint32Array): Promise<void>;
  /** Reads entries of one pack; those that are not intact are copied from another place. */
  verify(entries: Uint32Array): Promise<void>;
};

export type RepackerOptions = {
  context: LaneContext;
  writer: PackWriter;
  compressData: boolean;
  /** Told of every blob that is done, with its stored length; throws to stop. */
  onDone: (bytes: number) => void;
};

/** All throw `damaged` when no place of a blob holds it intact, `storage`, `storage-full`. */
export function createRepacker({ context, writer, compressData, onDone }: RepackerOptions): Repacker {
  const { repository, index } = context;
  const { storage, seal, config } = repository;
  const scratch = Buffer.allocUnsafeSlow(scratchBytes);
  const lent: (Buffer | undefined)[] = [undefined, undefined];
  const idBytes = Buffer.alloc(32);

  function bufferFor(length: number, turn: number): { into?: Buffer } {
    if (length > maxRangeBytes) return {};
    const into = lent[turn % lent.length] ?? Buffer.allocUnsafeSlow(maxRangeBytes);
    lent[turn % lent.length] = into;
    return { into };
  }

  function read({ pack, offset, end }: Range, turn: number): Promise<Buffer | HoldfastError> {
    const length = end - offset;
    return storage
      .read({ kind: 'data', name: pack }, { offset, length, ...bufferFor(length, turn) })
      .catch((error: unknown) => (error instanceof HoldfastError ? error : Promise.reject(error)));
  }

  const mustCompress = (kind: BlobKind, plain: Buffer) => config.version >= 2 && plain.length > 0 && (kind === 'tree' || compressData);

  /** Puts a blob into a new pack if it is intact. Destroys `sealed`. @throws `damaged` */
  function put({ kind, id, plainLength }: Place, sealed: Buffer): void {
    const room = writer.room(kind, sealed.length);
    sealed.copy(room);
    const plain = openBlob(seal, sealed, plainLength, id, scratch);
    idBytes.write(id, 'hex');
    if (plainLength > 0 || !mustCompress(kind, plain)) return writer.addSealed(kind, idBytes, sealed.length, plainLength);
    // Compressed even if it gets larger: else the next prune would do it again.
    const target = writer.room(kind, compressBound(plain.length) + sealOverheadBytes);
    const length = zstd.compress(plain, target.subarray(ivBytes), compressionLevel);
    writer.addSealed(kind, idBytes, seal.sealInto(target.subarray(ivBytes, ivBytes + length), target), plain.length);
  }

  /** Takes the blob from the first of its other places that holds it intact. */
  async function putAnotherCopy(place: Place, cause: HoldfastError): Promise<void> {
    for (const other of index.locations(place.id, place.kind)) {
      if (other.pack === place.pack && other.offset === place.offset) continue;
      try {
        const { pack, offset, length } = other;
        return put({ ...other, id: place.id }, await storage.read({ kind: 'data', name: pack }, { offset, length }));
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
      }
    }
    throw new HoldfastError(
      isOfContent(cause) ? 'damaged' : cause.code,
      `${place.kind} blob ${place.id} of pack ${place.pack}, which snapshots need: ${cause.message}; no old pack was removed`,
      { file: `data/${place.pack}`, cause },
    );
  }

  async function forEachBlob(entries: Uint32Array, take: (place: Place, sealed: Buffer) => void): Promise<void> {
    const ranges = rangesOf(Array.from(entries, (entry) => ({ ...(index.location(entry) as BlobLocation), id: index.idOf(entry) })));
    let next = ranges[0] === undefined ? undefined : read(ranges[0], 0);
    try {
      for (const [i, range] of ranges.entries()) {
        const bytes = (await next) as Buffer | HoldfastError;
        const following = ranges[i + 1];
        next = following === undefined ? undefined : read(following, i + 1);
        for (const place of range.places) {
          try {
            if (!Buffer.isBuffer(bytes)) throw bytes;
            const at = place.offset - range.offset;
            take(place, bytes.subarray(at, at + place.length));
          } catch (error) {
            if (!(error instanceof HoldfastError)) throw error;
            await putAnotherCopy(place, error);
          }
          if (writer.full) await writer.settle();
          onDone(place.length);
        }
      }
    } finally {
      await next?.catch(() => undefined);
    }
  }

  return {
    copy: (entries) => forEachBlob(entries, put),
    verify: (entries) =>
      forEachBlob(entries, ({ id, plainLength }, sealed) => {
        openBlob(seal, sealed, plainLength, id, scratch);
      }),
  };
}

/** Joins places that lie near each other. Places that overlap (an index that lies) are read apart, because opening destroys what it reads. */
function rangesOf(places: Place[]): Range[] {
  places.sort((a, b) => a.offset - b.offset);
  const ranges: Range[] = [];
  for (const place of places) {
    const end = place.offset + place.length;
    const last = ranges.at(-1);
    const near = last !== undefined && place.offset >= last.end && place.offset - last.end <= maxGapBytes;
    if (near && end - last.offset <= maxRangeBytes) {
      last.end = end;
      last.places.push(place);
    } else {
      ranges.push({ pack: place.pack, offset: place.offset, end, places: [place] });
    }
  }
  return ranges;
}
