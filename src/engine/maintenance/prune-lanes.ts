/** The lanes of a prune, and what is shared with them. */
import type { Report } from '../../model/events.ts';
import type { Repository } from '../../repository/repository.ts';
import type { StorageAddress } from '../../storage/storage.ts';
import type { LanePool, WarmLanes } from '../lanes/pool.ts';
import { progressWords } from './check-messages.ts';
import type { PruneIndex } from './prune-index.ts';
import type { PruneLaneSettings, PruneNotice } from './prune-messages.ts';

export type PruneLanesOptions = {
  repository: Repository;
  /** The composition root's: URL of the storage. */
  address: StorageAddress;
  /** As {@link PruneLaneSettings}. */
  compressData: boolean;
  report: Report;
  /** Aborts when the run is to end. */
  signal: AbortSignal;
};

export type PruneLanes = {
  pool: LanePool;
  /** A bit an entry of the index: blobs that are needed. */
  used: Int32Array;
  /** Takes packs that lanes have stored. */
  onStored: (pack: PruneNotice['pack']) => void;
  /** From now on, progress is of so many bytes. */
  expect(totalBytes: number): void;
  /** Of telling progress. The caller closes the lanes. */
  end(): void;
};

const progressEveryMs = 200;

export function startPruneLanes(options: PruneLanesOptions, warm: WarmLanes, { blobs }: PruneIndex): PruneLanes {
  const { repository, address, compressData, signal, report } = options;
  const { config, masterKey } = repository;
  const settings: PruneLaneSettings = {
    visited: new SharedArrayBuffer(Math.ceil(blobs.size / 32) * 4),
    progress: new SharedArrayBuffer(Object.keys(progressWords).length * 8),
    stop: new SharedArrayBuffer(4),
    compressData,
  };
  const pool = warm.start({ job: 'prune', address, config, masterKey, index: blobs.memory, settings }, (notice) =>
    work.onStored((notice as PruneNotice).pack),
  );
  const stop = () => Atomics.store(new Int32Array(settings.stop), 0, 1);
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  const progress = new BigInt64Array(settings.progress);
  const count = (word: number) => Number(Atomics.load(progress, word));
  let totalBytes: number | undefined;
  const timer = setInterval(() => {
    const [treeBytes, packBytes] = [count(progressWords.treeBytes), count(progressWords.packBytes)];
    const amount = totalBytes === undefined ? { bytesDone: treeBytes } : { bytesDone: packBytes, bytesTotal: totalBytes };
    report({ event: 'progress', volume: '', filesDone: count(progressWords.done), ...amount });
  }, progressEveryMs);
  const work: PruneLanes = {
    pool,
    used: new Int32Array(settings.visited),
    onStored: () => undefined,
    expect(bytes) {
      totalBytes = bytes;
    },
    end() {
      clearInterval(timer);
      signal.removeEventListener('abort', stop);
    },
  };
  return work;
}
