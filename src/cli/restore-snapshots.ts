/** Snapshots into directories, completely and verified: copies that are made of guard snapshots. */
import { warmLanes } from '../engine/lanes/pool.ts';
import type { OwnerOptions } from '../engine/restore/options.ts';
import { restoreVolume } from '../engine/restore/restore.ts';
import { HoldfastError } from '../model/errors.ts';
import type { Report } from '../model/events.ts';
import { loadIndex } from '../repository/load-index.ts';
import { findById, listSnapshots } from '../repository/snapshots.ts';
import { laneEntry, type Session } from './session.ts';

export type SnapshotCopy = { volume: string; id: string; directory: string };

/** What is in the directories and not in the snapshots goes. @throws `target-unwritable` when anything is not as in the snapshot; as a restore. */
export async function restoreSnapshots(
  { repository, address, signal }: Session,
  copies: readonly SnapshotCopy[],
  { lanes, report, ...owners }: OwnerOptions & { lanes: number; report: Report },
): Promise<void> {
  const [index, snapshots] = await Promise.all([loadIndex(repository), listSnapshots(repository, () => undefined)]);
  const { config, masterKey } = repository;
  const warm = warmLanes({ entry: laneEntry, count: lanes, job: 'restore' });
  const pool = warm.start({ job: 'restore', address, config, masterKey, index: index.memory, settings: undefined }, () => undefined);
  try {
    for (const { volume, id, directory } of copies) {
      const { problems, warnings } = await restoreVolume({
        ...{ repository, index, lanes: pool, snapshot: findById(snapshots, id), volume, target: directory },
        ...{ overwrite: 'always', delete: true, verify: true, dryRun: false, report, signal },
        ...owners,
      });
      if (problems + warnings === 0) continue;
      throw new HoldfastError('target-unwritable', `${directory} is not in all as volume ${volume} was: see the messages above`, {
        volume,
        file: directory,
        remedy: 'correct what they name, and run again',
      });
    }
  } finally {
    await pool.close();
  }
}
