/** What is left of a pack: its blobs are tried one by one, where its header or the index says that they are. */
import { createHash } from 'node:crypto';
import type { BlobKind, PackEntry } from '../../format/pack-header.ts';
import { HoldfastError, isOfContent } from '../../model/errors.ts';
import type { BlobId, PackId } from '../../model/ids.ts';
import { openBlob } from '../../repository/blob-reader.ts';
import type { Repository } from '../../repository/repository.ts';
import type { CheckedIndex } from './checked-index.ts';
import { placesOf } from './index-rewrite.ts';
import { planPieces } from './pack-pieces.ts';
import { readHeader } from './repair-index.ts';

/** Read at once. */
const pieceBytes = 4 * 1024 * 1024;

export type LostBlob = { kind: BlobKind; id: BlobId; reason: string };

export type Diagnosis = {
  pack: PackId;
  sizeBytes: number;
  /** Every byte is what was written, and the header names blobs that are what it says. */
  intact: boolean;
  /** Why the header cannot be read. */
  headerReason: string | undefined;
  /** Where intact blobs are; each blob once. */
  saved: PackEntry[];
  /** Blobs that are intact in no place of this pack. Other packs may have them. */
  lost: LostBlob[];
};

/**
 * Finds out what can be saved from a pack. Changes nothing.
 * @throws `file-missing`, `storage`: what cannot be read now is not lost.
 */
export async function diagnosePack(repository: Repository, checked: CheckedIndex, pack: PackId): Promise<Diagnosis> {
  const { storage, seal } = repository;
  const sizeBytes = await storage.sizeOf({ kind: 'data', name: pack });
  const number = checked.packNumber(pack);
  const header = await readHeader(repository, { pack, sizeBytes, number }, checked);
  if (header instanceof HoldfastError && !isOfContent(header)) throw header;
  const named = header instanceof HoldfastError ? [] : header;
  const places = [...named, ...(number === undefined ? [] : besides(named, placesOf(checked, number)))];
  const found = new Map<string, PackEntry>();
  const lost = new Map<string, LostBlob>();
  const hash = createHash('sha256');
  const onPlace = (place: PackEntry, sealed: Buffer | undefined) => {
    const { kind, id } = place;
    const key = `${kind}:${id}`;
    if (found.has(key)) return;
    const reason = sealed === undefined ? 'it lies beyond the end of the pack' : reasonAgainst(seal, place, sealed);
    if (reason === undefined) found.set(key, place);
    else lost.set(key, { kind, id, reason });
  };
  await visitPlaces(storage, pack, sizeBytes, places, onPlace, (bytes) => hash.update(bytes));
  for (const key of found.keys()) lost.delete(key);
  const headerHolds = !(header instanceof HoldfastError) && header.every(({ kind, id }) => found.has(`${kind}:${id}`));
  return {
    pack,
    sizeBytes,
    intact: headerHolds && hash.digest('hex') === pack,
    headerReason: header instanceof HoldfastError ? header.message : undefined,
    saved: [...found.values()].sort((a, b) => a.offset - b.offset),
    lost: [...lost.values()],
  };
}

/** What the index says that the header doesn't. Where they disagree on the same bytes of the same blob, the header is right. */
function besides(header: readonly PackEntry[], said: readonly PackEntry[]): PackEntry[] {
  const keyOf = ({ id, offset, length }: PackEntry) => `${id}:${offset}:${length}`;
  const known = new Set(header.map(keyOf));
  return said.filter((place) => !known.has(keyOf(place)));
}

function reasonAgainst(seal: Repository['seal'], { id, plainLength }: PackEntry, sealed: Buffer): string | undefined {
  try {
    // Opening destroys what it opens.
    openBlob(seal, Buffer.from(sealed), plainLength, id);
    return undefined;
  } catch (error) {
    if (error instanceof HoldfastError) return error.message;
    throw error;
  }
}

/** Reads the saved blobs of a pack again, sealed as they are. @throws `damaged` for one that is not what it was. */
export async function readSaved(
  { storage, seal }: Repository,
  { pack, sizeBytes, saved }: Diagnosis,
  onBlob: (place: PackEntry, sealed: Buffer) => Promise<void>,
): Promise<void> {
  const file = `data/${pack}`;
  const visit = async (place: PackEntry, sealed: Buffer | undefined) => {
    const reason = sealed === undefined ? 'it is gone' : reasonAgainst(seal, place, sealed);
    if (reason !== undefined)
      throw new HoldfastError('damaged', `blob ${place.id} of pack ${pack} was intact a moment ago: ${reason}`, { file });
    await onBlob(place, sealed as Buffer);
  };
  await visitPlaces(storage, pack, sizeBytes, saved, visit, () => undefined);
}

/** Reads a pack from its first byte to its last, and shows what is at each place; undefined for what is not in the pack. */
async function visitPlaces(
  storage: Repository['storage'],
  pack: PackId,
  packBytes: number,
  places: readonly PackEntry[],
  onPlace: (place: PackEntry, sealed: Buffer | undefined) => void | Promise<void>,
  onBytes: (bytes: Buffer) => void,
): Promise<void> {
  const blobs = places
    .map(({ offset, length, plainLength }, entry) => ({ entry, offset, length, plainLength }))
    .sort((a, b) => a.offset - b.offset || a.length - b.length);
  const { pieces, strays } = planPieces(blobs, packBytes, pieceBytes);
  const read = (offset: number, length: number) => storage.read({ kind: 'data', name: pack }, { offset, length });
  for (const piece of pieces) {
    const bytes = await read(piece.offset, piece.length);
    onBytes(bytes);
    for (const { entry, offset, length } of piece.blobs) {
      const at = offset - piece.offset;
      await onPlace(places[entry] as PackEntry, bytes.subarray(at, at + length));
    }
  }
  for (const { entry, offset, length } of strays) {
    await onPlace(places[entry] as PackEntry, offset + length > packBytes ? undefined : await read(offset, length));
  }
}
