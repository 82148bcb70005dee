/** Which snapshots a copy leaves out because the destination has them: restic's rule (restic, cmd/restic/cmd_copy.go). */
import { parseTime } from '../../format/time.ts';
import type { Snapshot, StoredSnapshot } from '../../model/snapshot.ts';

const sameList = (a: readonly string[], b: readonly string[]) => a.length === b.length && a.every((text, i) => text === b[i]);

/** Zones may differ. */
function sameTime(a: string, b: string): boolean {
  const [one, other] = [parseTime(a), parseTime(b)];
  return one.sec === other.sec && one.nsec === other.nsec;
}

/** Whether one is a copy of the other: all that makes a snapshot is the same but for `parent` and `original`. */
function isCopyOf(a: Snapshot, b: Snapshot): boolean {
  return (
    sameTime(a.time, b.time) &&
    a.tree === b.tree &&
    a.hostname === b.hostname &&
    a.username === b.username &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    sameList(a.paths, b.paths) &&
    sameList(a.excludes, b.excludes) &&
    sameList(a.tags, b.tags)
  );
}

/**
 * Tells for a snapshot of the source which one of the destination is its copy. A copy descends from the same snapshot (by `original`, or by
 * its id) and says the same; one whose tags were changed on either side is another snapshot.
 */
export function createCopyFinder(destination: readonly StoredSnapshot[]): (snapshot: StoredSnapshot) => StoredSnapshot | undefined {
  const byOrigin = new Map<string, StoredSnapshot[]>();
  const add = (origin: string, snapshot: StoredSnapshot) => {
    const known = byOrigin.get(origin);
    if (known === undefined) byOrigin.set(origin, [snapshot]);
    else known.push(snapshot);
  };
  for (const snapshot of destination) {
    add(snapshot.id, snapshot);
    if (snapshot.original !== undefined) add(snapshot.original, snapshot);
  }
  return (snapshot) => byOrigin.get(snapshot.original ?? snapshot.id)?.find((candidate) => isCopyOf(candidate, snapshot));
}

/** What is stored for a snapshot of another repository: its parent is not there, and where it came from is remembered. */
export function copyOf({ id, ...snapshot }: StoredSnapshot): Snapshot {
  return { ...snapshot, parent: undefined, original: snapshot.original ?? id };
}
