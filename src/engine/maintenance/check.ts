/** A check of a repository: is everything there that its snapshots need, and is it what was written? */
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import type { CheckFinding } from '../../model/events.ts';
import { type PackId, parsePackId } from '../../model/ids.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { createBlobReader } from '../../repository/blob-reader.ts';
import type { Repository } from '../../repository/repository.ts';
import { findAffected } from './affected.ts';
import { checkPacks, checkStrangers, listPacks, type PackSizes, type PacksChecked, type StoredPack } from './check-packs.ts';
import { type ReadingOptions, readAll } from './check-reading.ts';
import { checkKeysAndConfig, checkSnapshots, listSnapshotNames } from './check-snapshots.ts';
import { CheckedIndex } from './checked-index.ts';
import type { Damage } from './damage.ts';
import { Findings } from './findings.ts';
import { type ReadDataSelection, selectPacks } from './read-data.ts';

export type CheckOptions = ReadingOptions & {
  /** Which packs to read whole; undefined to check structure only. Packs about which the index and the storage disagree are always read. */
  readData: ReadDataSelection | undefined;
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
  const [, [snapshots, [checked, sizes]]] = await Promise.all([
    checkKeysAndConfig(repository, findings),
    checkNamedFiles(repository, findings),
  ]);
  checkStopped();
  const packs = checkPacks(sizes, checked, findings);
  await checkStrangers(repository.storage, findings);
  const toRead = packsToRead(packs, options.readData);
  const onDamage = (damage: Damage) => findings.add(damage);
  const read = await readAll(options, checked, treesOf(snapshots, checked.index, findings), toRead, onDamage);
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
async function checkNamedFiles(repository: Repository, findings: Findings): Promise<[StoredSnapshot[], [CheckedIndex, PackSizes]]> {
  const names = await listSnapshotNames(repository);
  return Promise.all([checkSnapshots(repository, names, findings), loadIndexAndPacks(repository, findings)]);
}

/** Lists the packs as soon as that includes all that the index names, which is read meanwhile. */
async function loadIndexAndPacks(repository: Repository, findings: Findings): Promise<[CheckedIndex, PackSizes]> {
  const listed = Promise.withResolvers<void>();
  const packs = listed.promise.then(() => listPacks(repository.storage));
  return Promise.all([CheckedIndex.load(repository, findings, listed.resolve), packs]);
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
export async function findDamagedPacks(options: ReadingOptions, checked: CheckedIndex): Promise<DamagedPacks> {
  const { packs } = checkPacks(await listPacks(options.repository.storage), checked, new Findings());
  const found = { damaged: new Set<PackId>(), unreadable: new Set<PackId>() };
  await readAll(options, checked, [], packs, ({ kind, file }) => {
    const pack = parsePackId(file?.slice('data/'.length));
    if (pack === undefined || kind === 'index-mismatch' || kind === 'pack-missing') return;
    found[kind === 'unreadable' ? 'unreadable' : 'damaged'].add(pack);
  });
  for (const pack of found.unreadable) found.damaged.delete(pack);
  return { damaged: [...found.damaged].sort(), unreadable: [...found.unreadable].sort() };
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
