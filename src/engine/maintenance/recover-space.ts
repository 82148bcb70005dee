/** Ways out of a storage that is so full that not even a lock or an index file can be written: what is needed least goes first. */
import { rm } from 'node:fs/promises';
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import { refuseOthers } from '../../repository/locks.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Storage } from '../../storage/storage.ts';
import { keepAside } from './keep-aside.ts';
import { refuseNewcomers } from './listing-guards.ts';
import { PruneIndex } from './prune-index.ts';
import { removeFiles } from './remove-files.ts';

/**
 * Removes packs that no index names, as a backup leaves them that filled the disk, before there is a lock. It is safe for the order in which
 * it looks: a pack that was there when nobody was at work, and that the index does not name after that, will never be named. Only where
 * listings are of this host: others may lack an index file for a while.
 * @throws `storage-full` when there is nothing of the kind; `locked` when somebody is at work; `damaged`, `storage`.
 */
export async function makeRoomForLock(repository: Repository, clock: Clock): Promise<void> {
  const { storage } = repository;
  if (storage.hostFile === undefined) throw noRoomFor(storage);
  const packs: string[] = [];
  for await (const { name } of storage.list('data')) packs.push(name);
  await refuseOthers(repository, clock);
  const index = await PruneIndex.load(repository);
  const unnamed = packs.filter((pack) => index.packNumber(pack) === undefined);
  if (unnamed.length === 0) throw noRoomFor(storage);
  await refuseNewcomers(storage, 'index', new Set(index.files.map(({ name }) => name)));
  await removeFiles(storage, 'data', unnamed, () => undefined);
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
