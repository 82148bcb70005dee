/** What `--at TIME|SNAPSHOT|latest` means, for a project and for any repository. */
import type { Configuration } from '../control/configuration/configuration.ts';
import { findPointInTime, timeExamples } from '../control/point-in-time.ts';
import { type Choice, chooseAt, restorePoints, withoutReplacements } from '../control/restore-points.ts';
import { HoldfastError } from '../model/errors.ts';
import { identityFromTags, type StoredSnapshot } from '../model/snapshot.ts';
import { findById } from '../repository/snapshots.ts';

export type SnapshotRequest = {
  snapshots: readonly StoredSnapshot[];
  configuration: Configuration | undefined;
  /** Names of volumes; empty for all. */
  volumes: readonly string[];
  /** Default `latest`. */
  at: string | undefined;
  now: Date;
};

const idPattern = /^[0-9a-f]{4,64}$/;

/**
 * A damaged snapshot goes before the repaired one that was made of it, which its id alone means.
 * @returns one choice a volume. Without a project, a snapshot of another tool is a volume of its own, named by its last path.
 * @throws `snapshot-missing`, also for what is no time and names nothing; `snapshot-ambiguous`; `usage` for the id
 * of another volume, and for the future.
 */
export function chooseSnapshots(request: SnapshotRequest): Choice[] {
  const { snapshots, configuration, volumes, at = 'latest', now } = request;
  if (idPattern.test(at) && snapshots.some(({ id }) => id.startsWith(at))) return [chooseOne(findById(snapshots, at), volumes)];
  const atMs = at === 'latest' ? Number.POSITIVE_INFINITY : timeOrRun(at, request, now);
  if (configuration !== undefined) {
    const wanted = volumes.length > 0 ? volumes : configuration.volumes.map(({ name }) => name);
    return chooseAt(restorePoints(snapshots, configuration.project), wanted, atMs);
  }
  return chooseWithoutProject(snapshots, volumes, atMs);
}

/** A time, or the name of a run. */
function timeOrRun(at: string, { snapshots }: SnapshotRequest, now: Date): number {
  for (const snapshot of snapshots) {
    const identity = identityFromTags(snapshot.tags);
    if (identity?.run === at) return restorePoints(snapshots, identity.project).find(({ run }) => run === at)?.timeMs as number;
  }
  if (idPattern.test(at) && !/^\d{4}$/.test(at))
    throw new HoldfastError('snapshot-missing', `no snapshot has an id that begins with "${at}"`);
  const instant = findPointInTime(at, now);
  if (instant !== undefined) return instant.getTime();
  // An id, a run or a volume was meant at least as probably.
  throw new HoldfastError('snapshot-missing', `there is no snapshot, volume, run or time ${JSON.stringify(at)}`, {
    remedy: `run \`holdfast snapshots\` for what there is; times are written as ${timeExamples}`,
  });
}

function chooseOne(snapshot: StoredSnapshot, volumes: readonly string[]): Choice {
  const volume = volumeNameOf(snapshot);
  if (volumes.length > 0 && (volumes.length > 1 || volumes[0] !== volume)) {
    throw new HoldfastError('usage', `snapshot ${snapshot.id.slice(0, 8)} is of volume ${volume}, not of ${volumes.join(', ')}`, {
      remedy: 'name the volume that the snapshot is of, or a time',
    });
  }
  return { volume, snapshot, fromEarlierPoint: false };
}

/** The volume of a snapshot; for one that Holdfast did not take, the last part of its path. */
export function volumeNameOf(snapshot: StoredSnapshot): string {
  return identityFromTags(snapshot.tags)?.volume ?? snapshot.paths[0]?.split('/').filter(Boolean).at(-1) ?? 'snapshot';
}

/** Any repository: the newest snapshot at or before the time of each project's volume, or of each path. */
function chooseWithoutProject(snapshots: readonly StoredSnapshot[], volumes: readonly string[], atMs: number): Choice[] {
  const newest = new Map<string, Choice>();
  for (const snapshot of withoutReplacements(snapshots)) {
    if (Date.parse(snapshot.time) > atMs) continue;
    const volume = volumeNameOf(snapshot);
    if (volumes.length > 0 && !volumes.includes(volume)) continue;
    newest.set(`${identityFromTags(snapshot.tags)?.project ?? ''}\n${volume}`, { volume, snapshot, fromEarlierPoint: false });
  }
  const choices = [...newest.values()];
  const names = new Set(choices.map(({ volume }) => volume));
  const missing = volumes.filter((volume) => !names.has(volume));
  if (choices.length === 0 || missing.length > 0)
    throw new HoldfastError('snapshot-missing', `there is no such snapshot${missing.length > 0 ? ` of ${missing.join(', ')}` : ''}`);
  if (names.size < choices.length) {
    throw new HoldfastError('snapshot-ambiguous', 'the repository holds volumes of the same name of several projects', {
      remedy: 'name a snapshot by its id, or run in the folder of the project',
    });
  }
  return choices;
}
