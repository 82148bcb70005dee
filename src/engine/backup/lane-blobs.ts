/**
 * Blobs that the main thread reads, saved by the lanes: identified, compressed, sealed and packed there. Chunks are copied into shared memory,
 * many small ones into one piece, which belongs to a lane from the call until the answer; when all pieces are out, the reader waits.
 */
import { maxChunkBytes } from '../../format/kernel/chunker.ts';
import type { BlobId } from '../../model/ids.ts';
import type { Lane } from '../lanes/pool.ts';
import type { BackupCall } from './messages.ts';

/** Pieces of memory a lane: one that it works on, one that is filled meanwhile. */
const piecesPerLane = 2;
/** A piece goes out when it holds so much; what of it was never touched takes no memory. */
const gatherBytes = 1024 * 1024;
const gatherBlobs = 1024;
const blobIdBytes = 32;

/** Told of a blob's id when a lane has saved it. */
export type Saved = (id: BlobId) => void;

type Piece = { memory: SharedArrayBuffer; used: number; lengths: number[]; saved: Saved[] };

export class LaneBlobs {
  private readonly lanes: readonly Lane[];
  private readonly busy: number[];
  private readonly free: SharedArrayBuffer[] = [];
  private readonly underWay = new Set<Promise<void>>();
  private allocated = 0;
  private filling: Piece | undefined;
  private failure: { error: unknown } | undefined;

  constructor(lanes: readonly Lane[]) {
    this.lanes = lanes;
    this.busy = lanes.map(() => 0);
  }

  /**
   * Copies a chunk, so that its memory can be used again.
   * @param plain at most `maxChunkBytes`.
   * @throws what a lane threw, of this blob or one before.
   */
  async put(plain: Uint8Array, saved: Saved): Promise<void> {
    if (this.filling !== undefined && this.filling.used + plain.length > maxChunkBytes) this.send();
    this.filling ??= { memory: await this.memory(), used: 0, lengths: [], saved: [] };
    const { filling } = this;
    new Uint8Array(filling.memory).set(plain, filling.used);
    filling.used += plain.length;
    filling.lengths.push(plain.length);
    filling.saved.push(saved);
    if (filling.used >= gatherBytes || filling.lengths.length >= gatherBlobs) this.send();
  }

  /** Waits until one of those that are not saved yet is. */
  async progress(): Promise<void> {
    this.send();
    this.throwFailure();
    if (this.underWay.size > 0) await Promise.race(this.underWay);
    this.throwFailure();
  }

  /** Waits until all are saved. @throws as `put`. */
  async settle(): Promise<void> {
    this.send();
    await Promise.all(this.underWay);
    this.throwFailure();
  }

  private async memory(): Promise<SharedArrayBuffer> {
    this.throwFailure();
    while (this.free.length === 0 && this.allocated === this.lanes.length * piecesPerLane) await this.progress();
    const known = this.free.pop();
    if (known !== undefined) return known;
    this.allocated++;
    return new SharedArrayBuffer(maxChunkBytes);
  }

  private send(): void {
    const piece = this.filling;
    this.filling = undefined;
    if (piece === undefined) return;
    const sent = this.callLane(piece).catch((error) => {
      this.failure ??= { error };
    });
    const done = sent.then(() => void this.underWay.delete(done));
    this.underWay.add(done);
  }

  private async callLane({ memory, lengths, saved }: Piece): Promise<void> {
    const lane = this.busy.indexOf(Math.min(...this.busy));
    this.busy[lane] = (this.busy[lane] as number) + 1;
    try {
      const call: BackupCall = { call: 'blobs', lane, memory, lengths };
      const bytes = Buffer.from(await (this.lanes[lane] as Lane).call<Uint8Array>(call));
      for (const [i, told] of saved.entries()) told(bytes.toString('hex', i * blobIdBytes, (i + 1) * blobIdBytes) as BlobId);
    } finally {
      this.busy[lane] = (this.busy[lane] as number) - 1;
      this.free.push(memory);
    }
  }

  private throwFailure(): void {
    if (this.failure !== undefined) throw this.failure.error;
  }
}
