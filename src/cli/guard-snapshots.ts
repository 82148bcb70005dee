/** Guard snapshots: what is about to be overwritten, saved before. */
import { randomBytes } from 'node:crypto';
import { backUp } from '../engine/backup/backup.ts';
import type { VolumeToBackUp } from '../engine/backup/read-volume.ts';
import type { VolumeStream } from '../engine/backup/stream-volume.ts';
import type { StreamTarget } from '../engine/restore/stream-target.ts';
import { exitCodes, HoldfastError } from '../model/errors.ts';
import type { Report } from '../model/events.ts';
import type { Consistency } from '../model/snapshot.ts';
import { loadIndex } from '../repository/load-index.ts';
import { listSnapshots } from '../repository/snapshots.ts';
import { laneEntry, type Session } from './session.ts';
import { systemClock } from './system-clock.ts';
import { packageVersion } from './version.ts';

/** Of snapshots that a restore took of what it was about to overwrite. The newest state of a volume is not to be looked for among them. */
export const beforeRestoreTag = 'before-restore';

/** Read from its directory, or as a stream. `directory` names its place in either case. */
export type GuardedVolume = { name: string; directory: string; stream?: VolumeStream };

export type GuardOptions = {
  project: string;
  volumes: readonly GuardedVolume[];
  consistency: Consistency;
  tags: readonly string[];
  lanes: number;
  report: Report;
};

export type Guard = { run: string; snapshots: { volume: string; id: string }[] };

/**
 * Takes one restore point of class `guard`, of everything in the directories: excludes are for what can be made again, not for what is about
 * to be overwritten. Needs a lock.
 * @throws `volume-unreadable` when something could not be read: what it lacks, nobody could put back; and as a backup.
 */
export async function takeGuard({ repository, address, signal }: Session, options: GuardOptions): Promise<Guard> {
  const [index, snapshots] = await Promise.all([loadIndex(repository), listSnapshots(repository, () => undefined)]);
  const now = systemClock.now();
  const run = `${now.toISOString().replace(/[-:]|\.\d+/g, '')}-${randomBytes(3).toString('hex')}`;
  const result = await backUp({
    repository,
    address,
    laneEntry,
    index,
    snapshots,
    project: options.project,
    volumes: options.volumes.map(wholeVolume),
    run,
    class: 'guard',
    consistency: options.consistency,
    tags: options.tags,
    programVersion: `holdfast ${packageVersion()}`,
    lanes: options.lanes,
    compressionLevel: 2,
    dryRun: false,
    report: options.report,
    signal,
    clock: systemClock,
  });
  const [failure] = result.failures;
  if (failure !== undefined) throw failure.error;
  if (result.exitCode !== exitCodes.done) {
    throw new HoldfastError('volume-unreadable', `the guard snapshots of run ${run} are not complete`, {
      remedy: 'see the warnings above; nothing was changed. Who can do without the rest leaves the guard out with --no-guard',
    });
  }
  return { run, snapshots: result.snapshots.map(({ volume, id }) => ({ volume, id })) };
}

/** A volume without a directory, read through the Engine. */
export const streamedVolume = (name: string, engineVolume: string, { through, read }: StreamTarget): GuardedVolume => ({
  name,
  directory: engineVolume,
  stream: { through, read, mountedInside: [] },
});

const wholeVolume = (volume: GuardedVolume): VolumeToBackUp => ({
  ...volume,
  allowEmpty: true,
  excludes: { patterns: [], insensitivePatterns: [], ignorePatterns: [] },
  excludeIfPresent: [],
  excludeCaches: false,
  oneFileSystem: false,
  withAtime: false,
  changes: { force: false, ignoreCtime: false, ignoreInode: false },
});
