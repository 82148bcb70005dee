/** The index as a prune needs it: what each index file names, which entries are copies of one blob, and the entries of every pack. */
import { readIndexFile } from '../../format/index-file.ts';
import { type BlobKind, headerBoundBytes } from '../../format/pack-header.ts';
import { sealOverheadBytes } from '../../format/seal.ts';
import { HoldfastError } from '../../model/errors.ts';
import { BlobIndex } from '../../repository/blob-index.ts';
import { type Repository, readSealedJson } from '../../repository/repository.ts';

/** Index files read at once: enough to hide a storage's latency, few enough to bound memory (each is a few MiB). */
const parallelReads = 2;
/** What a header entry takes more when its blob is compressed. */
const plainLengthBytes = 4;

/** Address space reserved, not memory used: as many blobs as the blob index holds. */
const maxEntries = 80_000_000;
const growEntries = 16_384;
const growable = (entryBytes: number) => new ArrayBuffer(0, { maxByteLength: maxEntries * entryBytes });

export type NamedPacks = {
  name: string;
  /** Numbers of the packs that the file names. */
  packs: Uint32Array;
  blobs: number;
};

export class PruneIndex {
  readonly blobs = new BlobIndex();
  readonly files: NamedPacks[] = [];
  /** Of each entry, the first entry of the same blob: its own number for all but further copies. */
  first = new Uint32Array(0);
  /** Sealed lengths. */
  lengths = new Uint32Array(0);
  /** 1 for a blob that is stored compressed. */
  compressed = new Uint8Array(0);
  // They grow in place: copies would lie about until they are collected.
  private readonly memory = { first: growable(4), lengths: growable(4), compressed: growable(1) };
  private readonly packNumbers = new Map<string, number>();
  private starts = new Uint32Array(1);
  private order = new Uint32Array(0);

  /** Every index file must be readable: who knows only a part of the index would take needed packs for rubbish. @throws `damaged`, `storage`. */
  static async load(repository: Repository): Promise<PruneIndex> {
    const index = new PruneIndex();
    const names: string[] = [];
    for await (const { name } of repository.storage.list('index')) names.push(name);
    const loadNext = async (): Promise<void> => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) {
        index.enter(name, await readSealedJson(repository, 'index', name));
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallelReads, names.length) }, loadNext));
    index.sortByPack();
    return index;
  }

  /** Enters what an index file says. After the last one, `sortByPack`. */
  enter(name: string, json: Buffer): void {
    const packs: number[] = [];
    let blobs = 0;
    let pack = -1;
    let known = false;
    readIndexFile(json, {
      pack: (id) => {
        const number = this.packNumbers.get(id);
        known = number !== undefined;
        pack = number ?? this.blobs.addPack(id);
        if (!known) this.packNumbers.set(id, pack);
        packs.push(pack);
      },
      blob: (kind, id, offset, length, plainLength) => {
        if (length < sealOverheadBytes) {
          throw new HoldfastError('damaged', `index/${name} gives a blob of pack ${this.blobs.packId(pack)} a length of ${length}`, {
            file: `index/${name}`,
          });
        }
        blobs++;
        this.add(kind, id, pack, offset, length, plainLength, known);
      },
    });
    this.files.push({ name, packs: Uint32Array.from(packs), blobs });
  }

  private add(kind: BlobKind, id: string, pack: number, offset: number, length: number, plainLength: number, known: boolean): void {
    const { blobs } = this;
    const copy = blobs.find(id, kind);
    // Packs that two files name, as after an interrupted prune, are the same place and no second copy.
    if (known && copy >= 0 && blobs.locations(id, kind).some((place) => place.offset === offset && place.pack === blobs.packId(pack)))
      return;
    const entry = blobs.size;
    blobs.add(id, kind, pack, offset, length, plainLength);
    if (entry >= this.first.length) this.grow();
    this.first[entry] = copy < 0 ? entry : (this.first[copy] as number);
    this.lengths[entry] = length;
    this.compressed[entry] = plainLength > 0 ? 1 : 0;
  }

  private grow(): void {
    const { first, lengths, compressed } = this.memory;
    const size = this.first.length + Math.max(growEntries, this.first.length >>> 3);
    first.resize(size * 4);
    lengths.resize(size * 4);
    compressed.resize(size);
    // Views of fixed length: V8 is slower on those that follow the growth.
    this.first = new Uint32Array(first, 0, size);
    this.lengths = new Uint32Array(lengths, 0, size);
    this.compressed = new Uint8Array(compressed, 0, size);
  }

  /** Number of the pack, or undefined for one that no index file names. */
  packNumber(id: string): number | undefined {
    return this.packNumbers.get(id);
  }

  /** What an entry takes in its pack, header included. */
  storedBytes(entry: number): number {
    return (this.lengths[entry] as number) + this.headerBytes(entry);
  }

  /** What an entry takes in the header of its pack. */
  headerBytes(entry: number): number {
    return entryHeaderBytes - (this.compressed[entry] === 1 ? 0 : plainLengthBytes);
  }

  /** Entries stand in the order of their arrival: counted, then distributed. */
  sortByPack(): void {
    const { blobs } = this;
    const starts = new Uint32Array(blobs.packCount + 1);
    for (let entry = 0; entry < blobs.size; entry++) (starts[blobs.packNumberOf(entry) + 1] as number)++;
    for (let pack = 0; pack < blobs.packCount; pack++) starts[pack + 1] = (starts[pack + 1] as number) + (starts[pack] as number);
    const fill = starts.slice();
    this.order = new Uint32Array(blobs.size);
    for (let entry = 0; entry < blobs.size; entry++) {
      const pack = blobs.packNumberOf(entry);
      this.order[fill[pack] as number] = entry;
      fill[pack] = (fill[pack] as number) + 1;
    }
    this.starts = starts;
  }

  /** The entries of a pack, in the order in which the index names them. */
  entriesOf(pack: number): Uint32Array {
    return this.order.subarray(this.starts[pack], this.starts[pack + 1]);
  }
}

/** Bytes of a pack beside its blobs and their header entries. */
export const packOverheadBytes = headerBoundBytes(0);
const entryHeaderBytes = headerBoundBytes(1) - packOverheadBytes;
