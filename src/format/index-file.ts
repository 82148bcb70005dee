/**
 * Index files: which blobs lie where in which packs (restic design document, "Indexing"). Both directions avoid an
 * object a blob where they can: repositories have millions.
 */
import { HoldfastError } from '../model/errors.ts';
import { type PackId, parsePackId } from '../model/ids.ts';
import type { PackEntry } from './pack-header.ts';
import { parseRepositoryJson } from './sealed-json.ts';

/** Receives what an index file says, blob by blob. `id` is 64 hexadecimal characters. */
export type IndexVisitor = {
  pack(id: PackId): void;
  blob(kind: 'data' | 'tree', id: string, offset: number, length: number, plainLength: number): void;
};

type IndexPack = {
  id?: unknown;
  blobs?: { id?: unknown; type?: unknown; offset?: unknown; length?: unknown; uncompressed_length?: unknown }[];
};

const blobIdPattern = /^[0-9a-f]{64}$/;
const isLength = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffffffff;

/**
 * Reads an index file. What was visited before an error is thrown counts for nothing.
 * @throws `damaged` when it isn't an index file. `supersedes`, which old versions wrote, is ignored, as restic does.
 */
export function readIndexFile(json: Buffer, visitor: IndexVisitor): void {
  // A file of 50,000 blobs as one value would take 30 MB: packs are parsed one by one as long as the file looks as restic writes it.
  const read = readPackByPack(json, visitor);
  if (read === undefined) return;
  const document = parseRepositoryJson(json, 'an index file') as { packs?: unknown } | null;
  const packs = document?.packs ?? [];
  if (typeof document !== 'object' || document === null || Array.isArray(document) || !Array.isArray(packs)) {
    throw new HoldfastError('damaged', 'an index file has no packs');
  }
  for (const pack of packs.slice(read)) visitPack(pack as IndexPack | null, visitor);
}

const opening = Buffer.from('{"packs":[{');
const endOfPack = ']}';

/** @returns undefined when all was read, else how many packs were read before something looked otherwise than restic writes it. */
function readPackByPack(json: Buffer, visitor: IndexVisitor): number | undefined {
  if (!json.subarray(0, opening.length).equals(opening)) return 0;
  let read = 0;
  for (let at = opening.length - 1; ; read++) {
    const end = json.indexOf(endOfPack, at, 'latin1');
    if (end < 0) return read;
    let pack: IndexPack | null;
    try {
      pack = JSON.parse(json.toString('utf8', at, end + endOfPack.length));
    } catch {
      return read;
    }
    visitPack(pack, visitor);
    at = end + endOfPack.length;
    if (json[at] === 0x2c) at++;
    else return json.toString('latin1', at).trim() === endOfPack ? undefined : read + 1;
  }
}

function visitPack(pack: IndexPack | null, visitor: IndexVisitor): void {
  const id = parsePackId(pack?.id);
  const blobs = pack?.blobs ?? [];
  if (id === undefined || !Array.isArray(blobs)) throw new HoldfastError('damaged', 'an index file names a pack that is none');
  visitor.pack(id);
  for (const blob of blobs) {
    const plainLength = blob?.uncompressed_length ?? 0;
    if (
      typeof blob?.id !== 'string' ||
      !blobIdPattern.test(blob.id) ||
      (blob.type !== 'data' && blob.type !== 'tree') ||
      !isLength(blob.offset) ||
      !isLength(blob.length) ||
      !isLength(plainLength)
    ) {
      throw new HoldfastError('damaged', `an index file describes a blob in pack ${id} that makes no sense`);
    }
    visitor.blob(blob.type, blob.id, blob.offset, blob.length, plainLength);
  }
}

/** One pack of an index file, as JSON text, from its header entries (see pack-header.ts). */
export function indexFragment(pack: PackId, entries: Buffer): string {
  let text = `{"id":"${pack}","blobs":[`;
  let offset = 0;
  for (let at = 0; at < entries.length; ) {
    const type = entries[at] as number;
    const compressed = type >= 2;
    const idAt = at + (compressed ? 9 : 5);
    const length = entries.readUInt32LE(at + 1);
    if (at > 0) text += ',';
    text += `{"id":"${entries.toString('hex', idAt, idAt + 32)}","type":"${type % 2 === 0 ? 'data' : 'tree'}","offset":${offset},"length":${length}`;
    text += compressed ? `,"uncompressed_length":${entries.readUInt32LE(at + 5)}}` : '}';
    offset += length;
    at = idAt + 32;
  }
  return `${text}]}`;
}

/** The same from places, which need not follow one another without gaps: as an index says them of a pack whose header is damaged. */
export function indexFragmentOfPlaces(pack: PackId, places: readonly PackEntry[]): string {
  const blobs = places.map(({ id, kind, offset, length, plainLength }) => {
    const plain = plainLength > 0 ? `,"uncompressed_length":${plainLength}` : '';
    return `{"id":"${id}","type":"${kind}","offset":${offset},"length":${length}${plain}}`;
  });
  return `{"id":"${pack}","blobs":[${blobs.join(',')}]}`;
}

export function indexFileFromFragments(fragments: readonly string[]): Buffer {
  return Buffer.from(`{"packs":[${fragments.join(',')}]}`, 'latin1');
}
