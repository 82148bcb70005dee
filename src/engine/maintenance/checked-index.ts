/** Reads the index files one by one, and says of each what is wrong with it; what makes sense goes into one blob index. */
import { readIndexFile } from '../../format/index-file.ts';
import { type BlobKind, headerBoundBytes } from '../../format/pack-header.ts';
import { sealOverheadBytes } from '../../format/seal.ts';
import { HoldfastError, isOfContent } from '../../model/errors.ts';
import type { PackId } from '../../model/ids.ts';
import { BlobIndex, type BlobLocation } from '../../repository/blob-index.ts';
import { type Repository, readSealedJson } from '../../repository/repository.ts';
import { kindOfFailure } from './damage.ts';
import type { Findings } from './findings.ts';

/** What a header entry takes less when its blob is not compressed. */
const plainLengthBytes = 4;
/** Places in packs are 32-bit numbers. */
const maxPackBytes = 0xffffffff;

/** A pack as the index describes it. */
export type IndexedPack = {
  number: number;
  id: PackId;
  /** Its blobs by their entries in the index, in the order of their offsets. */
  entries: Uint32Array;
  /** What its blobs and its header take together. */
  sizeBytes: number;
  /** Where the index itself is wrong about this pack. */
  conflict: string | undefined;
};

/** An index file, and whether it could stay as it is. */
export type IndexFileState = {
  name: string;
  /** `damaged` for good; `unreadable` when the storage failed, which may pass. */
  state: 'good' | 'damaged' | 'unreadable';
  /** What is wrong with one that is not good. */
  reason?: string;
  /** It holds what no index file should: impossible places, a pack twice, the `supersedes` of old versions. */
  flawed: boolean;
  /** The packs that it names by their numbers, and how many different places it gives for each. */
  blobCounts: Map<number, number>;
};

export class CheckedIndex {
  readonly index = new BlobIndex();
  readonly files: string[] = [];
  /** In the order of `files`. */
  readonly states: IndexFileState[] = [];
  /** Number of the index file that named a pack first, by the pack's number. */
  private readonly packFiles: number[] = [];
  private readonly packNumbers = new Map<string, number>();
  private namedTwice = 0;
  private starts = new Uint32Array(1);
  private order = new Uint32Array(0);

  /**
   * @param onListed told when it is known which index files there are: packs that are listed from then on include all that these name.
   * @throws `storage` when the listing fails; damage goes to the findings.
   */
  static async load(repository: Repository, findings: Findings, onListed?: () => void): Promise<CheckedIndex> {
    const checked = new CheckedIndex();
    for await (const { name } of repository.storage.list('index')) checked.files.push(name);
    onListed?.();
    for (const [file, name] of checked.files.entries()) {
      const state: IndexFileState = { name, state: 'good', flawed: false, blobCounts: new Map() };
      checked.states.push(state);
      try {
        checked.enter(file, await readSealedJson(repository, 'index', name), findings);
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
        state.state = isOfContent(error) ? 'damaged' : 'unreadable';
        state.reason = error.message;
        if (!isOfContent(error)) findings.indexIsPartial = true;
        findings.add({ kind: kindOfFailure(error, 'index-damaged'), message: `index file: ${error.message}`, file: `index/${name}` });
      }
    }
    if (checked.namedTwice > 0) {
      findings.note(
        'pack-indexed-twice',
        `${checked.namedTwice} packs are in more than one index file; they agree unless an error says otherwise`,
      );
    }
    checked.sortByPack();
    return checked;
  }

  /** Name of the index file, as `index/name`, that names the pack. */
  fileOf(pack: number): string {
    return `index/${this.files[this.packFiles[pack] as number]}`;
  }

  hasPack(id: string): boolean {
    return this.packNumbers.has(id);
  }

  /** Undefined for a pack that no index file names. */
  packNumber(id: string): number | undefined {
    return this.packNumbers.get(id);
  }

  /** How many different places the index files together give for blobs of a pack. */
  blobCount(pack: number): number {
    return (this.starts[pack + 1] as number) - (this.starts[pack] as number);
  }

  private enter(file: number, json: Buffer, findings: Findings): void {
    const { index, packNumbers } = this;
    const state = this.states[file] as IndexFileState;
    state.flawed = json.includes('"supersedes"');
    const { blobCounts } = state;
    let pack = -1;
    let known = false;
    readIndexFile(json, {
      pack: (id) => {
        const number = packNumbers.get(id);
        known = number !== undefined;
        pack = number ?? index.addPack(id);
        if (blobCounts.has(pack)) state.flawed = true;
        else blobCounts.set(pack, 0);
        if (known && this.packFiles[pack] !== file) this.namedTwice++;
        if (known) return;
        packNumbers.set(id, pack);
        this.packFiles[pack] = file;
      },
      blob: (kind, id, offset, length, plainLength) => {
        if (length < sealOverheadBytes || offset + length > maxPackBytes) {
          state.flawed = true;
          const message = `${kind} blob ${id} is said to be ${length} bytes at ${offset} of pack ${index.packId(pack)}: no blob is`;
          return findings.add({ kind: 'index-invalid', message, file: `index/${this.files[file]}` });
        }
        blobCounts.set(pack, (blobCounts.get(pack) as number) + 1);
        if (known && this.says(kind, id, { pack: index.packId(pack), kind, offset, length, plainLength })) return;
        index.add(id, kind, pack, offset, length, plainLength);
      },
    });
  }

  /** Whether another index file has said the same of this blob. */
  private says(kind: BlobKind, id: string, place: BlobLocation): boolean {
    return this.index.locations(id, kind).some(({ pack, offset, length, plainLength }) => {
      return pack === place.pack && offset === place.offset && length === place.length && plainLength === place.plainLength;
    });
  }

  /** Entries stand in the order of their arrival: counted, then distributed. */
  private sortByPack(): void {
    const { index } = this;
    const starts = new Uint32Array(index.packCount + 1);
    for (let entry = 0; entry < index.size; entry++) (starts[index.packNumberOf(entry) + 1] as number)++;
    for (let pack = 0; pack < index.packCount; pack++) starts[pack + 1] = (starts[pack + 1] as number) + (starts[pack] as number);
    const fill = starts.slice();
    this.order = new Uint32Array(index.size);
    for (let entry = 0; entry < index.size; entry++) {
      const pack = index.packNumberOf(entry);
      this.order[fill[pack] as number] = entry;
      fill[pack] = (fill[pack] as number) + 1;
    }
    this.starts = starts;
  }

  /** What the index says of a pack. */
  pack(number: number): IndexedPack {
    const { index } = this;
    const entries = this.order.slice(this.starts[number], this.starts[number + 1]);
    const places = new Map<number, BlobLocation>();
    let ascending = true;
    let lastOffset = -1;
    for (const entry of entries) {
      const place = index.location(entry) as BlobLocation;
      places.set(entry, place);
      if (place.offset < lastOffset) ascending = false;
      lastOffset = place.offset;
    }
    const at = (entry: number) => places.get(entry) as BlobLocation;
    if (!ascending) entries.sort((a, b) => at(a).offset - at(b).offset || at(a).length - at(b).length);
    let end = 0;
    let sizeBytes = headerBoundBytes(entries.length);
    let conflict: string | undefined;
    for (const entry of entries) {
      const { offset, length, plainLength } = at(entry);
      if (offset !== end) conflict ??= `${offset < end ? 'blobs overlap' : 'there is a gap'} at ${Math.min(offset, end)}`;
      end = Math.max(end, offset + length);
      if (plainLength === 0) sizeBytes -= plainLengthBytes;
    }
    return { number, id: index.packId(number), entries, sizeBytes: sizeBytes + end, conflict };
  }
}
