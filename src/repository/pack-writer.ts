/**
 * Fills packs with sealed blobs and stores them. Each lane has its own writer, so that lanes never wait for each
 * other; blobs are compressed and sealed in place, in the buffer that becomes the pack.
 */
import { createHash } from 'node:crypto';
import { compressBound, zstd } from '../format/kernel/zstd.ts';
import { type BlobKind, HeaderBuilder, headerBoundBytes, writeHeader } from '../format/pack-header.ts';
import { ivBytes, type Seal, sealOverheadBytes } from '../format/seal.ts';
import type { PackId } from '../model/ids.ts';
import type { Storage } from '../storage/storage.ts';

/** A pack is stored when its blobs reach this; restic's default. */
export const packTargetBytes = 16 * 1024 * 1024;
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

class OpenPack {
  readonly kind: BlobKind;
  readonly header = new HeaderBuilder();
  body: Buffer;
  used = 0;

  constructor(kind: BlobKind, body: Buffer) {
    this.kind = kind;
    this.body = body;
  }

  /** Makes room for so many bytes. */
  reserve(bytes: number): void {
    if (this.used + bytes <= this.body.length) return;
    const larger = Buffer.allocUnsafeSlow(this.used + bytes);
    this.body.copy(larger, 0, 0, this.used);
    this.body = larger;
  }
}

export class PackWriter {
  private readonly options: PackWriterOptions;
  private readonly open: Record<BlobKind, OpenPack | undefined> = { data: undefined, tree: undefined };
  private readonly spareBuffers: Buffer[] = [];
  private storing: Promise<void> | undefined;

  constructor(options: PackWriterOptions) {
    this.options = options;
  }

  /**
   * Adds a blob. Whoever calls has claimed it in the blob index, and calls `settle` when `full` says so, before adding more.
   * @param id SHA-256 of `plain`, 32 bytes.
   */
  add(kind: BlobKind, id: Buffer, plain: Uint8Array): AddedBlob {
    this.open[kind] ??= new OpenPack(kind, this.takeBuffer());
    const pack = this.open[kind];
    pack.reserve(compressBound(plain.length) + sealOverheadBytes);
    const room = pack.body.subarray(pack.used);
    const compressedLength = this.compressInto(plain, room.subarray(ivBytes));
    const content = compressedLength > 0 ? room.subarray(ivBytes, ivBytes + compressedLength) : plain;
    const sealedLength = this.options.seal.sealInto(content, room);
    pack.header.add(kind, id, sealedLength, compressedLength > 0 ? plain.length : 0);
    pack.used += sealedLength;
    return { plainBytes: plain.length, storedBytes: sealedLength };
  }

  /** Whether a pack has reached its size. */
  get full(): boolean {
    return (this.open.data?.used ?? 0) >= packTargetBytes || (this.open.tree?.used ?? 0) >= packTargetBytes;
  }

  /** Begins to store full packs, after the one before is durable: at most one pack is on its way and one being filled. */
  async settle(): Promise<void> {
    for (const kind of ['data', 'tree'] as const) {
      const pack = this.open[kind];
      if (pack === undefined || pack.used < packTargetBytes) continue;
      this.open[kind] = undefined;
      await this.storing;
      this.storing = this.store(pack);
      // The failure is reported by whoever awaits next; it must not count as unhandled until then.
      this.storing.catch(() => undefined);
    }
  }

  /** Waits for packs on their way, and gives up what didn't fill one. */
  async drain(): Promise<PartialPack[]> {
    await this.storing;
    this.storing = undefined;
    const partial: PartialPack[] = [];
    for (const kind of ['data', 'tree'] as const) {
      const pack = this.open[kind];
      this.open[kind] = undefined;
      if (pack === undefined) continue;
      partial.push({ kind, entries: Buffer.from(pack.header.bytes()), body: Buffer.from(pack.body.subarray(0, pack.used)) });
      this.spareBuffers.push(pack.body);
    }
    return partial;
  }

  /** @returns the compressed length, or 0 when the blob had better be stored as it is. */
  private compressInto(plain: Uint8Array, target: Buffer): number {
    if (this.options.formatVersion < 2 || plain.length === 0) return 0;
    const length = zstd.compress(plain, target, this.options.level);
    return length < plain.length ? length : 0;
  }

  private takeBuffer(): Buffer {
    // Memory that isn't written to isn't used: the spare room costs address space only.
    return this.spareBuffers.pop() ?? Buffer.allocUnsafeSlow(packTargetBytes + spareBytes);
  }

  private async store(pack: OpenPack): Promise<void> {
    const entries = Buffer.from(pack.header.bytes());
    const stored = await storePack(this.options, { kind: pack.kind, entries, body: pack.body.subarray(0, pack.used) });
    if (this.spareBuffers.length === 0) this.spareBuffers.push(pack.body);
    this.options.onStored(stored);
  }
}

/** Completes sealed blobs with their header and stores them as one pack. @throws `storage`, `storage-full`. */
export async function storePack(
  { storage, seal }: { storage: Storage; seal: Seal },
  { kind, entries, body }: PartialPack,
): Promise<StoredPack> {
  const header = Buffer.allocUnsafe(headerBoundBytes(Math.ceil(entries.length / 37)));
  const tail = header.subarray(0, writeHeader(seal, entries, header));
  const id = createHash('sha256').update(body).update(tail).digest('hex') as PackId;
  await storage.write({ kind: 'data', name: id }, [body, tail]);
  return { id, kind, entries, sizeBytes: body.length + tail.length };
}
