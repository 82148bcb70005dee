/** Copies what stays of packs that go into new packs, by all lanes, and indexes those as they are stored. */
import { parseHeaderEntries } from '../../format/pack-header.ts';
import { HoldfastError } from '../../model/errors.ts';
import { createIndexWriter, type IndexWriter } from '../../repository/index-writer.ts';
import { type PartialPack, type StoredPack, storePack } from '../../repository/pack-writer.ts';
import type { Repository } from '../../repository/repository.ts';
import { joinPartialPacks } from '../backup/join-packs.ts';
import type { Lane } from '../lanes/pool.ts';
import { bitsFor, clearBit, hasBit, setBit } from './entry-bits.ts';
import type { PruneIndex } from './prune-index.ts';
import type { PruneCall } from './prune-messages.ts';
import type { PrunePlan } from './prune-plan.ts';

/** Blobs in one message, at most. */
const batchEntries = 8192;

export type Repacked = { packs: number; bytes: number; blobs: number };

export type RepackOptions = {
  repository: Repository;
  index: PruneIndex;
  plan: PrunePlan;
  nowMs: () => number;
  /** Throws when the lock was lost or the run is to end. */
  checkStopped: () => void;
};

export class Repack {
  /** Bytes of blobs that are copied or verified. */
  bytesToRead = 0;
  readonly written: Repacked = { packs: 0, bytes: 0, blobs: 0 };
  private readonly repository: Repository;
  private readonly indexWriter: IndexWriter;
  private readonly nowMs: () => number;
  private readonly checkStopped: () => void;
  private readonly index: PruneIndex;
  private readonly plan: PrunePlan;
  /** Bit of the first entry of every blob that is to be in a new pack and is not yet. */
  private readonly awaited: Int32Array;
  private indexing: Promise<void> = Promise.resolve();

  constructor({ repository, index, plan, nowMs, checkStopped }: RepackOptions) {
    this.repository = repository;
    this.index = index;
    this.plan = plan;
    this.awaited = bitsFor(index.blobs.size);
    for (let entry = 0; entry < index.blobs.size; entry++) {
      if (hasBit(plan.copied, entry)) setBit(this.awaited, index.first[entry] as number);
      if (hasBit(plan.copied, entry) || hasBit(plan.relied, entry)) this.bytesToRead += index.lengths[entry] as number;
    }
    this.indexWriter = createIndexWriter(repository);
    this.nowMs = nowMs;
    this.checkStopped = checkStopped;
  }

  /** Takes note of a pack that a lane has stored. */
  stored({ entries, ...pack }: StoredPack): void {
    // Buffers arrive from a thread as plain byte arrays.
    this.add({ ...pack, entries: Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength) });
    // A failure shows at the end, when the index is flushed for good.
    this.indexing = this.indexing.then(() => this.indexDue()).catch(() => undefined);
  }

  private async indexDue(): Promise<void> {
    this.checkStopped();
    await this.indexWriter.writeDue(this.nowMs());
  }

  private add(pack: StoredPack): void {
    this.indexWriter.add(pack);
    this.written.packs++;
    this.written.bytes += pack.sizeBytes;
    const { blobs, first } = this.index;
    for (const { id, kind } of parseHeaderEntries(pack.entries)) {
      this.written.blobs++;
      const entry = blobs.find(id, kind);
      if (entry >= 0) clearBit(this.awaited, first[entry] as number);
    }
  }

  /**
   * Verifies what is relied upon, copies what is to be copied, and has all of it durable and indexed.
   * @throws `damaged` when some needed blob is intact nowhere; `storage`, `storage-full`.
   */
  async run(lanes: readonly Lane[]): Promise<void> {
    await runBatches(lanes, batchesOf(this.index, this.plan));
    const drained = await Promise.all(lanes.map((lane) => lane.call<PartialPack[]>({ call: 'drain' } satisfies PruneCall)));
    this.checkStopped();
    const storing = joinPartialPacks(drained.flat().map(asPartial)).map(async (pack) => this.add(await storePack(this.repository, pack)));
    await Promise.allSettled(storing);
    await Promise.all(storing);
    await this.indexing;
    this.checkStopped();
    await this.indexWriter.flush();
    if (this.awaited.some((bits) => bits !== 0)) {
      throw new HoldfastError('internal', 'not every blob was copied that is to stay; no old pack was removed');
    }
  }

  /** After a failure: what was copied so far is indexed, so that the next run need not copy it again. */
  async keepWhatIsStored(lanes: readonly Lane[]): Promise<void> {
    await Promise.allSettled(lanes.map((lane) => lane.call({ call: 'drain' } satisfies PruneCall)));
    await this.indexing;
    await this.indexWriter.flush().catch(() => undefined);
  }
}

const asPartial = ({ kind, entries, body }: PartialPack): PartialPack => ({
  kind,
  entries: Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength),
  body: Buffer.from(body.buffer, body.byteOffset, body.byteLength),
});

/** One or more messages a pack. */
function* batchesOf(index: PruneIndex, { actions, copied, relied }: PrunePlan): Generator<PruneCall> {
  for (const [pack, action] of actions.entries()) {
    if (action === 'remove') continue;
    const bits = action === 'repack' ? copied : relied;
    const entries = index.entriesOf(pack).filter((entry) => hasBit(bits, entry));
    for (let at = 0; at < entries.length; at += batchEntries) {
      yield { call: action === 'repack' ? 'copy' : 'verify', entries: entries.slice(at, at + batchEntries) };
    }
  }
}

async function runBatches(lanes: readonly Lane[], batches: Generator<PruneCall>): Promise<void> {
  let failed = false;
  const feed = async (lane: Lane): Promise<void> => {
    for (const batch of batches) {
      try {
        await lane.call(batch);
      } catch (error) {
        failed = true;
        throw error;
      }
      if (failed) return;
    }
  };
  const results = await Promise.allSettled(lanes.map(feed));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
