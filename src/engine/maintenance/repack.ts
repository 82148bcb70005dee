/** Copies what stays of packs that go into new packs, by all lanes, and indexes those as they are stored. */
import type { BlobKind } from '../../format/pack-header.ts';
import { HoldfastError } from '../../model/errors.ts';
import { type PartialPack, type StoredPack, storePack } from '../../repository/pack-writer.ts';
import { type Repository, writeSealedJson } from '../../repository/repository.ts';
import { joinPartialPacks } from '../backup/join-packs.ts';
import type { Lane } from '../lanes/pool.ts';
import { bitsFor, clearBit, hasBit, setBit } from './entry-bits.ts';
import { IndexText } from './index-text.ts';
import type { PruneIndex } from './prune-index.ts';
import type { PruneCall } from './prune-messages.ts';
import type { PrunePlan } from './prune-plan.ts';
import { maxBlobsPerFile } from './rewrite-index.ts';

/** Blobs in one message, at most. */
const batchEntries = 2048;
/** What an interrupted run may lose. */
const maxWaitMs = 5 * 60 * 1000;

export type Repacked = { packs: number; bytes: number; blobs: number; indexFiles: number };

export type RepackOptions = {
  repository: Repository;
  index: PruneIndex;
  plan: PrunePlan;
  nowMs: () => number;
  /** Throws when the run is to end. */
  checkStopped: () => void;
  /** Throws when the lock was lost: then nothing may be named any more. */
  checkNotLost: () => void;
};

export class Repack {
  /** Bytes of blobs that are copied or verified. */
  bytesToRead = 0;
  readonly written: Repacked = { packs: 0, bytes: 0, blobs: 0, indexFiles: 0 };
  private readonly options: RepackOptions;
  /** Bit of the first entry of every blob that is to be in a new pack and is not yet. */
  private readonly awaited: Int32Array;
  /** Packs that are stored and in no index file yet. */
  private waiting: StoredPack[] = [];
  private waitingBlobs = 0;
  private waitingSinceMs = 0;
  private indexing: Promise<void> = Promise.resolve();

  constructor(options: RepackOptions) {
    const { index, plan } = options;
    this.options = options;
    this.awaited = bitsFor(index.blobs.size);
    for (let entry = 0; entry < index.blobs.size; entry++) {
      if (hasBit(plan.copied, entry)) setBit(this.awaited, index.first[entry] as number);
      if (hasBit(plan.copied, entry) || hasBit(plan.relied, entry)) this.bytesToRead += index.lengths[entry] as number;
    }
  }

  /** Takes note of a pack that a lane has stored; what an interrupted run may lose is bounded. */
  stored({ entries, ...pack }: StoredPack): void {
    // Buffers arrive from a thread as plain byte arrays.
    this.add({ ...pack, entries: Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength) });
    const { nowMs } = this.options;
    if (this.waiting.length === 1) this.waitingSinceMs = nowMs();
    // A failure shows at the end, when all that is left is written.
    if (this.waitingBlobs >= maxBlobsPerFile || nowMs() - this.waitingSinceMs >= maxWaitMs) this.writeIndex().catch(() => undefined);
  }

  private add(pack: StoredPack): void {
    this.waiting.push(pack);
    this.written.packs++;
    this.written.bytes += pack.sizeBytes;
    const { blobs, first } = this.options.index;
    forEachHeaderEntry(pack.entries, (kind, id) => {
      this.waitingBlobs++;
      this.written.blobs++;
      const entry = blobs.find(id, kind);
      if (entry >= 0) clearBit(this.awaited, first[entry] as number);
    });
  }

  /** One file after the other; what could not be written stays for the next. */
  private writeIndex(): Promise<void> {
    this.indexing = this.indexing
      .catch(() => undefined)
      .then(async () => {
        const packs = this.waiting;
        const blobs = this.waitingBlobs;
        if (packs.length === 0) return;
        this.waiting = [];
        this.waitingBlobs = 0;
        try {
          this.options.checkNotLost();
          await writeSealedJson(this.options.repository, 'index', indexOf(packs));
          this.written.indexFiles++;
        } catch (error) {
          this.waiting = [...packs, ...this.waiting];
          this.waitingBlobs += blobs;
          throw error;
        }
      });
    return this.indexing;
  }

  /**
   * Verifies what is relied upon, copies what is to be copied, and has all of it durable and indexed.
   * @throws `damaged` when some needed blob is intact nowhere; `storage`, `storage-full`.
   */
  async run(lanes: readonly Lane[]): Promise<void> {
    const { repository, index, plan, checkStopped } = this.options;
    await runBatches(lanes, batchesOf(index, plan));
    const drained = await Promise.all(lanes.map((lane) => lane.call<PartialPack[]>({ call: 'drain' } satisfies PruneCall)));
    checkStopped();
    const storing = joinPartialPacks(drained.flat().map(asPartial)).map(async (pack) => this.add(await storePack(repository, pack)));
    await Promise.allSettled(storing);
    await Promise.all(storing);
    checkStopped();
    await this.writeIndex();
    if (this.awaited.some((bits) => bits !== 0)) {
      throw new HoldfastError('internal', 'not every blob was copied that is to stay; no old pack was removed');
    }
  }

  /** After a failure: what was copied so far is indexed, so that the next run need not copy it again. Nothing when the lock was lost. */
  async keepWhatIsStored(lanes: readonly Lane[]): Promise<void> {
    await Promise.allSettled(lanes.map((lane) => lane.call({ call: 'drain' } satisfies PruneCall)));
    await this.writeIndex().catch(() => undefined);
  }
}

function indexOf(packs: readonly StoredPack[]): Buffer {
  const text = new IndexText();
  for (const { id, entries } of packs) {
    text.beginPack(id);
    forEachHeaderEntry(entries, (kind, blob, offset, length, plainLength) =>
      text.blob(kind, blob.toString('hex'), offset, length, plainLength),
    );
    text.endPack();
  }
  return text.take() as Buffer;
}

type OnEntry = (kind: BlobKind, id: Buffer, offset: number, length: number, plainLength: number) => void;

/** Visits header entries that this process made (pack-header.ts), without an object a blob. `id` is valid during the call. */
function forEachHeaderEntry(entries: Buffer, visit: OnEntry): void {
  let offset = 0;
  for (let at = 0; at < entries.length; ) {
    const type = entries[at] as number;
    const compressed = type >= 2;
    const idAt = at + (compressed ? 9 : 5);
    const length = entries.readUInt32LE(at + 1);
    visit(
      type % 2 === 0 ? 'data' : 'tree',
      entries.subarray(idAt, idAt + 32),
      offset,
      length,
      compressed ? entries.readUInt32LE(at + 5) : 0,
    );
    offset += length;
    at = idAt + 32;
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
