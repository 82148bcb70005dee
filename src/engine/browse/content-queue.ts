/**
 * A queue of data blobs: what is put in is read ahead, and comes out in the same order. Blobs that lie near each other in a pack are fetched as
 * one range, though others are wanted in between: writers that fill several packs at a time spread the blobs of a directory over them.
 */
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { openBlob, readAnyCopy } from '../../repository/blob-reader.ts';
import type { Repository } from '../../repository/repository.ts';

const maxRangeBytes = 4 * 1024 * 1024;
/** Blobs as near as this are read together with what lies between. */
const maxGapBytes = 64 * 1024;
const rangesAhead = 4;
const maxAheadBytes = 16 * 1024 * 1024;
const maxAheadBlobs = 4096;
/** Blobs that will come out again are kept, if they are small, and not more than these. */
const maxKeptBytes = 64 * 1024;
const maxKept = 64;
const slabBytes = 256 * 1024;

type Place = { offset: number; length: number };
/**
 * A part of a pack. `places` are those of its blobs, ascending, and do not overlap: opening a blob destroys what was read. `grown`: it will not
 * grow any more. `lent`: a blob that came out may be a view of it.
 */
type Range = Place & { pack: number; places: Place[]; toOpen: number; grown: boolean; lent: boolean; bytes: Promise<Buffer> | undefined };
/** A blob on its way. `turns`: how often it will come out, repeats in a row counted once. */
type Wanted = Place & { entry: number; id: BlobId; range: Range; turns: number; kept: Buffer | undefined };
type Turn = { blob: Wanted; times: number };

export type ContentReaderOptions = { repository: Pick<Repository, 'storage' | 'seal'>; index: BlobIndex };

/** Memory: 16 MiB of packs, 4 MiB of blobs that repeat, and the blob that came out. */
export class ContentQueue {
  private readonly o: ContentReaderOptions;
  /** In the order in which their first blobs are wanted. */
  private readonly ranges = new Set<Range>();
  /** Ranges that are not fetched yet and may grow, by their packs. */
  private readonly growing = new Map<number, Range>();
  private readonly wanted = new Map<number, Wanted>();
  private readonly turns: Turn[] = [];
  private repeating = 0;
  private slab = Buffer.alloc(0);
  private blobs = 0;
  private bytes = 0;
  private finished = false;
  /** What came out last, to be given again when a file repeats it: the zeros of a sparse file. */
  private last: { id: BlobId; plain: Buffer } | undefined;

  constructor(options: ContentReaderOptions) {
    this.o = options;
  }

  /** Whether enough is on its way. */
  get full(): boolean {
    return this.blobs >= maxAheadBlobs || this.bytes >= maxAheadBytes;
  }

  /** @throws `damaged` when the index doesn't know the blob. */
  push(id: BlobId): void {
    const entry = this.o.index.find(id, 'data');
    if (entry < 0) throw new HoldfastError('damaged', `data blob ${id} is in no pack that the index knows`);
    const previous = this.turns.at(-1);
    if (previous?.blob.entry === entry) previous.times++;
    else this.turns.push({ blob: this.again(entry) ?? this.want(entry, id), times: 1 });
    this.blobs++;
  }

  /** Says that nothing more comes: what is on its way can be fetched as it is. */
  finish(): void {
    this.finished = true;
    this.fetch(undefined);
  }

  /**
   * The next blob; there must be one.
   * @throws `damaged` when no place of it holds it intact; `file-missing`, `storage`.
   */
  async next(): Promise<Buffer> {
    const [turn] = this.turns;
    if (turn === undefined) throw new HoldfastError('internal', 'a blob was asked for that nobody wanted');
    const { blob } = turn;
    if (this.last?.id !== blob.id) this.last = { id: blob.id, plain: blob.kept ?? (await this.open(blob)) };
    const { plain } = this.last;
    this.blobs--;
    turn.times--;
    if (turn.times === 0) this.endTurn(blob, plain);
    return plain;
  }

  /** A blob that is on its way and can be kept for another turn. */
  private again(entry: number): Wanted | undefined {
    const blob = this.wanted.get(entry);
    if (blob === undefined || this.o.index.plainLengthOf(entry) > maxKeptBytes) return undefined;
    if (blob.turns === 1 && this.repeating >= maxKept) return undefined;
    if (blob.turns === 1) this.repeating++;
    blob.turns++;
    return blob;
  }

  private want(entry: number, id: BlobId): Wanted {
    const place = this.o.index.location(entry);
    if (place === undefined) throw new HoldfastError('damaged', `data blob ${id} is in no pack that the index knows`);
    const { offset, length } = place;
    const range = this.rangeFor(this.o.index.packNumberOf(entry), { offset, length });
    const blob = { entry, id, offset, length, range, turns: 1, kept: undefined };
    range.toOpen++;
    this.wanted.set(entry, blob);
    return blob;
  }

  private rangeFor(pack: number, place: Place): Range {
    const growing = this.growing.get(pack);
    if (growing !== undefined) {
      const before = growing.length;
      if (grow(growing, place)) {
        this.bytes += growing.length - before;
        return growing;
      }
      growing.grown = true;
    }
    const range: Range = { ...place, pack, places: [place], toOpen: 0, grown: false, lent: false, bytes: undefined };
    this.growing.set(pack, range);
    this.ranges.add(range);
    this.bytes += place.length;
    this.fetch(undefined);
    return range;
  }

  /** Starts what is needed now, and those of the first ranges that grow no more. */
  private fetch(needed: Range | undefined): void {
    let ahead = 0;
    for (const range of this.ranges) {
      if (++ahead > rangesAhead) break;
      if (range.grown || this.finished) this.start(range);
    }
    if (needed !== undefined) this.start(needed);
  }

  private start(range: Range): void {
    if (range.bytes !== undefined) return;
    const { pack, offset, length } = range;
    if (this.growing.get(pack) === range) this.growing.delete(pack);
    range.bytes = this.o.repository.storage.read({ kind: 'data', name: this.o.index.packId(pack) }, { offset, length });
    // Whoever asks for it is told.
    range.bytes.catch(() => undefined);
  }

  private async open({ entry, id, offset, length, range }: Wanted): Promise<Buffer> {
    this.fetch(range);
    const { repository, index } = this.o;
    const plainLength = index.location(entry)?.plainLength ?? 0;
    try {
      const bytes = await (range.bytes as Promise<Buffer>);
      if (plainLength === 0) range.lent = true;
      const at = offset - range.offset;
      return openBlob(repository.seal, bytes.subarray(at, at + length), plainLength, id, this.room(plainLength));
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      return readAnyCopy({ ...repository, index }, 'data', id);
    }
  }

  /** Memory for a small blob, of a larger piece: each piece is an object that garbage collection has to look after. */
  private room(length: number): Buffer | undefined {
    if (length > slabBytes / 4) return undefined;
    if (this.slab.length < length) this.slab = Buffer.allocUnsafeSlow(slabBytes);
    const room = this.slab.subarray(0, length);
    this.slab = this.slab.subarray(length);
    return room;
  }

  private endTurn(blob: Wanted, plain: Buffer): void {
    this.turns.shift();
    blob.turns--;
    if (blob.kept === undefined) this.opened(blob.range);
    // A copy: it may be a view of the whole range.
    if (blob.turns > 0) blob.kept ??= Buffer.from(plain);
    else {
      if (blob.kept !== undefined) this.repeating--;
      if (this.wanted.get(blob.entry) === blob) this.wanted.delete(blob.entry);
    }
  }

  private opened(range: Range): void {
    range.toOpen--;
    if (range.toOpen > 0) return;
    this.ranges.delete(range);
    this.bytes -= range.length;
    if (this.growing.get(range.pack) === range) this.growing.delete(range.pack);
    // Garbage collection would let many pile up.
    if (!range.lent) range.bytes?.then(giveBack, () => undefined);
  }
}

function giveBack(bytes: Buffer): void {
  if (bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength === bytes.length) bytes.buffer.transfer(0);
}

/** Makes a range hold another place, if it is near and none of its places is in the way. */
function grow(range: Range, place: Place): boolean {
  const { places } = range;
  const end = place.offset + place.length;
  const rangeEnd = range.offset + range.length;
  if (place.offset - rangeEnd > maxGapBytes || range.offset - end > maxGapBytes) return false;
  const offset = Math.min(range.offset, place.offset);
  const length = Math.max(rangeEnd, end) - offset;
  if (length > maxRangeBytes) return false;
  const at = firstFrom(places, place.offset);
  const before = places[at - 1];
  const after = places[at];
  if ((before !== undefined && before.offset + before.length > place.offset) || (after !== undefined && after.offset < end)) return false;
  places.splice(at, 0, place);
  range.offset = offset;
  range.length = length;
  return true;
}

/** The number of the first place that begins at an offset or behind it. */
function firstFrom(places: readonly Place[], offset: number): number {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((places[middle] as Place).offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
