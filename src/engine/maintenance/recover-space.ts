/** Ways out of a storage that is so full that not even a lock or an index file can be written: what is needed least goes first. */
import { rm } from 'node:fs/promises';
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import { refuseOthers } from '../../repository/locks.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import type { Storage } from '../../storage/storage.ts';
import type { WarmLanes } from '../lanes/pool.ts';
import { findUsedBlobs } from './find-used.ts';
import { keepAside } from './keep-aside.ts';
import { refuseNewcomers, refuseVanished } from './listing-guards.ts';
import { PruneIndex } from './prune-index.ts';
import { type PruneLanesOptions, startPruneLanes } from './prune-lanes.ts';
import { removeFiles } from './remove-files.ts';

export type RoomOptions = Omit<PruneLanesOptions, 'compressData'> & {
  /** Started for job `prune`. The caller closes them. */
  warmLanes: WarmLanes;
  clock: Clock;
};

/**
 * Removes packs that no index names, as a backup leaves them that filled the disk, before there is a lock. It is safe for two reasons: the index
 * names all that snapshots need, else nothing goes (a prune that was killed between the old index and the new one leaves packs that nobody
 * names and everybody needs); and a pack that was there when nobody was at work, and that the index does not name after that, will
 * never be named. Only where listings are of this host: others may lack an index file for a while.
 * @throws `storage-full` when there is nothing of the kind; `locked` when somebody is at work; `damaged` when something is missing that snapshots
 * need; `storage`.
 */
export async function makeRoomForLock(options: RoomOptions): Promise<void> {
  const { repository, clock } = options;
  const { storage } = repository;
  if (storage.hostFile === undefined) throw noRoomFor(storage);
  const packs: string[] = [];
  for await (const { name } of storage.list('data')) packs.push(name);
  await refuseOthers(repository, clock);
  const snapshots = await listSnapshots(repository, undefined, refuseVanished);
  const index = await PruneIndex.load(repository);
  const unnamed = packs.filter((pack) => index.packNumber(pack) === undefined);
  if (unnamed.length === 0) throw noRoomFor(storage);
  await refuseIncompleteIndex(options, index, snapshots);
  await refuseNewcomers(storage, 'index', new Set(index.files.map(({ name }) => name)));
  await refuseNewcomers(storage, 'snapshots', new Set(snapshots.map(({ id }) => id)));
  // The walk may have taken long.
  await refuseOthers(repository, clock);
  await removeFiles(storage, 'data', unnamed, () => options.signal.throwIfAborted());
}

/** @throws `damaged` when the index lacks something that snapshots need; `storage`. */
async function refuseIncompleteIndex(options: RoomOptions, index: PruneIndex, snapshots: readonly StoredSnapshot[]): Promise<void> {
  const { repository, signal, warmLanes } = options;
  const work = startPruneLanes({ ...options, compressData: false }, warmLanes, index);
  const checkStopped = () => signal.throwIfAborted();
  try {
    await findUsedBlobs({ repository, index, snapshots, lanes: work.pool.lanes, used: work.used, checkStopped });
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== 'damaged') throw error;
    const { message, file } = error;
    throw new HoldfastError('damaged', message, {
      remedy: 'make room by other means, then run `holdfast repair index`, which finds everything in the packs, and `holdfast check`',
      ...(file === undefined ? {} : { file }),
      cause: error,
    });
  } finally {
    work.end();
  }
}

const noRoomFor = ({ location }: Storage): HoldfastError =>
  new HoldfastError('storage-full', `${location} has no room for a lock, and nothing in it that surely nobody needs`, {
    remedy: 'forget snapshots first, which needs no room: `holdfast forget --no-lock`; then run this again',
  });

type Replacement = {
  storage: Storage;
  oldIndexFiles: readonly string[];
  /** Where copies are kept until the new index is there. */
  folder: string;
  checkStopped: () => void;
  writeIndex: (checkStopped: () => void) => Promise<void>;
  removeOld: (checkStopped: () => void) => Promise<void>;
};

/**
 * Replaces index files where there is no room for the new ones beside the old: these go first. If it is stopped between, no data is lost and
 * none is removed; `repair index` makes the index anew of the packs. So an interruption waits until the new index is there.
 * @throws `target-full`, `target-unwritable`, before anything is removed; `storage`, `storage-full`.
 */
export async function replaceIndexInFullStorage(replacement: Replacement): Promise<void> {
  const { storage, oldIndexFiles, folder, checkStopped, writeIndex, removeOld } = replacement;
  const copies: string[] = [];
  for (const name of oldIndexFiles) {
    checkStopped();
    copies.push(await keepAside(storage, { kind: 'index', name }, folder, `index-${name}`));
  }
  checkStopped();
  const goOn = () => undefined;
  try {
    await removeOld(goOn);
    await writeIndex(goOn);
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    const { code, message, cause } = error;
    throw new HoldfastError(
      code,
      `${message}; the index is not complete, and no pack that it named was removed; its old files are in ${folder}`,
      {
        remedy: 'make room by other means, then run `holdfast repair index`, which finds everything in the packs',
        cause,
      },
    );
  }
  await Promise.all(copies.map((path) => rm(path, { force: true })));
}
