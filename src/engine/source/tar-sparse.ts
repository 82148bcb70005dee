/** Sparse files in tar archives: where their segments lie, and their content with the holes filled (GNU tar's manual, "Storing Sparse Files"). */
import type { ByteSource } from './byte-source.ts';
import { archiveDamaged, blockBytes, decodeSparseBlock, type Segment, type TarHeader } from './tar-header.ts';
import { decimal, decodeSparseMap } from './tar-pax.ts';

/** Of one file: 16 MiB of them. */
const maxSegments = 1_000_000;
/** Zeros are given in pieces of one buffer. */
const zeros = Buffer.alloc(256 * 1024);

/** Segments of a file of GNU's own form, whose list goes on in blocks behind the header. @throws `archive-damaged`. */
export async function readGnuSegments(sparse: NonNullable<TarHeader['sparse']>, source: ByteSource): Promise<Segment[]> {
  const { segments } = sparse;
  for (let { continued } = sparse; continued; ) {
    const block = await source.take(blockBytes);
    if (block.length < blockBytes) throw archiveDamaged('the archive ends in a sparse file: it is cut');
    const next = decodeSparseBlock(block);
    segments.push(...next.segments);
    if (segments.length > maxSegments) throw archiveDamaged('a sparse file has more segments than make sense');
    continued = next.continued;
  }
  return segments;
}

/** What extended headers say of a sparse file: undefined for a file that is none; no segments when they stand at the content's beginning. */
export function paxSegments(
  records: ReadonlyMap<string, Buffer>,
  repeated: readonly Segment[],
): { realSizeBytes: number; segments: readonly Segment[] | undefined } | undefined {
  const major = records.get('GNU.sparse.major')?.toString('latin1');
  const minor = records.get('GNU.sparse.minor')?.toString('latin1');
  const size = records.get('GNU.sparse.realsize') ?? records.get('GNU.sparse.size');
  if (major === undefined && size === undefined) return undefined;
  if (size === undefined) throw archiveDamaged('a sparse file has no size');
  const realSizeBytes = decimal(size, 'size');
  if (major === '1' && minor === '0') return { realSizeBytes, segments: undefined };
  if (major !== undefined && major !== '0') throw archiveDamaged(`a sparse file has the format ${JSON.stringify(`${major}.${minor}`)}`);
  const map = records.get('GNU.sparse.map');
  return { realSizeBytes, segments: map === undefined ? repeated : decodeSparseMap(map, maxSegments) };
}

/** Format 1.0: decimal numbers, a line each, filled up to whole blocks. @throws `archive-damaged`. */
export async function readSegmentsOfData(take: (length: number) => Promise<Buffer>): Promise<Segment[]> {
  let text = '';
  let at = 0;
  async function nextNumber(): Promise<number> {
    let end = text.indexOf('\n', at);
    while (end < 0) {
      if (text.length - at > 32) throw archiveDamaged('a sparse file has a damaged map');
      text = text.slice(at) + (await take(blockBytes)).toString('latin1');
      at = 0;
      end = text.indexOf('\n');
    }
    const line = text.slice(at, end);
    at = end + 1;
    return decimal(Buffer.from(line, 'latin1'), 'sparse map');
  }
  const count = await nextNumber();
  if (count > maxSegments) throw archiveDamaged('a sparse file has more segments than make sense');
  const segments: Segment[] = [];
  for (let i = 0; i < count; i++) segments.push({ offset: await nextNumber(), length: await nextNumber() });
  return segments;
}

/**
 * The content with zeros where the file has holes.
 * @throws `archive-damaged`, at once, when the segments are out of order, reach beyond the end, or are not what is stored.
 */
export function expandSparse(
  segments: readonly Segment[],
  sizeBytes: number,
  storedBytes: number,
  stored: AsyncIterable<Buffer>,
): AsyncIterable<Buffer> {
  let end = 0;
  let sum = 0;
  for (const { offset, length } of segments) {
    if (offset < end || length > sizeBytes - offset) throw archiveDamaged('a sparse file has segments in no order, or beyond its end');
    end = offset + length;
    sum += length;
  }
  if (sum !== storedBytes) throw archiveDamaged('a sparse file has other segments than are stored');
  return filled(segments, sizeBytes, stored);
}

async function* filled(segments: readonly Segment[], sizeBytes: number, stored: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let position = 0;
  let next = 0;
  for await (const bytes of stored) {
    for (let at = 0; at < bytes.length; ) {
      let segment = segments[next] as Segment;
      while (segment.length === 0 || position >= segment.offset + segment.length) segment = segments[++next] as Segment;
      if (position < segment.offset) {
        yield* hole(segment.offset - position);
        position = segment.offset;
      }
      const length = Math.min(bytes.length - at, segment.offset + segment.length - position);
      yield bytes.subarray(at, at + length);
      at += length;
      position += length;
    }
  }
  yield* hole(sizeBytes - position);
}

function* hole(length: number): Generator<Buffer> {
  for (let left = length; left > 0; left -= zeros.length) yield left < zeros.length ? zeros.subarray(0, left) : zeros;
}
