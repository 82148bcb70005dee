/** Restore points: the snapshots of a project's volumes that were taken as one cut, and the choice among them. Pure. */
import { HoldfastError } from '../model/errors.ts';
import { identityFromTags, isRepaired, type SnapshotIdentity, type StoredSnapshot } from '../model/snapshot.ts';
import { snapshotTimeMs } from '../repository/snapshots.ts';

export type RestorePoint = {
  run: string;
  project: string;
  /** When the last of its snapshots was taken, in milliseconds since 1970. */
  timeMs: number;
  /** By volume. */
  snapshots: Map<string, StoredSnapshot>;
};

export type OwnSnapshot = { snapshot: StoredSnapshot; identity: SnapshotIdentity };

/** The snapshots of a project that Holdfast took, oldest first. */
export function snapshotsOfProject(snapshots: readonly StoredSnapshot[], project: string): OwnSnapshot[] {
  return snapshots.flatMap((snapshot) => {
    const identity = identityFromTags(snapshot.tags);
    return identity?.project === project ? [{ snapshot, identity }] : [];
  });
}

/**
 * Leaves out repaired snapshots whose damaged originals are there. Both are the same cut; but restoring the original brings every intact
 * file back and names each damaged one, where the repaired one silently has shortened files.
 */
export function withoutReplacements(snapshots: readonly StoredSnapshot[]): StoredSnapshot[] {
  const ids = new Set<string>(snapshots.map(({ id }) => id));
  const cuts = new Set(snapshots.filter((snapshot) => !isRepaired(snapshot)).map(cutOf));
  return snapshots.filter((snapshot) => {
    const originalIsThere = ids.has(snapshot.original ?? '') || cuts.has(cutOf(snapshot));
    return !(isRepaired(snapshot) && originalIsThere);
  });
}

/** The same for all snapshots of one volume at one instant: changing tags changes ids, so that `original` alone doesn't tell. */
function cutOf({ tags, time, hostname, paths }: StoredSnapshot): string {
  const identity = identityFromTags(tags);
  return JSON.stringify(identity ? [identity.project, identity.volume, identity.run] : [time, hostname, paths]);
}

/** Restore points of a project, oldest first. Of a damaged snapshot and its repaired one, the damaged one is in them. */
export function restorePoints(snapshots: readonly StoredSnapshot[], project: string): RestorePoint[] {
  const points = new Map<string, RestorePoint>();
  for (const { snapshot, identity } of snapshotsOfProject(withoutReplacements(snapshots), project)) {
    const point = points.get(identity.run) ?? { run: identity.run, project, timeMs: 0, snapshots: new Map() };
    points.set(identity.run, point);
    point.timeMs = Math.max(point.timeMs, snapshotTimeMs(snapshot));
    point.snapshots.set(identity.volume, snapshot);
  }
  return [...points.values()].sort((a, b) => a.timeMs - b.timeMs);
}

export type Choice = {
  volume: string;
  snapshot: StoredSnapshot;
  /** The volume was not in the restore point that was chosen: this is its newest snapshot before. */
  fromEarlierPoint: boolean;
};

/**
 * The snapshots to restore volumes from: those of the newest restore point at or before a time. A volume that was not in it (it
 * failed then, or was added since) is taken from the newest restore point before that has it.
 * @throws `snapshot-missing` naming the volumes that no restore point has.
 */
export function chooseAt(points: readonly RestorePoint[], volumes: readonly string[], atMs: number): Choice[] {
  const candidates = points.filter((point) => point.timeMs <= atMs && volumes.some((volume) => point.snapshots.has(volume))).reverse();
  const choices: Choice[] = [];
  const missing: string[] = [];
  for (const volume of volumes) {
    const place = candidates.findIndex((point) => point.snapshots.has(volume));
    const snapshot = candidates[place]?.snapshots.get(volume);
    if (snapshot === undefined) missing.push(volume);
    else choices.push({ volume, snapshot, fromEarlierPoint: place > 0 });
  }
  if (missing.length > 0) {
    const when = Number.isFinite(atMs) ? ` at or before ${new Date(atMs).toISOString()}` : '';
    throw new HoldfastError('snapshot-missing', `there is no snapshot${when} of ${missing.join(', ')}`);
  }
  return choices;
}
