/** What takes a processor in a check: trees and packs, read by all lanes. */
import { HoldfastError } from '../../model/errors.ts';
import type { Report } from '../../model/events.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { Repository } from '../../repository/repository.ts';
import { type StorageAddress, transfersAtOnce } from '../../storage/storage.ts';
import { type Lane, type LanePool, type WarmLanes, warmLanes } from '../lanes/pool.ts';
import { type CheckCall, type CheckLaneSettings, progressWords } from './check-messages.ts';
import type { StoredPack } from './check-packs.ts';
import type { CheckedIndex } from './checked-index.ts';
import type { Damage } from './damage.ts';
import { walkTrees } from './walk-trees.ts';

export type ReadingOptions = {
  repository: Repository;
  /** The composition root's: URL of the storage, module of the lanes. */
  address: StorageAddress;
  laneEntry: URL;
  /** Started for job `check`; without them, lanes are started. Closed when all is read. */
  warmLanes?: WarmLanes;
  lanes: number;
  /** Bounds the number of lanes. Default: no bound. */
  memoryBytes?: number;
  report: Report;
  signal: AbortSignal;
};

const progressEveryMs = 200;
/** What a lane takes: a thread of Node, its buffers, a large tree. */
const laneBytes = 32 * 1024 * 1024;
/** Damages of packs that wait until all trees are read; beyond it, packs wait. */
const maxHeldBack = 1000;

/**
 * Reads the trees below `roots`, entries of the index, each once; and packs beside them. What is wrong with trees is told first.
 * @throws `interrupted`; what a lane throws, or `onDamage`.
 */
export async function readAll(
  options: ReadingOptions,
  checked: CheckedIndex,
  roots: number[],
  packs: StoredPack[],
  onDamage: (damage: Damage) => void,
): Promise<{ trees: number; bytes: number }> {
  const { signal } = options;
  const { index } = checked;
  const settings: CheckLaneSettings = {
    visited: new SharedArrayBuffer(Math.ceil(index.size / 32) * 4),
    progress: new SharedArrayBuffer(Object.keys(progressWords).length * 8),
    stop: new SharedArrayBuffer(4),
  };
  const visited = new Int32Array(settings.visited);
  for (const entry of roots) (visited[entry >>> 5] as number) |= 1 << (entry & 31);
  if (roots.length === 0 && packs.length === 0) return { trees: 0, bytes: 0 };
  const pool = startPool(options, index, settings);
  const stop = () => Atomics.store(new Int32Array(settings.stop), 0, 1);
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  const stopProgress = reportProgress(options, settings, packs);
  const onDamages = (damages: readonly Damage[]) => {
    for (const damage of damages) onDamage(damage);
  };
  const walking = walkTrees(pool.lanes, roots, onDamages);
  const feeds = Array.from({ length: transfersAtOnce(options.repository.storage) }, () => pool.lanes).flat();
  const works = [walking, readPacks(feeds, checked, packs, holdBack(walking, onDamages))] as const;
  // What fails ends the other, too.
  for (const work of works) work.catch(stop);
  try {
    const [trees] = await Promise.all(works);
    const progress = new BigInt64Array(settings.progress);
    return { trees, bytes: Number(progress[progressWords.treeBytes]) + Number(progress[progressWords.packBytes]) };
  } catch (error) {
    throw signal.aborted ? new HoldfastError('interrupted', 'the check was interrupted', { cause: error }) : error;
  } finally {
    await Promise.allSettled(works);
    stopProgress();
    signal.removeEventListener('abort', stop);
    await pool.close();
  }
}

function startPool(
  { repository, address, laneEntry, lanes, memoryBytes, warmLanes: warmed }: ReadingOptions,
  index: BlobIndex,
  settings: CheckLaneSettings,
): LanePool {
  const { config, masterKey } = repository;
  const count = Math.max(1, memoryBytes === undefined ? lanes : Math.min(lanes, Math.floor(memoryBytes / laneBytes)));
  const warm = warmed ?? warmLanes({ entry: laneEntry, count, job: 'check' });
  return warm.start({ job: 'check', address, config, masterKey, index: index.memory, settings }, () => undefined);
}

/** Keeps damages until some work is done, so that what is told does not depend on which is quicker. */
function holdBack(until: Promise<unknown>, onDamages: (damages: readonly Damage[]) => void) {
  const held: Damage[] = [];
  let done = false;
  const flushed = until.then(() => {
    done = true;
    onDamages(held.splice(0));
  });
  // Whoever waits for the work is told.
  flushed.catch(() => undefined);
  return async (damages: readonly Damage[]): Promise<void> => {
    if (done) return onDamages(damages);
    for (const damage of damages) held.push(damage);
    if (held.length > maxHeldBack) await flushed;
  };
}

/**
 * Largest packs first, so that no lane is left alone with a long one at the end.
 * @param lanes each as often as it reads packs at the same time.
 */
async function readPacks(
  lanes: readonly Lane[],
  checked: CheckedIndex,
  packs: readonly StoredPack[],
  onDamages: (damages: readonly Damage[]) => Promise<void>,
): Promise<void> {
  const waiting = packs.toSorted((a, b) => a.sizeBytes - b.sizeBytes);
  let failed = false;
  const feed = async (lane: Lane): Promise<void> => {
    for (let pack = waiting.pop(); pack !== undefined && !failed; pack = waiting.pop()) {
      const { id, sizeBytes, number } = pack;
      try {
        await onDamages(
          await lane.call<Damage[]>({ call: 'pack', pack: id, sizeBytes, entries: checked.pack(number).entries } satisfies CheckCall),
        );
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(lanes.map(feed));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** @returns a function that ends the reports, with a last one. */
function reportProgress({ report }: Pick<ReadingOptions, 'report'>, settings: CheckLaneSettings, packs: readonly StoredPack[]): () => void {
  const progress = new BigInt64Array(settings.progress);
  const packBytes = packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const count = (word: number) => Number(Atomics.load(progress, word));
  const tell = () => {
    const treeBytes = count(progressWords.treeBytes);
    const bytesDone = treeBytes + count(progressWords.packBytes);
    // Nobody knows how large the trees are before they are read; beside the packs they are small.
    const bytesTotal = packs.length === 0 ? {} : { bytesTotal: treeBytes + packBytes };
    report({ event: 'progress', volume: '', filesDone: count(progressWords.done), bytesDone, ...bytesTotal });
  };
  const timer = setInterval(tell, progressEveryMs);
  return () => {
    clearInterval(timer);
    tell();
  };
}
