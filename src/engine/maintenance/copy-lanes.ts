/** The lanes of a copy, seen from the main thread: what the destination lacks is found, then copied and indexed. */
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Report } from '../../model/events.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { PartialPack } from '../../repository/pack-writer.ts';
import type { Repository } from '../../repository/repository.ts';
import type { StorageAddress } from '../../storage/storage.ts';
import type { Lane, LanePool, WarmLanes } from '../lanes/pool.ts';
import type { LaneRepository } from '../lanes/protocol.ts';
import { type BlobsCopied, type CopyCall, type CopyLaneSettings, type CopyNotice, copyWords } from './copy-messages.ts';
import { batchesOf, entriesByPack } from './copy-order.ts';
import type { Damage } from './damage.ts';
import type { Findings } from './findings.ts';
import { collectStoredPacks, type StoredPacks } from './stored-packs.ts';
import { walkTrees } from './walk-trees.ts';

/** One side of a copy. */
export type CopySide = { repository: Repository; address: StorageAddress; index: BlobIndex };

export type CopyLanesOptions = {
  source: CopySide;
  destination: CopySide;
  compressionLevel: number;
  findings: Findings;
  report: Report;
  /** Aborts at interruption, and when one of the locks is lost. */
  signal: AbortSignal;
  clock: Clock;
};

export type CopyTotals = { blobs: number; sourceBytes: number; storedBytes: number };

const progressEveryMs = 200;
/** Calls on their way to a lane, so that it never waits for the next. */
const callsPerLane = 2;
/** Trees and packs that the source's storage may fail to read before it counts as failing as a whole. */
const mostUnreadable = 10;

const bitmapOf = (index: BlobIndex) => new SharedArrayBuffer(Math.ceil(index.size / 32) * 4);
const laneRepository = ({ repository, address, index }: CopySide): LaneRepository => {
  const { config, masterKey } = repository;
  return { address, config, masterKey, index: index.memory };
};

export class CopyLanes {
  private readonly options: CopyLanesOptions;
  private readonly settings: CopyLaneSettings;
  private readonly pool: LanePool;
  private readonly packs: StoredPacks;
  /** One bit an entry of the source: what was copied, or cannot be. */
  private readonly done: Int32Array;
  private readonly timer: NodeJS.Timeout;
  private readonly stop: () => void;
  private settledBytes = 0;
  private unreadable = 0;

  constructor(options: CopyLanesOptions, warm: WarmLanes) {
    const { source, destination, signal, clock } = options;
    this.options = options;
    this.settings = {
      compressionLevel: options.compressionLevel,
      visited: bitmapOf(source.index),
      missing: bitmapOf(source.index),
      counts: new SharedArrayBuffer(Object.keys(copyWords).length * 8),
      stop: new SharedArrayBuffer(4),
    };
    this.done = new Int32Array(this.settings.missing.byteLength / 4);
    this.packs = collectStoredPacks(destination.repository, clock);
    const start = { job: 'copy', ...laneRepository(source), destination: laneRepository(destination), settings: this.settings } as const;
    this.pool = warm.start(start, (notice) => this.packs.add((notice as CopyNotice).pack));
    this.stop = () => Atomics.store(new Int32Array(this.settings.stop), 0, 1);
    signal.addEventListener('abort', this.stop);
    if (signal.aborted) this.stop();
    this.timer = setInterval(() => this.reportProgress(), progressEveryMs);
  }

  /** Sealed bytes of the source that were found missing and are not copied yet. */
  get missingBytes(): number {
    return this.count('bytesMissing') - this.settledBytes;
  }

  /** What was copied, or found missing when nothing was. */
  get totals(): CopyTotals {
    return { blobs: this.count('blobsCopied'), sourceBytes: this.count('bytesCopied'), storedBytes: this.count('bytesStored') };
  }

  /** What was found missing. */
  get missing(): CopyTotals {
    return { blobs: this.count('blobsMissing'), sourceBytes: this.count('bytesMissing'), storedBytes: 0 };
  }

  /** Walks the trees of snapshots, those that were not walked before, and marks what the destination lacks. */
  async findMissing(snapshots: readonly StoredSnapshot[]): Promise<void> {
    const { source, findings } = this.options;
    const visited = new Int32Array(this.settings.visited);
    const roots: number[] = [];
    for (const { id, tree } of snapshots) {
      const entry = source.index.find(tree, 'tree');
      if (entry < 0) {
        const message = `snapshot ${id} needs tree ${tree}, which is in no pack that the index knows`;
        findings.add({ kind: 'tree-missing', message, file: `snapshots/${id}`, missing: { kind: 'tree', id: tree } });
      } else if (((visited[entry >>> 5] as number) & (1 << (entry & 31))) === 0) {
        (visited[entry >>> 5] as number) |= 1 << (entry & 31);
        roots.push(entry);
      }
    }
    if (roots.length > 0) await walkTrees(this.pool.lanes, roots, (damages) => this.onDamages(damages));
  }

  /** Copies what was found missing: when it resolves, all of it that can be had is durable and indexed. */
  async copyMissing(): Promise<void> {
    const missing = new Int32Array(this.settings.missing);
    const wanted = missing.map((word, i) => word & ~(this.done[i] as number));
    this.done.set(missing);
    const { index } = this.options.source;
    const batches = batchesOf(index, entriesByPack(index, wanted));
    let failed = false;
    const feed = async (lane: Lane): Promise<void> => {
      // The lanes take turns: what one of them throws ends the others after the batch that they are at.
      for (let batch = batches.next(); !failed && !batch.done; batch = batches.next()) {
        try {
          const { damages, unreadablePacks } = await lane.call<BlobsCopied>({ call: 'blobs', entries: batch.value } satisfies CopyCall);
          this.onDamages(damages, unreadablePacks);
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    };
    const feeds = this.pool.lanes.flatMap((lane) => Array.from({ length: callsPerLane }, () => feed(lane)));
    for (const result of await Promise.allSettled(feeds)) if (result.status === 'rejected') throw result.reason;
    const drained = await Promise.all(this.pool.lanes.map((lane) => lane.call<PartialPack[]>({ call: 'drain' } satisfies CopyCall)));
    await this.packs.storePartials(drained.flat());
    this.throwIfLost();
    await this.packs.flush();
    this.settledBytes = this.count('bytesMissing');
  }

  /**
   * After a failure: what was copied so far is stored and indexed, so that the next run reuses it. Nothing more goes to a storage that fails
   * but the index of what it took; and nothing at all when a lock was lost, because a prune may have removed it since.
   */
  async keepWhatIsStored(error: unknown): Promise<void> {
    this.stop();
    const drained = await Promise.allSettled(this.pool.lanes.map((lane) => lane.call<PartialPack[]>({ call: 'drain' } satisfies CopyCall)));
    const { aborted, reason } = this.options.signal;
    if (aborted && reason instanceof HoldfastError && reason.code === 'locked') return;
    if (!(error instanceof HoldfastError && (error.code === 'storage' || error.code === 'storage-full'))) {
      const partials = drained.flatMap((lane) => (lane.status === 'fulfilled' ? lane.value : []));
      await this.packs.storePartials(partials).catch(() => undefined);
    }
    await this.packs.flush().catch(() => undefined);
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    this.options.signal.removeEventListener('abort', this.stop);
    await this.packs.close();
    await this.pool.close();
  }

  private onDamages(damages: readonly Damage[], unreadablePacks = damages.filter(({ kind }) => kind === 'unreadable').length): void {
    for (const damage of damages) {
      // It is copied as it is, whatever it means.
      if (damage.kind === 'node-invalid') this.options.findings.note(damage.kind, damage.message, damage.file);
      else this.options.findings.add(damage);
    }
    this.unreadable += unreadablePacks;
    const last = damages.at(-1);
    if (this.unreadable > mostUnreadable && last !== undefined) {
      throw new HoldfastError('storage', `the storage of the source fails again and again: ${last.message}`);
    }
  }

  private throwIfLost(): void {
    const { aborted, reason } = this.options.signal;
    if (aborted) throw reason;
  }

  private count(word: keyof typeof copyWords): number {
    return Number(Atomics.load(new BigInt64Array(this.settings.counts), copyWords[word]));
  }

  private reportProgress(): void {
    const [bytesDone, bytesTotal] = [this.count('bytesCopied'), this.count('bytesMissing')];
    this.options.report({ event: 'progress', volume: '', filesDone: this.count('blobsCopied'), bytesDone, bytesTotal });
  }
}
