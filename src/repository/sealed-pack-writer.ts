/** Fills packs with blobs that are sealed already, as copying them from other packs does, and stores them. */
import { createHash } from 'node:crypto';
import { type BlobKind, HeaderBuilder, headerBoundBytes, writeHeader } from '../format/pack-header.ts';
import type { Seal } from '../format/seal.ts';
import type { PackId } from '../model/ids.ts';
import type { PendingFile, Storage } from '../storage/storage.ts';
import { type PartialPack, packTargetBytes, type StoredPack, storePack } from './pack-writer.ts';

/** So much is gathered before it is appended to a pack on the storage. */
const appendBytes = 1024 * 1024;
/** Room behind that for the blob that reaches it; larger blobs (trees of huge directories) make the buffer grow. */
const spareBytes = 8 * 1024 * 1024 + 256 * 1024;
/** Headers end at 16 MiB; tiny blobs would reach that before the pack reaches its target. */
const maxBlobs = 200_000;

export type SealedPackWriterOptions = {
  storage: Storage;
  seal: Seal;
  /** Called when a pack is durable; only then may an index name it. */
  onStored: (pack: StoredPack) => void;
};

/** A pack that is being filled: what is already on the storage, and what waits in the buffer. */
type OpenPack = {
  kind: BlobKind;
  header: HeaderBuilder;
  hash: ReturnType<typeof createHash>;
  buffer: Buffer;
  used: number;
  writtenBytes: number;
  file: PendingFile | undefined;
};

const kinds = ['data', 'tree'] as const;

export class SealedPackWriter {
  private readonly options: SealedPackWriterOptions;
  private readonly open: Partial<Record<BlobKind, OpenPack>> = {};
  /** How much is gathered in memory before it is written. */
  private readonly gatherBytes: number;
  private spareBuffer: Buffer | undefined;
  private storing: Promise<void> | undefined;

  constructor(options: SealedPackWriterOptions) {
    this.options = options;
    this.gatherBytes = options.storage.begin === undefined ? packTargetBytes : appendBytes;
  }

  /** Where the next blob of a kind goes, with room for so many bytes. What is put there counts only after `add`. */
  room(kind: BlobKind, bytes: number): Buffer {
    this.open[kind] ??= this.openPack(kind);
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

  /** Whether there is something to write. */
  get full(): boolean {
    const { data, tree } = this.open;
    return (data !== undefined && this.isDue(data)) || (tree !== undefined && this.isDue(tree));
  }

  /**
   * Writes what has gathered; a complete pack becomes durable while the next is filled, at most one at a time.
   * @throws `storage`, `storage-full`.
   */
  async settle(): Promise<void> {
    for (const kind of kinds) {
      const pack = this.open[kind];
      if (pack === undefined || !this.isDue(pack)) continue;
      await this.writeGathered(pack);
      if (!isComplete(pack)) continue;
      await this.storing;
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
    for (const kind of kinds) {
      const pack = this.open[kind];
      this.open[kind] = undefined;
      if (pack === undefined || pack.header.count === 0) continue;
      // Handing the blobs of a large part to another thread would cost more memory than it saves packs.
      if (pack.file !== undefined || pack.used >= appendBytes) finishing.push(this.finish(pack));
      else partial.push(copyOf(pack));
    }
    await Promise.allSettled(finishing);
    await Promise.all(finishing);
    return partial;
  }

  private isDue(pack: OpenPack): boolean {
    return pack.used >= this.gatherBytes || isComplete(pack);
  }

  private openPack(kind: BlobKind): OpenPack {
    const buffer = this.spareBuffer;
    this.spareBuffer = undefined;
    return {
      kind,
      header: new HeaderBuilder(),
      hash: createHash('sha256'),
      // Memory that isn't written to isn't used: the spare room costs address space only.
      buffer: buffer ?? Buffer.allocUnsafeSlow(this.gatherBytes + spareBytes),
      used: 0,
      writtenBytes: 0,
      file: undefined,
    };
  }

  private async writeGathered(pack: OpenPack): Promise<void> {
    const { storage } = this.options;
    if (storage.begin === undefined) return;
    try {
      pack.file ??= await storage.begin(pack.kind === 'tree' ? 'trees' : undefined);
      await append(pack, pack.buffer.subarray(0, pack.used));
      pack.used = 0;
    } catch (error) {
      this.open[pack.kind] = undefined;
      await pack.file?.discard();
      throw error;
    }
  }

  private async finish(pack: OpenPack): Promise<void> {
    const { storage, seal, onStored } = this.options;
    const { kind, buffer } = pack;
    const entries = Buffer.from(pack.header.bytes());
    if (pack.file === undefined) {
      const stored = await storePack({ storage, seal }, { kind, entries, body: buffer.subarray(0, pack.used) });
      this.spareBuffer = buffer;
      return onStored(stored);
    }
    try {
      await append(pack, buffer.subarray(0, pack.used));
      this.spareBuffer = buffer;
      const header = Buffer.allocUnsafe(headerBoundBytes(pack.header.count));
      await append(pack, header.subarray(0, writeHeader(seal, entries, header)));
      const id = pack.hash.digest('hex') as PackId;
      await pack.file.commit(id);
      onStored({ id, kind, entries, sizeBytes: pack.writtenBytes });
    } catch (error) {
      await pack.file.discard();
      throw error;
    }
  }
}

const isComplete = ({ writtenBytes, used, header }: OpenPack): boolean =>
  writtenBytes + used >= packTargetBytes || header.count >= maxBlobs;

async function append(pack: OpenPack, bytes: Buffer): Promise<void> {
  pack.hash.update(bytes);
  pack.writtenBytes += bytes.length;
  await pack.file?.append(bytes);
}

/** A view would take the whole buffer along to another thread. */
const copyOf = ({ kind, header, buffer, used }: OpenPack): PartialPack => ({
  kind,
  entries: Buffer.from(header.bytes()),
  body: Buffer.from(buffer.subarray(0, used)),
});
