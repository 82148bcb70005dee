/** The directory that is restored to. */
import { mkdirSync } from 'node:fs';
import { HoldfastError } from '../../model/errors.ts';
import { bytesFromRaw, displayRaw, type RawString, rawFromBytes, rawFromText } from '../../model/raw-bytes.ts';
import { EDQUOT, ENOENT, ENOSPC, errnoName, S_ISGID } from '../source/posix-constants.ts';
import { close, openDirectoryRoot } from '../source/posix-open.ts';
import { Stat, statAt, statFd } from '../source/posix-stat.ts';
import type { Directory } from './directories.ts';
import { restoreMarkerName } from './marker.ts';

/** Nobody else may look into a target that this restore makes, unless the snapshot says so. */
const newTargetMode = 0o700;

export type Target = {
  /** -1 in a dry run when it isn't there. */
  fd: number;
  /** Made by this restore. */
  fresh: boolean;
  device: number;
};

export const targetError = (path: RawString, reason: string, volume: string): HoldfastError =>
  new HoldfastError('target-unwritable', `cannot restore to ${displayRaw(path)}: ${reason}`, { volume, file: displayRaw(path) });

/** @throws `target-unwritable` */
export function openTarget(target: string | Buffer, volume: string, mayMake: boolean): Target {
  const path = rawTarget(target);
  let fd = openDirectoryRoot(path);
  let fresh = false;
  if (fd === -ENOENT) {
    fresh = true;
    if (!mayMake) return { fd: -1, fresh, device: 0 };
    try {
      mkdirSync(bytesFromRaw(path), { recursive: true, mode: newTargetMode });
    } catch (error) {
      throw targetError(path, (error as NodeJS.ErrnoException).code ?? String(error), volume);
    }
    fd = openDirectoryRoot(path);
  }
  if (fd < 0) throw targetError(path, errnoName(fd), volume);
  const stat = new Stat();
  const known = statFd(fd, stat);
  if (known < 0) {
    close(fd);
    throw targetError(path, errnoName(known), volume);
  }
  return { fd, fresh, device: stat.device };
}

export const rawTarget = (target: string | Buffer): RawString => (typeof target === 'string' ? rawFromText(target) : rawFromBytes(target));

/** @throws `target-full`, `target-unwritable` for what kept the marker from being written. */
export function throwMarkerRefused(result: number, target: string | Buffer, volume: string): never {
  const number = Math.abs(result);
  const path = rawTarget(target);
  if (number === ENOSPC || number === EDQUOT) {
    throw new HoldfastError('target-full', `no room to restore to ${displayRaw(path)} (${errnoName(number)})`, {
      volume,
      file: displayRaw(path),
    });
  }
  throw targetError(path, errnoName(number), volume);
}

/** Whether the marker, which was just written, got its directory's group although that directory doesn't hand it down. */
export function groupIsInherited(root: Pick<Directory, 'fd'>): boolean {
  const directory = new Stat();
  const marker = new Stat();
  if (statFd(root.fd, directory) < 0 || statAt(root.fd, restoreMarkerName, marker) < 0) return false;
  return marker.gid !== (process.getegid?.() ?? 0) && (directory.mode & S_ISGID) === 0;
}
