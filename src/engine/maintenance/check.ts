/** A check of a repository: is everything there that its snapshots need, and is it what was written? */
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import type { CheckFinding, Report } from '../../model/events.ts';
import { type PackId, parsePackId } from '../../model/ids.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { createBlobReader } from '../../repository/blob-reader.ts';
import type { Repository } from '../../repository/repository.ts';
import { type StorageAddress, transfersAtOnce } from '../../storage/storage.ts';
import { type Lane, type LanePool, type WarmLanes, warmLanes } from '../lanes/pool.ts';
import { findAffected } from './affected.ts';
import { type CheckCall, type CheckLaneSettings, progressWords } from './check-messages.ts';
import { checkPacks, checkStrangers, type PacksChecked, type StoredPack } from './check-packs.ts';
import { checkKeysAndConfig, checkSnapshots, listSnapshotNames } from './check-snapshots.ts';
import { CheckedIndex } from './checked-index.ts';
import type { Damage } from './damage.ts';
import { Findings } from './findings.ts';
import { type ReadDataSelection, selectPacks } from './read-data.ts';
import { walkTrees } from './walk-trees.ts';

export type CheckOptions = {
  repository: Repository;
  /** The composition root's: URL of the storage, module of the lanes. */
  address: StorageAddress;
  laneEntry: URL;
  /** Started for job `check`; without them, the check starts its own. Closed by the check. */
  warmLanes?: WarmLanes;
  lanes: number;
  /** Which packs to read whole; undefined to check structure only. Packs about which the index and the storage disagree are always read. */
  readData: ReadDataSelection | undefined;
  /** Bounds the number of lanes. Default: no bound. */
  memoryBytes?: number;
  report: Report;
  signal: AbortSignal;
};

export type CheckResult = {
  /** 0 when nothing is wrong (there may be notes), 1 when something is. */
  exitCode: number;
  /** Numbers of findings; the findings themselves are at most 1000 errors, one that sums up the others, and 100 notes. */
  errors: number;
  notes: number;
  findings: CheckFinding[];
  counts: { snapshots: number; indexFiles: number; packs: number; blobs: number; trees: number; packsRead: number };
  /** Bytes of trees and packs that were read. */
  bytesRead: number;
  durationMs: number;
};

const progressEveryMs = 200;
/** What a lane takes: a thread of Node, its buffers, a large tree. */
const laneBytes = 32 * 1024 * 1024;

/**
 * Checks a repository: files against their names, index against packs, snapshots and trees down to the last blob, and with
 * `readData` the content of packs. What is wrong is reported as `finding` events, named as in `damageKinds`, with the snapshots and
 * paths that it affects; it is never thrown. Events of the run as such are the caller's, and so is the lock.
 * @throws `interrupted`; `storage` when a listing fails.
 */
export async function checkRepository(options: CheckOptions): Promise<CheckResult> {
  const startedMs = performance.now();
  const { repository, report, signal } = options;
  const findings = new Findings();
  const checkStopped = () => {
    if (signal.aborted) throw new HoldfastError('interrupted', 'the check was interrupted');
  };
  checkStopped();
  const [, [snapshots, checked]] = await Promise.all([checkKeysAndConfig(repository, findings), checkNamedFiles(repository, findings)]);
  checkStopped();
  const packs = await checkPacks(repository.storage, checked, findings);
  await checkStrangers(repository.storage, findings);
  const toRead = packsToRead(packs, options.readData);
  const onDamage = (damage: Damage) => findings.add(damage);
  const read = await runLanes(options, checked, treesOf(snapshots, checked.index, findings), toRead, onDamage);
  if (findings.errorCount > 0) {
    const { storage, seal } = repository;
    await findAffected({
      findings,
      snapshots,
      index: checked.index,
      blobs: createBlobReader({ storage, seal, index: checked.index }),
      checkStopped,
    });
  }
  const all = [...findings.errors, ...findings.notes];
  for (const finding of all) report({ event: 'finding', finding });
  return {
    exitCode: findings.errorCount > 0 ? exitCodes.failed : exitCodes.done,
    errors: findings.errorCount,
    notes: findings.noteCount,
    findings: all,
    counts: {
      snapshots: snapshots.length,
      indexFiles: checked.files.length,
      packs: packs.packs.length,
      blobs: checked.index.size,
      trees: read.trees,
      packsRead: toRead.length,
    },
    bytesRead: read.bytes,
    durationMs: performance.now() - startedMs,
  };
}

/** Lists in the order in which a backup at work writes the other way round: what is named by what was listed is there already. */
async function checkNamedFiles(repository: Repository, findings: Findings): Promise<[StoredSnapshot[], CheckedIndex]> {
  const names = await listSnapshotNames(repository);
  return Promise.all([checkSnapshots(repository, names, findings), CheckedIndex.load(repository, findings)]);
}

function packsToRead({ packs, suspicious }: PacksChecked, selection: ReadDataSelection | undefined): StoredPack[] {
  const selected = new Set(selection === undefined ? [] : selectPacks(packs, selection));
  for (const pack of suspicious) selected.add(pack);
  return [...selected];
}

export type DamagedPacks = { damaged: PackId[] /** Which the storage failed to read. */; unreadable: PackId[] };

/**
 * Reads all packs that the index names, and finds those that are not what was written. (Some may only be what the index says wrongly.)
 * @throws `interrupted`; `storage` when a listing fails.
 */
export async function findDamagedPacks(options: Omit<CheckOptions, 'readData'>, checked: CheckedIndex): Promise<DamagedPacks> {
  const { packs } = await checkPacks(options.repository.storage, checked, new Findings());
  const found = { damaged: new Set<PackId>(), unreadable: new Set<PackId>() };
  await runLanes(options, checked, [], packs, ({ kind, file }) => {
    const pack = parsePackId(file?.slice('data/'.length));
    if (pack === undefined || kind === 'index-mismatch' || kind === 'pack-missing') return;
    found[kind === 'unreadable' ? 'unreadable' : 'damaged'].add(pack);
  });
  for (const pack of found.unreadable) found.damaged.delete(pack);
  return { damaged: [...found.damaged].sort(), unreadable: [...found.unreadable].sort() };
}

/** Everything that takes a processor: trees, then packs, by all lanes. `roots` are entries of the index, each once. */
async function runLanes(
  options: Omit<CheckOptions, 'readData'>,
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
  try {
    const trees = await walkTrees(pool.lanes, roots, onDamages);
    const feeds = Array.from({ length: transfersAtOnce(options.repository.storage) }, () => pool.lanes).flat();
    await readPacks(feeds, checked, packs, onDamages);
    const progress = new BigInt64Array(settings.progress);
    return { trees, bytes: Number(progress[progressWords.treeBytes]) + Number(progress[progressWords.packBytes]) };
  } catch (error) {
    throw signal.aborted ? new HoldfastError('interrupted', 'the check was interrupted', { cause: error }) : error;
  } finally {
    stopProgress();
    signal.removeEventListener('abort', stop);
    await pool.close();
  }
}

function startPool(
  { repository, address, laneEntry, lanes, memoryBytes, warmLanes: warmed }: Omit<CheckOptions, 'readData'>,
  index: BlobIndex,
  settings: CheckLaneSettings,
): LanePool {
  const { config, masterKey } = repository;
  const count = Math.max(1, memoryBytes === undefined ? lanes : Math.min(lanes, Math.floor(memoryBytes / laneBytes)));
  const warm = warmed ?? warmLanes({ entry: laneEntry, count, job: 'check' });
  return warm.start({ job: 'check', address, config, masterKey, index: index.memory, settings }, () => undefined);
}

/** Entries of the snapshots' trees, each once. */
function treesOf(snapshots: readonly StoredSnapshot[], index: BlobIndex, findings: Findings): number[] {
  const roots = new Set<number>();
  for (const { id, tree } of snapshots) {
    const entry = index.find(tree, 'tree');
    if (entry >= 0) roots.add(entry);
    else {
      const message = `snapshot ${id} needs tree ${tree}, which is in no pack that the index knows`;
      findings.add({ kind: 'tree-missing', message, file: `snapshots/${id}`, missing: { kind: 'tree', id: tree } });
    }
  }
  return [...roots];
}

/**
 * Largest packs first, so that no lane is left alone with a long one at the end.
 * @param lanes each as often as it reads packs at the same time.
 */
async function readPacks(
  lanes: readonly Lane[],
  checked: CheckedIndex,
  packs: readonly StoredPack[],
  onDamages: (damages: Damage[]) => void,
): Promise<void> {
  const waiting = packs.toSorted((a, b) => a.sizeBytes - b.sizeBytes);
  let failed = false;
  const feed = async (lane: Lane): Promise<void> => {
    for (let pack = waiting.pop(); pack !== undefined && !failed; pack = waiting.pop()) {
      const { id, sizeBytes, number } = pack;
      try {
        onDamages(
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
function reportProgress({ report }: Pick<CheckOptions, 'report'>, settings: CheckLaneSettings, packs: readonly StoredPack[]): () => void {
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
