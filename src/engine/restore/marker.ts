/** The mark of a restore that has begun and not ended: a small file at the root of its target. */
import type { SnapshotId } from '../../model/ids.ts';
import { displayRaw, type RawString } from '../../model/raw-bytes.ts';
import { renameAt, unlinkAt } from '../source/posix-change.ts';
import { ENOENT, O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } from '../source/posix-constants.ts';
import { pread, pwrite, sync } from '../source/posix-io.ts';
import { close, openAt } from '../source/posix-open.ts';

/** A volume that holds a file of this name is half-written: backups refuse it. Never restored from a snapshot, never deleted by `delete`. */
export const restoreMarkerName = '.holdfast-restore.json' as RawString & '.holdfast-restore.json';

/** Files that are written before they get their name are called this and a number; a killed restore may leave them. */
export const temporaryPrefix = '.holdfast-restore-';
const temporaryPattern = /^\.holdfast-restore-[0-9a-f]{12}-\d+$/;
export const isTemporaryName = (name: RawString): boolean => temporaryPattern.test(name);

export type RestoreMarker = { snapshot: SnapshotId; volume: string; subtree: string; startedAt: string };

const longestMarkerBytes = 64 * 1024;

/** The marker in an open directory; undefined when there is none, 'unreadable' when it doesn't make sense (as after a crash while it was written). */
export function readMarker(rootFd: number): RestoreMarker | 'unreadable' | undefined {
  const fd = openAt(rootFd, restoreMarkerName, O_RDONLY);
  if (fd < 0) return fd === -ENOENT ? undefined : 'unreadable';
  const bytes = Buffer.alloc(longestMarkerBytes);
  const length = pread(fd, bytes, 0, bytes.length, 0);
  close(fd);
  try {
    return JSON.parse(bytes.toString('utf8', 0, Math.max(0, length))) as RestoreMarker;
  } catch {
    return 'unreadable';
  }
}

/** Writes the marker durably, before anything else is touched. Returns 0 or a negative errno. */
export function writeMarker(rootFd: number, marker: RestoreMarker): number {
  const temporary = `${temporaryPrefix}000000000000-0` as RawString;
  unlinkAt(rootFd, temporary, false);
  const fd = openAt(rootFd, temporary, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  if (fd < 0) return fd;
  const bytes = Buffer.from(`${JSON.stringify(marker)}\n`);
  let result = Math.min(0, pwrite(fd, bytes, 0, bytes.length, 0)) || sync(fd);
  close(fd);
  if (result === 0) result = renameAt(rootFd, temporary, rootFd, restoreMarkerName);
  if (result < 0) unlinkAt(rootFd, temporary, false);
  else sync(rootFd);
  return result;
}

/** Returns 0 or a negative errno. */
export function removeMarker(rootFd: number): number {
  return unlinkAt(rootFd, restoreMarkerName, false);
}

export const markerOf = (snapshot: SnapshotId, volume: string, subtree: RawString, now: Date): RestoreMarker => ({
  snapshot,
  volume,
  subtree: displayRaw(subtree),
  startedAt: now.toISOString(),
});
