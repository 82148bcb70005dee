/** A lane's part of copying blobs: read from the source, opened and verified, sealed anew for the destination. */
import { ivBytes, macBytes, sealOverheadBytes } from '../../format/seal.ts';
import { HoldfastError, isOfContent } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { BlobIndex, BlobLocation } from '../../repository/blob-index.ts';
import { openBlob, readAnyCopy } from '../../repository/blob-reader.ts';
import type { AddedBlob, PackWriter } from '../../repository/pack-writer.ts';
import type { Repository } from '../../repository/repository.ts';
import type { BlobsCopied } from './copy-messages.ts';
import type { Damage } from './damage.ts';

/** Reading on is cheaper than another request, up to here. */
const maxGapBytes = 256 * 1024;
/** Bounds the memory of a lane, which holds the range that it works on and the one that it fetches ahead. */
const maxRangeBytes = 4 * 1024 * 1024;
/** Blobs are this large at most, unless another tool made them. */
const scratchBytes = 8 * 1024 * 1024;

type Opened = { repository: Repository; index: BlobIndex };
type Place = BlobLocation & { entry: number; id: BlobId };
type Range = { pack: string; holds?: 'trees'; offset: number; end: number; places: Place[] };

export type BlobCopierOptions = {
  source: Opened;
  destination: Opened;
  writer: PackWriter;
  /** Told of every blob that was stored, with its sealed length in the source; throws to stop. */
  onCopied: (sourceBytes: number, added: AddedBlob) => void;
};

/** Copies blobs, whose entries are those of the source's index. @throws what the destination's storage throws. */
export type BlobCopier = (entries: Uint32Array) => Promise<BlobsCopied>;

export function createBlobCopier({ source, destination, writer, onCopied }: BlobCopierOptions): BlobCopier {
  const { storage, seal } = source.repository;
  const compresses = destination.repository.config.version >= 2;
  const scratch = Buffer.allocUnsafeSlow(scratchBytes);
  const lent: (Buffer | undefined)[] = [undefined, undefined];
  const id = Buffer.alloc(32);

  function read({ pack, holds, offset, end }: Range, turn: number): Promise<Buffer | HoldfastError> {
    const length = end - offset;
    if (length <= maxRangeBytes) lent[turn % 2] ??= Buffer.allocUnsafeSlow(maxRangeBytes);
    const into = length <= maxRangeBytes ? lent[turn % 2] : undefined;
    return storage.read({ kind: 'data', name: pack, holds }, { offset, length, into }).catch((error: unknown) => {
      if (error instanceof HoldfastError) return error;
      throw error;
    });
  }

  /** Adds a blob from its place in `bytes`, which is destroyed, or from any other place of the source that holds it intact. */
  async function copy(place: Place, bytes: Buffer | HoldfastError, from: number): Promise<AddedBlob | HoldfastError | undefined> {
    const { kind, plainLength, offset, length } = place;
    let plain: Buffer;
    let compressed: Buffer | undefined;
    try {
      if (!Buffer.isBuffer(bytes)) throw bytes;
      const sealed = bytes.subarray(offset - from, offset - from + length);
      plain = openBlob(seal, sealed, plainLength, place.id, scratch);
      // Opening decrypts in place, and inflates to somewhere else.
      if (compresses && plainLength > 0) compressed = sealed.subarray(ivBytes, length - macBytes);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      try {
        plain = await readAnyCopy({ storage, seal, index: source.index }, kind, place.id);
      } catch (failure) {
        if (failure instanceof HoldfastError) return failure;
        throw failure;
      }
    }
    id.write(place.id, 'hex');
    // Claimed only now: what cannot be read is not there.
    if (!destination.index.claim(id, kind)) return undefined;
    return compressed === undefined ? writer.add(kind, id, plain) : writer.addContent(kind, id, compressed, plain.length);
  }

  return async (entries) => {
    const lost: { place: Place; error: HoldfastError }[] = [];
    const ranges = rangesOf(placesOf(source.index, entries, (place, error) => lost.push({ place, error })));
    let next = ranges[0] === undefined ? undefined : read(ranges[0], 0);
    for (const [i, range] of ranges.entries()) {
      const bytes = (await next) as Buffer | HoldfastError;
      const following = ranges[i + 1];
      next = following === undefined ? undefined : read(following, i + 1);
      try {
        for (const place of range.places) {
          const copied = await copy(place, bytes, range.offset);
          if (copied instanceof HoldfastError) lost.push({ place, error: copied });
          else if (copied !== undefined) onCopied(place.length, copied);
          if (writer.full) await writer.settle();
        }
      } catch (error) {
        // The buffer that it reads into must not be lent again before it is done.
        await next;
        throw error;
      }
    }
    return damagesOf(lost);
  };
}

function placesOf(index: BlobIndex, entries: Uint32Array, onLost: (place: Place, error: HoldfastError) => void): Place[] {
  const places: Place[] = [];
  for (const entry of entries) {
    const place = { ...(index.location(entry) as BlobLocation), entry, id: index.idOf(entry) };
    if (place.length >= sealOverheadBytes) places.push(place);
    else onLost(place, new HoldfastError('damaged', `the index gives it a length of ${place.length}`));
  }
  return places.sort((a, b) => (a.pack === b.pack ? a.offset - b.offset : a.pack < b.pack ? -1 : 1));
}

/** Joins places that lie near each other. Places that overlap (an index that lies) are read apart, because opening destroys what it reads. */
function rangesOf(places: readonly Place[]): Range[] {
  const ranges: Range[] = [];
  let last: Range | undefined;
  for (const place of places) {
    const { pack, offset, length, kind } = place;
    const end = offset + length;
    const near = last?.pack === pack && offset >= last.end && offset - last.end <= maxGapBytes && end - last.offset <= maxRangeBytes;
    if (last !== undefined && near) {
      last.end = end;
      last.places.push(place);
    } else {
      last = { pack, offset, end, places: [place], ...(kind === 'tree' ? { holds: 'trees' } : {}) };
      ranges.push(last);
    }
  }
  return ranges;
}

/** One damage a blob, or one a pack that is missing or cannot be read. */
function damagesOf(lost: readonly { place: Place; error: HoldfastError }[]): BlobsCopied {
  const damages: Damage[] = [];
  const wholePacks = new Map<string, { error: HoldfastError; entries: number[] }>();
  for (const { place, error } of lost) {
    const { entry, pack, kind, offset, id } = place;
    if (error.code === 'file-missing' || !isOfContent(error)) {
      const known = wholePacks.get(pack);
      if (known === undefined) wholePacks.set(pack, { error, entries: [entry] });
      else known.entries.push(entry);
      continue;
    }
    const message = `${kind} blob ${id} at ${offset} of pack ${pack} cannot be copied: ${error.message}`;
    damages.push({ kind: 'blob-damaged', message, file: `data/${pack}`, lost: [entry] });
  }
  let unreadablePacks = 0;
  for (const [pack, { error, entries }] of wholePacks) {
    const missing = error.code === 'file-missing';
    if (!missing) unreadablePacks++;
    const message = `${entries.length} blobs of pack ${pack} cannot be copied: ${error.message}`;
    damages.push({ kind: missing ? 'pack-missing' : 'unreadable', message, file: `data/${pack}`, lost: entries });
  }
  return { damages, unreadablePacks };
}
