/** Snapshots of the same thing, to which retention is applied. Pure. */
import { parseTime } from '../../format/time.ts';
import { identityFromTags, type StoredSnapshot } from '../../model/snapshot.ts';

export type SnapshotGroup = {
  /** Of snapshots that Holdfast took, whatever host took them and wherever the volume was mounted. */
  project?: string;
  volume?: string;
  /** For people: `shop/uploads`, or of other tools' snapshots host, paths and tags, as far as they are grouped by. */
  label: string;
  /** Newest first; at the same instant the one with the larger id. */
  snapshots: StoredSnapshot[];
};

/** By what snapshots of other tools are grouped: restic's `--group-by`. */
export type ResticGrouping = { host: boolean; paths: boolean; tags: boolean };

const defaultGrouping: ResticGrouping = { host: true, paths: true, tags: false };

/**
 * Groups by project and volume; what Holdfast did not take, as restic does (by host and paths, when nothing else is asked for). In the
 * order of the labels.
 */
export function groupSnapshots(snapshots: readonly StoredSnapshot[], grouping: ResticGrouping = defaultGrouping): SnapshotGroup[] {
  const groups = new Map<string, SnapshotGroup>();
  for (const snapshot of snapshots) {
    const identity = identityFromTags(snapshot.tags);
    const { key, ...about } = identity === undefined ? resticGroup(snapshot, grouping) : volumeGroup(identity.project, identity.volume);
    const group = groups.get(key) ?? { ...about, snapshots: [] };
    groups.set(key, group);
    group.snapshots.push(snapshot);
  }
  for (const group of groups.values()) group.snapshots = newestFirst(group.snapshots);
  return [...groups.values()].sort((a, b) => (a.label < b.label ? -1 : 1));
}

const volumeGroup = (project: string, volume: string) => ({
  key: JSON.stringify([project, volume]),
  project,
  volume,
  label: `${project}/${volume}`,
});

function resticGroup(snapshot: StoredSnapshot, by: ResticGrouping): { key: string; label: string } {
  const host = by.host ? snapshot.hostname : '';
  const paths = by.paths ? snapshot.paths.toSorted() : [];
  const tags = by.tags ? snapshot.tags.toSorted() : [];
  const parts = [host, paths.join(' '), tags.join(',')].filter((part) => part !== '');
  return { key: JSON.stringify({ host, paths, tags }), label: parts.join(' ') || 'all snapshots' };
}

function newestFirst(snapshots: readonly StoredSnapshot[]): StoredSnapshot[] {
  return snapshots
    .map((snapshot) => ({ snapshot, ...parseTime(snapshot.time) }))
    .sort((a, b) => b.sec - a.sec || b.nsec - a.nsec || (a.snapshot.id > b.snapshot.id ? -1 : 1))
    .map(({ snapshot }) => snapshot);
}
