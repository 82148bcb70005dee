/** Snapshots into directories and volumes, completely and verified: copies that are made of guard snapshots. */
import { warmLanes } from '../engine/lanes/pool.ts';
import type { OwnerOptions } from '../engine/restore/options.ts';
import { restoreVolume } from '../engine/restore/restore.ts';
import { restoreStream } from '../engine/restore/restore-stream.ts';
import { HoldfastError } from '../model/errors.ts';
import type { Report } from '../model/events.ts';
import { loadIndex } from '../repository/load-index.ts';
import { findById, listSnapshots } from '../repository/snapshots.ts';
import type { Reached } from './docker-access.ts';
import { laneEntry, type Session } from './session.ts';

export type SnapshotCopy = { volume: string; id: string } & Reached;

/**
 * What is in the targets and not in the snapshots goes.
 * @returns how much of the snapshots an Engine could not take, which was told of.
 * @throws `target-unwritable` when anything is not as in the snapshot; as a restore.
 */
export async function restoreSnapshots(
  { repository, address, signal }: Session,
  copies: readonly SnapshotCopy[],
  { lanes, report, ...owners }: OwnerOptions & { lanes: number; report: Report },
): Promise<{ warnings: number }> {
  const [index, snapshots] = await Promise.all([loadIndex(repository), listSnapshots(repository, () => undefined)]);
  const { config, masterKey } = repository;
  const warm = warmLanes({ entry: laneEntry, count: lanes, job: 'restore' });
  const pool = warm.start({ job: 'restore', address, config, masterKey, index: index.memory, settings: undefined }, () => undefined);
  let lost = 0;
  try {
    for (const { volume, id, directory, stream } of copies) {
      const all = { repository, index, snapshot: findById(snapshots, id), volume, delete: true, verify: true, report, signal, ...owners };
      const { problems, warnings } = await (stream === undefined
        ? restoreVolume({ ...all, lanes: pool, target: directory, overwrite: 'always', dryRun: false })
        : restoreStream({ ...all, target: stream }));
      if (stream !== undefined) lost += warnings;
      // What an Engine's archives cannot carry is told of, and the same each time.
      if (problems + (stream === undefined ? warnings : 0) === 0) continue;
      const place = stream?.through ?? directory;
      throw new HoldfastError('target-unwritable', `${place} is not in all as volume ${volume} was: see the messages above`, {
        volume,
        remedy: 'correct what they name, and run again',
      });
    }
  } finally {
    await pool.close();
  }
  return { warnings: lost };
}
