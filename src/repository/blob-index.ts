/**
 * Where every blob lies: one hash table that all lanes share, in SharedArrayBuffers that grow in place.
 *
 * Entries of 52 bytes stand in one array in the order of their arrival; `heads` holds for each bucket the number of its
 * newest entry, and each entry the number of the next in its bucket. The table grows by linear hashing (W. Litwin, 1980):
 * each insertion splits at most one bucket, so that growing never stops anyone. Blob ids are SHA-256 and serve as their own hash.
 *
 * Lookups take no lock. A lookup that runs while its bucket is split can miss an entry, but never find a wrong one; so a miss is
 * confirmed under the lock before a blob counts as new. Cost: 52 bytes an entry and at most 8 for its bucket.
 */
import type { BlobKind } from '../format/pack-header.ts';
import { sealOverheadBytes } from '../format/seal.ts';
import { HoldfastError } from '../model/errors.ts';
import type { BlobId, PackId } from '../model/ids.ts';

const entryWords = 13;
const idWords = 8;
const nextWord = 8;
const packWord = 9;
const offsetWord = 10;
const lengthWord = 11;
const plainLengthWord = 12;

/** The pack word: the pack's number in the low bits, the blob's kind in the highest. */
const treeBit = 0x40000000;
const packMask = 0x3fffffff;
/** The blob is being stored by a lane of this process; its pack isn't known yet. */
const pendingPack = packMask;

const lockWord = 0;
const countWord = 1;
const levelWord = 2;
const splitWord = 3;
const packCountWord = 4;
const controlWords = 16;

const initialLevel = 10;
/** Entries a bucket at which a bucket is split. */
const loadFactor = 1;
const growEntries = 16_384;
const growPacks = 1024;
/** A pack's id and the end of its last blob. */
const packTableBytes = 36;
/** Address space reserved, not memory used: 80 million blobs, 16 million packs. */
const maxEntries = 80_000_000;
const maxPacks = 16_000_000;

/** What a thread needs to share the index. */
export type BlobIndexMemory = {
  control: SharedArrayBuffer;
  entries: SharedArrayBuffer;
  heads: SharedArrayBuffer;
  packs: SharedArrayBuffer;
};

export type BlobLocation = { pack: PackId; kind: BlobKind; offset: number; length: number; plainLength: number };

const growable = (bytes: number, maxBytes: number) => new SharedArrayBuffer(bytes, { maxByteLength: maxBytes });

export function createBlobIndexMemory(): BlobIndexMemory {
  const control = new SharedArrayBuffer(controlWords * 4);
  new Int32Array(control)[levelWord] = initialLevel;
  return {
    control,
    entries: growable(growEntries * entryWords * 4, maxEntries * entryWords * 4),
    heads: growable(4 * 2 ** (initialLevel + 1), 4 * 2 ** 27),
    packs: growable(growPacks * packTableBytes, maxPacks * packTableBytes),
  };
}

/** A blob id as 32 bytes, or as 64 hexadecimal characters. */
type AnyBlobId = Buffer | BlobId | string;

export class BlobIndex {
  readonly memory: BlobIndexMemory;
  private readonly control: Int32Array;
  // Views of fixed length, made anew when their buffer has grown: V8 is 20 times slower on views that follow the growth.
  private entries: Int32Array;
  private heads: Int32Array;
  private readonly wanted = new Int32Array(idWords);
  private readonly wantedBytes = Buffer.from(this.wanted.buffer);

  constructor(memory: BlobIndexMemory = createBlobIndexMemory()) {
    this.memory = memory;
    this.control = new Int32Array(memory.control);
    this.entries = fixedView(memory.entries);
    this.heads = fixedView(memory.heads);
  }

  /** Entries, duplicates counted each. */
  get size(): number {
    return Atomics.load(this.control, countWord);
  }

  get packCount(): number {
    return Atomics.load(this.control, packCountWord);
  }

  has(id: AnyBlobId, kind: BlobKind): boolean {
    return this.find(id, kind) >= 0;
  }

  /** Number of the blob's newest entry, or -1. */
  find(id: AnyBlobId, kind: BlobKind): number {
    this.want(id);
    const found = this.walk(kind, this.head());
    if (found >= 0) return found;
    this.lock();
    try {
      return this.walk(kind, this.head());
    } finally {
      this.unlock();
    }
  }

  /**
   * Claims a blob for storing. @returns true for exactly one caller, who must store it; false when it is stored or another
   * lane has claimed it.
   */
  claim(id: AnyBlobId, kind: BlobKind): boolean {
    this.want(id);
    if (this.walk(kind, this.head()) >= 0) return false;
    this.lock();
    try {
      if (this.walk(kind, this.head()) >= 0) return false;
      this.insert(kind, pendingPack, 0, 0, 0);
      return true;
    } finally {
      this.unlock();
    }
  }

  /** Registers a pack. @returns its number, for `add`. */
  addPack(id: PackId): number {
    this.lock();
    try {
      const number = this.packCount;
      if (number >= Math.min(maxPacks, pendingPack))
        throw new HoldfastError('unsupported', 'the repository has more packs than this version can hold');
      const bytes = (number + 1) * packTableBytes;
      if (this.memory.packs.byteLength < bytes) this.memory.packs.grow(bytes + growPacks * packTableBytes);
      Buffer.from(this.memory.packs as unknown as ArrayBuffer, number * packTableBytes, 32).write(id, 'hex');
      Atomics.store(this.control, packCountWord, number + 1);
      return number;
    } finally {
      this.unlock();
    }
  }

  /** Adds where a blob lies; a blob may lie in several places. */
  add(id: AnyBlobId, kind: BlobKind, pack: number, offset: number, length: number, plainLength: number): void {
    this.lock();
    try {
      this.want(id);
      this.insert(kind, pack, offset, length, plainLength);
      const table = this.packTable(pack);
      if (offset + length > (table[8] as number)) table[8] = offset + length;
    } finally {
      this.unlock();
    }
  }

  /** Every place in which the blob lies, newest entry first. Empty when it is unknown or not stored yet. */
  locations(id: AnyBlobId, kind: BlobKind): BlobLocation[] {
    const found: BlobLocation[] = [];
    for (let entry = this.find(id, kind); entry >= 0; entry = this.walk(kind, this.entry(entry, nextWord))) {
      const location = this.location(entry);
      if (location) found.push(location);
      this.want(id);
    }
    return found;
  }

  /** Where an entry's blob lies; undefined while it is being stored. */
  location(entry: number): BlobLocation | undefined {
    const packed = this.entry(entry, packWord);
    if ((packed & packMask) === pendingPack) return undefined;
    return {
      pack: this.packId(packed & packMask),
      kind: packed & treeBit ? 'tree' : 'data',
      offset: this.entry(entry, offsetWord) >>> 0,
      length: this.entry(entry, lengthWord) >>> 0,
      plainLength: this.entry(entry, plainLengthWord) >>> 0,
    };
  }

  /** Length of the entry's blob as it was before compression and sealing; 0 while it is being stored. */
  plainLengthOf(entry: number): number {
    const plain = this.entry(entry, plainLengthWord) >>> 0;
    if (plain > 0) return plain;
    const sealed = this.entry(entry, lengthWord) >>> 0;
    return Math.max(0, sealed - sealOverheadBytes);
  }

  packNumberOf(entry: number): number {
    return this.entry(entry, packWord) & packMask;
  }

  kindOf(entry: number): BlobKind {
    return this.entry(entry, packWord) & treeBit ? 'tree' : 'data';
  }

  idOf(entry: number): BlobId {
    this.entry(entry, 0);
    const at = this.entries.byteOffset + entry * entryWords * 4;
    return Buffer.from(this.memory.entries as unknown as ArrayBuffer, at, 32).toString('hex') as BlobId;
  }

  packId(number: number): PackId {
    return Buffer.from(this.memory.packs as unknown as ArrayBuffer, number * packTableBytes, 32).toString('hex') as PackId;
  }

  /** Where the last known blob of a pack ends, in bytes from the pack's beginning: what may be read without its header. */
  packEnd(number: number): number {
    return this.packTable(number)[8] as number;
  }

  private packTable(number: number): Uint32Array {
    return new Uint32Array(this.memory.packs, number * packTableBytes, packTableBytes / 4);
  }

  private want(id: AnyBlobId): void {
    if (typeof id === 'string') this.wantedBytes.write(id, 'hex');
    else id.copy(this.wantedBytes, 0, 0, 32);
  }

  private entry(entry: number, word: number): number {
    const at = entry * entryWords + word;
    if (at >= this.entries.length) this.entries = fixedView(this.memory.entries);
    return this.entries[at] as number;
  }

  /** Bucket of a hash by linear hashing: the lower buckets are split already and use one bit more. */
  private bucket(hash: number): number {
    const level = Atomics.load(this.control, levelWord);
    const wide = hash & (2 ** (level + 1) - 1);
    return wide < 2 ** level + Atomics.load(this.control, splitWord) ? wide : wide & (2 ** level - 1);
  }

  /** First entry of the wanted id's bucket, plus one. */
  private head(): number {
    const bucket = this.bucket(this.wanted[0] as number);
    if (bucket >= this.heads.length) this.heads = fixedView(this.memory.heads);
    return Atomics.load(this.heads, bucket);
  }

  /** Follows a chain (entry numbers plus one) to an entry of the wanted id and kind; -1 when there is none. */
  private walk(kind: BlobKind, from: number): number {
    const wanted = this.wanted;
    for (let link = from; link !== 0; ) {
      const at = (link - 1) * entryWords;
      if (at + entryWords > this.entries.length) this.entries = fixedView(this.memory.entries);
      const entries = this.entries;
      if (
        entries[at] === wanted[0] &&
        entries[at + 1] === wanted[1] &&
        ((entries[at + packWord] as number) & treeBit) === (kind === 'tree' ? treeBit : 0)
      ) {
        let word = 2;
        while (word < idWords && entries[at + word] === wanted[word]) word++;
        if (word === idWords) return link - 1;
      }
      link = Atomics.load(entries, at + nextWord);
    }
    return -1;
  }

  /** Appends an entry of the wanted id; the caller holds the lock. */
  private insert(kind: BlobKind, pack: number, offset: number, length: number, plainLength: number): void {
    const number = this.size;
    if (number >= maxEntries) throw new HoldfastError('unsupported', 'the repository has more blobs than this version can hold');
    const at = number * entryWords;
    if (at + entryWords > this.entries.length)
      this.entries = grown(this.memory.entries, (at + entryWords) * 4, growEntries * entryWords * 4);
    const entries = this.entries;
    entries.set(this.wanted, at);
    entries[at + packWord] = pack | (kind === 'tree' ? treeBit : 0);
    entries[at + offsetWord] = offset;
    entries[at + lengthWord] = length;
    entries[at + plainLengthWord] = plainLength;
    const link = this.head();
    entries[at + nextWord] = link;
    Atomics.store(this.heads, this.bucket(this.wanted[0] as number), number + 1);
    Atomics.store(this.control, countWord, number + 1);
    if (number + 1 > loadFactor * (2 ** (this.control[levelWord] as number) + (this.control[splitWord] as number))) this.splitBucket();
  }

  /** Distributes one bucket over itself and a new one; the caller holds the lock. */
  private splitBucket(): void {
    const level = this.control[levelWord] as number;
    const from = this.control[splitWord] as number;
    const to = from + 2 ** level;
    if (to >= this.heads.length) this.heads = grown(this.memory.heads, (to + 1) * 4, 2 ** level);
    const chains: [number, number] = [0, 0];
    for (let link = this.heads[from] as number; link !== 0; ) {
      const at = (link - 1) * entryWords;
      const next = this.entries[at + nextWord] as number;
      const side = (((this.entries[at] as number) >>> level) & 1) as 0 | 1;
      Atomics.store(this.entries, at + nextWord, chains[side]);
      chains[side] = link;
      link = next;
    }
    Atomics.store(this.heads, to, chains[1]);
    Atomics.store(this.heads, from, chains[0]);
    const wrapped = from + 1 === 2 ** level;
    Atomics.store(this.control, splitWord, wrapped ? 0 : from + 1);
    if (wrapped) Atomics.store(this.control, levelWord, level + 1);
  }

  private lock(): void {
    while (Atomics.compareExchange(this.control, lockWord, 0, 1) !== 0) Atomics.wait(this.control, lockWord, 1, 1);
  }

  private unlock(): void {
    Atomics.store(this.control, lockWord, 0);
    Atomics.notify(this.control, lockWord, 1);
  }
}

const fixedView = (buffer: SharedArrayBuffer) => new Int32Array(buffer, 0, buffer.byteLength >>> 2);

/** Grows a buffer to hold at least `bytes`, by `stepBytes` or an eighth, whichever is more. */
function grown(buffer: SharedArrayBuffer, bytes: number, stepBytes: number): Int32Array {
  if (buffer.byteLength < bytes) {
    const wanted = bytes + Math.max(stepBytes, (bytes >>> 5) * 4);
    buffer.grow(Math.min(buffer.maxByteLength, (wanted + 3) & ~3));
  }
  return fixedView(buffer);
}
