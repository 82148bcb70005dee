/** Fetches blobs of a pack in few reads: wanted blobs that lie near each other come with one range. */
import { sealOverheadBytes } from '../../format/seal.ts';
import { HoldfastError, isOfContent, isOfMedium } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import { openBlob, readAnyCopy } from '../../repository/blob-reader.ts';
import type { Storage } from '../../storage/storage.ts';
import type { LaneContext } from '../lanes/protocol.ts';

/** Reading on is cheaper than another request, up to here. */
const maxGapBytes = 512 * 1024;
/** Bounds the memory of a lane: it holds the range that it works on and those that it fetches ahead. */
const maxRangeBytes = 2 * 1024 * 1024;
/** Of ranges that are fetched ahead; one is always. */
const maxAheadBytes = 2 * maxRangeBytes;
/** How many ranges are fetched ahead: over a network the next must be asked for before this one is here. */
const rangesAhead = ({ remote = false }: Storage): number => (remote ? 2 : 1);
/** Blobs are this large at most, unless another tool made them. */
const scratchBytes = 8 * 1024 * 1024;

/** What blobs are inflated into, one after the other: fetchers of one thread share it. Memory that isn't written to isn't used. */
export const createScratch = (): Buffer => Buffer.allocUnsafeSlow(scratchBytes);

type Place = { slot: number; id: BlobId; pack: string; offset: number; length: number; plainLength: number };
type PackRange = { pack: string; offset: number; end: number; places: Place[] };

/** `plain` is valid during the call. */
export type OnBlob = (slot: number, plain: Buffer) => void;
/** `message` says what is wrong with every copy of the blob. */
export type OnDamaged = (slot: number, message: string) => void;

/** Throws what the storage throws when it fails, which says nothing of the blobs. */
export type BlobFetcher = (entries: readonly number[], onBlob: OnBlob, onDamaged: OnDamaged) => Promise<void>;

export function createBlobFetcher({ repository: { storage, seal }, index }: LaneContext, scratch: Buffer): BlobFetcher {
  function placesOf(entries: readonly number[], onDamaged: OnDamaged): Place[] {
    const places: Place[] = [];
    for (let slot = 0; slot < entries.length; slot++) {
      const entry = entries[slot] as number;
      const place = index.location(entry);
      if (place === undefined || place.length < sealOverheadBytes) onDamaged(slot, 'the index has no sensible place for a blob');
      else places.push({ ...place, slot, id: index.idOf(entry) });
    }
    return places.sort((a, b) => (a.pack === b.pack ? a.offset - b.offset : a.pack < b.pack ? -1 : 1));
  }

  const ahead = rangesAhead(storage);
  /** For the range that is worked on and those that are fetched ahead: fresh memory for each would cost more than reading it. */
  const lent = new Array<Buffer | undefined>(ahead + 1);

  function bufferFor(length: number, turn: number): { into?: Buffer } {
    if (length > maxRangeBytes) return {};
    const into = lent[turn % lent.length] ?? Buffer.allocUnsafeSlow(maxRangeBytes);
    lent[turn % lent.length] = into;
    return { into };
  }

  const read = (range: PackRange, turn: number): Promise<Buffer | HoldfastError> => {
    const length = lengthOf(range);
    return storage
      .read({ kind: 'data', name: range.pack }, { offset: range.offset, length, ...bufferFor(length, turn) })
      .catch((error: unknown) => {
        if (error instanceof HoldfastError) return error;
        throw error;
      });
  };

  /** Reads ranges in their order, the next ones while one is worked on. When it ends, nothing is read any more. */
  async function* readInOrder(ranges: readonly PackRange[]): AsyncGenerator<{ range: PackRange; bytes: Buffer | HoldfastError }> {
    const underWay: Promise<Buffer | HoldfastError>[] = [];
    let started = 0;
    let aheadBytes = 0;
    try {
      for (const [i, range] of ranges.entries()) {
        while (started < ranges.length && started <= i + ahead && (started <= i + 1 || aheadBytes < maxAheadBytes)) {
          const next = ranges[started] as PackRange;
          if (started > i) aheadBytes += lengthOf(next);
          const reading = read(next, started++);
          // Whoever awaits it is told.
          reading.catch(() => undefined);
          underWay.push(reading);
        }
        yield { range, bytes: await (underWay.shift() as Promise<Buffer | HoldfastError>) };
        const following = ranges[i + 1];
        if (following !== undefined) aheadBytes -= lengthOf(following);
      }
    } finally {
      await Promise.allSettled(underWay);
    }
  }

  /** Whoever waited between opening a blob and using it would find another fetcher's in the scratch. */
  function openNow(place: Place, bytes: Buffer | HoldfastError, from: number): Buffer | undefined {
    if (!Buffer.isBuffer(bytes)) return undefined;
    const at = place.offset - from;
    try {
      return openBlob(seal, bytes.subarray(at, at + place.length), place.plainLength, place.id, scratch);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      return undefined;
    }
  }

  return async (entries, onBlob, onDamaged) => {
    for await (const { range, bytes } of readInOrder(mergePlaces(placesOf(entries, onDamaged)))) {
      for (const place of range.places) {
        let plain: Buffer;
        try {
          plain = openNow(place, bytes, range.offset) ?? (await readAnyCopy({ storage, seal, index }, 'data', place.id));
        } catch (error) {
          if (!(error instanceof HoldfastError) || !(isOfContent(error) || isOfMedium(error))) throw error;
          onDamaged(place.slot, error.message);
          continue;
        }
        onBlob(place.slot, plain);
      }
      if (Buffer.isBuffer(bytes) && bytes.length > maxRangeBytes) free(bytes);
    }
  };
}

const lengthOf = ({ offset, end }: PackRange): number => end - offset;

/** Gives a range's memory back at once: garbage collection would let many of them pile up. Blobs are opened in it, so it is nobody else's. */
function free(bytes: Buffer): void {
  const memory = bytes.buffer;
  if (memory instanceof ArrayBuffer && memory.byteLength === bytes.length) memory.transfer(0);
}

/** Joins places that are sorted by pack and offset. Places that overlap (an index that lies) are read apart, because opening destroys what it reads. */
function mergePlaces(places: readonly Place[]): PackRange[] {
  const ranges: PackRange[] = [];
  let last: PackRange | undefined;
  for (const place of places) {
    const end = place.offset + place.length;
    const joins =
      last !== undefined &&
      last.pack === place.pack &&
      place.offset >= last.end &&
      place.offset - last.end <= maxGapBytes &&
      end - last.offset <= maxRangeBytes;
    if (joins && last !== undefined) {
      last.end = end;
      last.places.push(place);
    } else {
      last = { pack: place.pack, offset: place.offset, end, places: [place] };
      ranges.push(last);
    }
  }
  return ranges;
}
