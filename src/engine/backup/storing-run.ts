/** What a run that reads volumes or archives stores with: lanes that fill packs, a writer of the main thread's own, and the index of both. */
import { setTimeout } from 'node:timers/promises';
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { createIndexWriter, type IndexWriter } from '../../repository/index-writer.ts';
import { PackWriter, type PartialPack, type StoredPack, storePack } from '../../repository/pack-writer.ts';
import type { Repository } from '../../repository/repository.ts';
import type { StorageAddress } from '../../storage/storage.ts';
import { type Lane, type WarmLanes, warmLanes } from '../lanes/pool.ts';
import { createCounters } from './counters.ts';
import { joinPartialPacks } from './join-packs.ts';
import type { BackupCall, BackupNotice, LaneSettings } from './messages.ts';
import { rememberingTrees } from './warm-pass.ts';

export type StoringRunOptions = {
  repository: Repository;
  /** The composition root's: URL of the storage, module of the lanes. */
  address: StorageAddress;
  laneEntry: URL;
  lanes: number;
  /** As many as `lanes`, started for job `backup`; without them, the run starts its own. Closed with the run. */
  warmLanes?: WarmLanes | undefined;
  index: BlobIndex;
  /** Lets the trees that the run stores be read by whoever comes after it. */
  rememberTrees: boolean;
  /** zstd's. */
  compressionLevel: number;
  /** Nothing is written. */
  dryRun: boolean;
  signal: AbortSignal;
  clock: Clock;
};

/** What lanes tell beside the packs that they have stored. */
export type ReadingNotice = Exclude<BackupNotice, { notice: 'stored' }>;

export type StoringRun = {
  readonly lanes: readonly Lane[];
  /** A row of counters a lane, and one behind them for the main thread. */
  readonly counters: SharedArrayBuffer;
  /** Told of what lanes meet; whoever reads a volume sets it. */
  onNotice: (notice: ReadingNotice) => void;
  /** Packs that the main thread fills; undefined for a dry run. */
  packs(): PackWriter | undefined;
  /**
   * Stores and indexes all that was added so far: after this, snapshots may name it.
   * @throws the reason of the signal, else `interrupted`; `storage`, `storage-full`.
   */
  makeDurable(): Promise<void>;
  /**
   * After a failure: what was read so far is stored and indexed, so that the next run reuses it. Nothing more goes to a storage that fails
   * but the index of what it took; and nothing at all when the lock was lost, because a prune may have removed it since. The failure
   * itself matters more than this one's: never throws.
   * @returns what kept something from being stored: the blob index tells of blobs that are nowhere then, and serves no further work.
   */
  keepWhatIsStored(error: unknown): Promise<unknown>;
  /** Ends the lanes. In any case. */
  close(): Promise<void>;
};

const indexCheckEveryMs = 5000;

export function startStoringRun(options: StoringRunOptions): StoringRun {
  const { repository, address, compressionLevel, dryRun, signal, clock } = options;
  const { storage, seal, config, masterKey } = repository;
  const writer = createIndexWriter(repository);
  const index = options.rememberTrees ? rememberingTrees(writer, options.index) : writer;
  const counters = createCounters(options.lanes + 1);
  const stop = new SharedArrayBuffer(4);
  const settings: LaneSettings = { compressionLevel, dryRun, counters, stop };
  const warm = options.warmLanes ?? warmLanes({ entry: options.laneEntry, count: options.lanes, job: 'backup' });
  const pool = warm.start({ job: 'backup', address, config, masterKey, index: options.index.memory, settings }, (notice) =>
    receive(notice as BackupNotice),
  );
  const onAbort = () => Atomics.store(new Int32Array(stop), 0, 1);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  const ticking = new AbortController();
  const ticks = indexNowAndThen(index, clock, ticking.signal);
  let own: PackWriter | undefined;

  function receive(notice: BackupNotice): void {
    if (notice.notice === 'stored') index.add(storedPack(notice.pack));
    else run.onNotice(notice);
  }

  /** What the lanes and the main thread have begun and not stored. */
  const drains = (): Promise<PartialPack[]>[] => [
    ...pool.lanes.map((lane) => lane.call<PartialPack[]>({ call: 'drain' } satisfies BackupCall)),
    ...(own === undefined ? [] : [own.drain()]),
  ];

  /** All are given a chance: what could be stored is indexed, also when another could not. */
  async function storePartialPacks(partials: readonly PartialPack[]): Promise<void> {
    const packs = joinPartialPacks(partials.map(({ kind, entries, body }) => ({ kind, entries: asBuffer(entries), body: asBuffer(body) })));
    const storing = packs.map(async (pack) => index.add(await storePack(repository, pack)));
    await Promise.allSettled(storing);
    await Promise.all(storing);
  }

  const run: StoringRun = {
    lanes: pool.lanes,
    counters,
    onNotice: () => undefined,
    packs() {
      if (dryRun) return undefined;
      own ??= new PackWriter({
        storage,
        seal,
        formatVersion: config.version,
        level: compressionLevel,
        onStored: (pack) => index.add(pack),
      });
      return own;
    },
    async makeDurable() {
      await storePartialPacks((await Promise.all(drains())).flat());
      // Who lost the lock must name nothing that may be gone.
      throwIfStopped(signal);
      await index.flush();
      throwIfStopped(signal);
    },
    async keepWhatIsStored(error) {
      const drained = await Promise.allSettled(drains());
      let failure: unknown = drained.find((lane) => lane.status === 'rejected')?.reason;
      const note = (another: unknown) => {
        failure ??= another;
      };
      if (stopReason(signal)?.code === 'locked') return failure;
      if (!(error instanceof HoldfastError && (error.code === 'storage' || error.code === 'storage-full'))) {
        const partials = drained.flatMap((lane) => (lane.status === 'fulfilled' ? lane.value : []));
        await storePartialPacks(partials).catch(note);
      }
      await index.flush().catch(note);
      return failure;
    },
    async close() {
      ticking.abort();
      signal.removeEventListener('abort', onAbort);
      await ticks;
      await pool.close();
    },
  };
  return run;
}

/** Buffers arrive from a thread as plain byte arrays. */
const storedPack = (pack: StoredPack): StoredPack => ({ ...pack, entries: asBuffer(pack.entries) });
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

async function indexNowAndThen(index: IndexWriter, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await setTimeout(indexCheckEveryMs, undefined, { signal, ref: false }).catch(() => undefined);
    // A failure shows at the end, when the index is flushed for good.
    if (!signal.aborted) await index.writeDue(clock.now().getTime()).catch(() => undefined);
  }
}

/** Why the work must stop: a signal of the user, or a lock that was lost. */
function stopReason({ aborted, reason }: AbortSignal, cause?: unknown): HoldfastError | undefined {
  if (!aborted) return undefined;
  return reason instanceof HoldfastError ? reason : new HoldfastError('interrupted', 'interrupted', { cause });
}

/** @throws the reason of a signal that was given, else `interrupted`. */
export function throwIfStopped(signal: AbortSignal, cause?: unknown): void {
  const reason = stopReason(signal, cause);
  if (reason) throw reason;
}
