/** Fills packs with blobs that are sealed already, as copying them from other packs does, and stores them. */
import { type BlobKind, HeaderBuilder } from '../format/pack-header.ts';
import type { Seal } from '../format/seal.ts';
import type { Storage } from '../storage/storage.ts';
import { type PartialPack, packTargetBytes, type StoredPack, storePack } from './pack-writer.ts';

/** Room behind the target for the blob that reaches it; larger blobs (trees of huge directories) make the buffer grow. */
const spareBytes = 8 * 1024 * 1024 + 256 * 1024;
/** A pack of so many bytes is stored though it isn't full: handing its blobs to another thread would cost more memory than it saves. */
const largePartBytes = 1024 * 1024;
/** Headers end at 16 MiB; tiny blobs would reach that before the pack reaches its target. */
const maxBlobs = 200_000;

export type SealedPackWriterOptions = {
  storage: Storage;
  seal: Seal;
  /** Called when a pack is durable; only then may an index name it. */
  onStored: (pack: StoredPack) => void;
};

type OpenPack = { header: HeaderBuilder; buffer: Buffer; used: number };

export class SealedPackWriter {
  private readonly options: SealedPackWriterOptions;
  private readonly open: Partial<Record<BlobKind, OpenPack>> = {};
  private spareBuffer: Buffer | undefined;
  private storing: Promise<void> | undefined;

  constructor(options: SealedPackWriterOptions) {
    this.options = options;
  }

  /** Where the next blob of a kind goes, with room for so many bytes. What is put there counts only after `add`. */
  room(kind: BlobKind, bytes: number): Buffer {
    this.open[kind] ??= { header: new HeaderBuilder(), buffer: this.takeBuffer(), used: 0 };
    const pack = this.open[kind];
    if (pack.used + bytes > pack.buffer.length) {
      const larger = Buffer.allocUnsafeSlow(pack.used + bytes);
      pack.buffer.copy(larger, 0, 0, pack.used);
      pack.buffer = larger;
    }
    return pack.buffer.subarray(pack.used, pack.used + bytes);
  }

  /**
   * Adds the blob that was put into the room. Call `settle` before the next.
   * @param id SHA-256 of the plaintext, 32 bytes.
   * @param plainLength length before compression, 0 for a blob that isn't compressed.
   */
  add(kind: BlobKind, id: Buffer, sealedLength: number, plainLength: number): void {
    const pack = this.open[kind] as OpenPack;
    pack.header.add(kind, id, sealedLength, plainLength);
    pack.used += sealedLength;
  }

  /** Stores the packs that are full while the next ones are filled, at most one at a time. @throws `storage`, `storage-full`. */
  async settle(): Promise<void> {
    for (const kind of ['data', 'tree'] as const) {
      const pack = this.open[kind];
      if (pack === undefined || (pack.used < packTargetBytes && pack.header.count < maxBlobs)) continue;
      await this.storing;
      this.open[kind] = undefined;
      this.storing = this.store(kind, pack);
      // The failure is reported by whoever awaits next; it must not count as unhandled until then.
      this.storing.catch(() => undefined);
    }
  }

  /**
   * Waits for packs on their way, completes those of some size, and gives up the rest.
   * @throws what went wrong first.
   */
  async drain(): Promise<PartialPack[]> {
    const partial: PartialPack[] = [];
    await this.storing;
    for (const kind of ['data', 'tree'] as const) {
      const pack = this.open[kind];
      this.open[kind] = undefined;
      if (pack === undefined || pack.used === 0) continue;
      if (pack.used >= largePartBytes) await this.store(kind, pack);
      // A view would take the whole buffer along to the other thread.
      else partial.push({ ...asPartial(kind, pack), body: Buffer.from(pack.buffer.subarray(0, pack.used)) });
    }
    return partial;
  }

  private async store(kind: BlobKind, pack: OpenPack): Promise<void> {
    const stored = await storePack(this.options, asPartial(kind, pack));
    this.spareBuffer = pack.buffer;
    this.options.onStored(stored);
  }

  private takeBuffer(): Buffer {
    const spare = this.spareBuffer;
    this.spareBuffer = undefined;
    // Memory that isn't written to isn't used: the spare room costs address space only.
    return spare ?? Buffer.allocUnsafeSlow(packTargetBytes + spareBytes);
  }
}

const asPartial = (kind: BlobKind, { header, buffer, used }: OpenPack): PartialPack => ({
  kind,
  entries: Buffer.from(header.bytes()),
  body: buffer.subarray(0, used),
});
