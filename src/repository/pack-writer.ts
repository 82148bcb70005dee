/**
 * Fills packs with sealed blobs and stores them. Each lane has its own writer, so that lanes never wait for each
 * other; blobs are compressed and sealed in place, in the buffer that becomes the pack.
 */

import { createHash } from 'node:crypto';
import { compressBound, zstd } from '../format/kernel/zstd.ts';
import { type BlobKind, HeaderBuilder, headerBoundBytes, writeHeader } from '../format/pack-header.ts';
import { ivBytes, type Seal, sealOverheadBytes } from '../format/seal.ts';
import { looksLikeJsonFile } from '../format/sealed-json.ts';
import type { PackId } from '../model/ids.ts';
import type { PendingFile, Storage } from '../storage/storage.ts';

/** A pack is stored when its blobs reach this; restic's default. */
export const packTargetBytes = 16 * 1024 * 1024;
/** So much is gathered before it is appended to a pack on the storage. */
const appendBytes = 1024 * 1024;
/** Headers end at 16 MiB; tiny blobs would reach that before the pack reaches its target. */
const maxBlobs = 200_000;
/** Room behind the target for the blob that reaches it; larger blobs (trees of huge directories) make the buffer grow. */
const spareBytes = 8 * 1024 * 1024 + 256 * 1024;

export type StoredPack = {
  id: PackId;
  kind: BlobKind;
  /** Header entries, for the index; see format/pack-header.ts. */
  entries: Buffer;
  sizeBytes: number;
};

/** Blobs that didn't fill a pack: sealed, so that they can be joined with others'. */
export type PartialPack = { kind: BlobKind; entries: Buffer; body: Buffer };

export type PackWriterOptions = {
  storage: Storage;
  seal: Seal;
  formatVersion: number;
  /** zstd level for data and trees. */
  level: number;
  /** Called when a pack is durable; only then may an index name it. */
  onStored: (pack: StoredPack) => void;
};

/** A blob's cost: what it was and what it takes in the pack. */
export type AddedBlob = { plainBytes: number; storedBytes: number };

/** A pack that is being filled: what is already on the storage, and what waits in the buffer. */
class OpenPack {
  readonly kind: BlobKind;
  readonly header = new HeaderBuilder();
  readonly hash = createHash('sha256');
  buffer: Buffer;
  used = 0;
  writtenBytes = 0;
  file: PendingFile | undefined;

  constructor(kind: BlobKind, buffer: Buffer) {
    this.kind = kind;
    this.buffer = buffer;
  }

  get isComplete(): boolean {
    return this.writtenBytes + this.used >= packTargetBytes || this.header.count >= maxBlobs;
  }

  /** Makes room for so many bytes. */
  reserve(bytes: number): void {
    if (this.used + bytes <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(this.used + bytes);
    this.buffer.copy(larger, 0, 0, this.used);
    this.buffer = larger;
  }

  async append(bytes: Buffer): Promise<void> {
    this.hash.update(bytes);
    this.writtenBytes += bytes.length;
    await this.file?.append(bytes);
  }
}

export class PackWriter {
  private readonly options: PackWriterOptions;
  private readonly open: Record<BlobKind, OpenPack | undefined> = { data: undefined, tree: undefined };
  /** How much is gathered in memory before it is written. */
  private readonly gatherBytes: number;
  private spareBuffer: Buffer | undefined;
  private storing: Promise<void> | undefined;

  constructor(options: PackWriterOptions) {
    this.options = options;
    this.gatherBytes = options.storage.begin === undefined ? packTargetBytes : appendBytes;
  }

  /**
   * Adds a blob. Whoever calls has claimed it in the blob index, and calls `settle` when `full` says so, before adding more.
   * @param id SHA-256 of `plain`, 32 bytes.
   */
  add(kind: BlobKind, id: Buffer, plain: Uint8Array): AddedBlob {
    const room = this.room(kind, compressBound(plain.length) + sealOverheadBytes);
    const compressedLength = this.compressInto(plain, room.subarray(ivBytes));
    const content = compressedLength > 0 ? room.subarray(ivBytes, ivBytes + compressedLength) : plain;
    return this.sealInto(kind, room, id, content, compressedLength > 0 ? plain.length : 0);
  }

  /**
   * As `add`, for a blob that is at hand in the form in which it is to be stored.
   * @param content compressed, which format version 1 doesn't know; as it is when `plainLength` is 0.
   * @param plainLength length before compression; 0 when it isn't compressed.
   */
  addContent(kind: BlobKind, id: Buffer, content: Uint8Array, plainLength: number): AddedBlob {
    return this.sealInto(kind, this.room(kind, content.length + sealOverheadBytes), id, content, plainLength);
  }

  /** Where the next blob of a kind goes, with room for so many bytes. What is put there counts only after `addSealed`. */
  room(kind: BlobKind, bytes: number): Buffer {
    this.open[kind] ??= new OpenPack(kind, this.takeBuffer());
    const pack = this.open[kind];
    pack.reserve(bytes);
    return pack.buffer.subarray(pack.used, pack.used + bytes);
  }

  /** As `add`, for a blob that was put into the `room` as it is to be stored. */
  addSealed(kind: BlobKind, id: Buffer, sealedLength: number, plainLength: number): void {
    const pack = this.open[kind] as OpenPack;
    pack.header.add(kind, id, sealedLength, plainLength);
    pack.used += sealedLength;
  }

  private sealInto(kind: BlobKind, room: Buffer, id: Buffer, content: Uint8Array, plainLength: number): AddedBlob {
    const storedBytes = this.options.seal.sealInto(content, room);
    this.addSealed(kind, id, storedBytes, plainLength);
    return { plainBytes: plainLength > 0 ? plainLength : content.length, storedBytes };
  }

  /** Whether there is something to write. */
  get full(): boolean {
    const { data, tree } = this.open;
    return (data !== undefined && this.isDue(data)) || (tree !== undefined && this.isDue(tree));
  }

  /** Writes what has gathered; a complete pack becomes durable while the next is filled, at most one at a time. */
  async settle(): Promise<void> {
    for (const kind of ['data', 'tree'] as const) {
      const pack = this.open[kind];
      if (pack === undefined || !this.isDue(pack)) continue;
      await this.writeGathered(pack);
      if (!pack.isComplete) continue;
      await this.storing;
      // Only now: while the pack before has failed, `drain` must find this one.
      this.open[kind] = undefined;
      this.storing = this.finish(pack);
      // The failure is reported by whoever awaits next; it must not count as unhandled until then.
      this.storing.catch(() => undefined);
    }
  }

  /**
   * Waits for packs on their way, completes those that are partly written, and gives up the rest.
   * @throws what went wrong first; nothing unfinished is left on the storage.
   */
  async drain(): Promise<PartialPack[]> {
    const partial: PartialPack[] = [];
    const finishing = [this.storing];
    this.storing = undefined;
    for (const kind of ['data', 'tree'] as const) {
      const pack = this.open[kind];
      this.open[kind] = undefined;
      if (pack === undefined || pack.header.count === 0) continue;
      // Handing the blobs of a large part to another thread would cost more memory than it saves packs.
      if (pack.file !== undefined || pack.used >= appendBytes) finishing.push(this.finish(pack));
      else partial.push({ kind, entries: Buffer.from(pack.header.bytes()), body: Buffer.from(pack.buffer.subarray(0, pack.used)) });
    }
    await Promise.allSettled(finishing);
    await Promise.all(finishing);
    return partial;
  }

  private isDue(pack: OpenPack): boolean {
    return pack.used >= this.gatherBytes || pack.isComplete;
  }

  /** @returns the compressed length, or 0 when the blob had better be stored as it is. */
  private compressInto(plain: Uint8Array, target: Buffer): number {
    if (this.options.formatVersion < 2 || plain.length === 0) return 0;
    const length = zstd.compress(plain, target, this.options.level);
    return length < plain.length || looksLikeJsonFile(plain) ? length : 0;
  }

  private takeBuffer(): Buffer {
    const spare = this.spareBuffer;
    this.spareBuffer = undefined;
    // Memory that isn't written to isn't used: the spare room costs address space only.
    return spare ?? Buffer.allocUnsafeSlow(this.gatherBytes + spareBytes);
  }

  private async writeGathered(pack: OpenPack): Promise<void> {
    const { storage } = this.options;
    if (storage.begin === undefined) return;
    try {
      pack.file ??= await storage.begin(pack.kind === 'tree' ? 'trees' : undefined);
      await pack.append(pack.buffer.subarray(0, pack.used));
      pack.used = 0;
    } catch (error) {
      this.open[pack.kind] = undefined;
      await pack.file?.discard();
      throw error;
    }
  }

  private async finish(pack: OpenPack): Promise<void> {
    const { storage, seal, onStored } = this.options;
    const entries = Buffer.from(pack.header.bytes());
    if (pack.file === undefined) {
      const stored = await storePack({ storage, seal }, { kind: pack.kind, entries, body: pack.buffer.subarray(0, pack.used) });
      this.spareBuffer = pack.buffer;
      return onStored(stored);
    }
    try {
      // Not by `writeGathered`, which gives up the pack that is open: that may be the next one by now.
      if (pack.used > 0) await pack.append(pack.buffer.subarray(0, pack.used));
      this.spareBuffer = pack.buffer;
      await pack.append(sealedHeader(seal, entries));
      const id = pack.hash.digest('hex') as PackId;
      await pack.file.commit(id);
      onStored({ id, kind: pack.kind, entries, sizeBytes: pack.writtenBytes });
    } catch (error) {
      await pack.file.discard();
      throw error;
    }
  }
}

/** A pack's end: its header, sealed, and the length of that. */
function sealedHeader(seal: Seal, entries: Buffer): Buffer {
  const header = Buffer.allocUnsafe(headerBoundBytes(Math.ceil(entries.length / 37)));
  return header.subarray(0, writeHeader(seal, entries, header));
}

/** Completes sealed blobs with their header and stores them as one pack. @throws `storage`, `storage-full`. */
export async function storePack(
  { storage, seal }: { storage: Storage; seal: Seal },
  { kind, entries, body }: PartialPack,
): Promise<StoredPack> {
  const tail = sealedHeader(seal, entries);
  const id = createHash('sha256').update(body).update(tail).digest('hex') as PackId;
  await storage.write({ kind: 'data', name: id, ...(kind === 'tree' ? { holds: 'trees' } : {}) }, [body, tail]);
  return { id, kind, entries, sizeBytes: body.length + tail.length };
}
