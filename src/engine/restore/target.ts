/** The directory that is restored to. */
import { mkdirSync } from 'node:fs';
import { HoldfastError } from '../../model/errors.ts';
import { bytesFromRaw, displayRaw, type RawString, rawFromBytes, rawFromText } from '../../model/raw-bytes.ts';
import { mkdirAt } from '../source/posix-change.ts';
import { EDQUOT, EEXIST, ELOOP, ENOENT, ENOSPC, ENOTDIR, errnoName, O_DIRECTORY, O_RDONLY, S_ISGID } from '../source/posix-constants.ts';
import { close, openBeneath, openDirectoryRoot } from '../source/posix-open.ts';
import { Stat, statAt, statFd } from '../source/posix-stat.ts';
import type { Directory } from './directories.ts';
import { restoreMarkerName } from './marker.ts';
import type { RestoreOptions } from './options.ts';

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

/** What kept a directory beneath a target from being opened. */
export const wayError = (path: RawString, result: number, volume: string): HoldfastError => {
  const inTheWay = result === -ELOOP || result === -ENOTDIR;
  return targetError(path, inTheWay ? 'a symlink, or something else that is no directory, is in the way' : errnoName(result), volume);
};

type Place = Pick<RestoreOptions, 'target' | 'beneath' | 'volume'>;

/** Opens the directory that is restored to, and makes it unless it is a dry run. @throws `target-unwritable` */
export function openTarget(place: Place, mayMake: boolean): Target {
  const path = pathOfTarget(place);
  const beneath = place.beneath ?? ('' as RawString);
  const opened = beneath === '' ? openRoot(path, place.volume, mayMake) : openInside(rawTarget(place.target), beneath, mayMake);
  const { fd, fresh } = opened;
  if (fresh && !mayMake) return { fd: -1, fresh, device: 0 };
  if (fd < 0) throw wayError(path, fd, place.volume);
  const stat = new Stat();
  const known = statFd(fd, stat);
  if (known < 0) {
    close(fd);
    throw targetError(path, errnoName(known), place.volume);
  }
  return { fd, fresh, device: stat.device };
}

type Opened = { fd: number; fresh: boolean };

function openRoot(path: RawString, volume: string, mayMake: boolean): Opened {
  const fd = openDirectoryRoot(path);
  if (fd !== -ENOENT || !mayMake) return { fd, fresh: fd === -ENOENT };
  try {
    mkdirSync(bytesFromRaw(path), { recursive: true, mode: newTargetMode });
  } catch (error) {
    throw targetError(path, (error as NodeJS.ErrnoException).code ?? String(error), volume);
  }
  return { fd: openDirectoryRoot(path), fresh: true };
}

/** Every step from the root is taken by descriptor, so that no symlink that appears meanwhile counts. */
function openInside(target: RawString, beneath: RawString, mayMake: boolean): Opened {
  const root = openDirectoryRoot(target);
  if (root < 0) return { fd: root, fresh: root === -ENOENT };
  try {
    const fd = openBeneath(root, beneath, O_RDONLY | O_DIRECTORY);
    if (fd !== -ENOENT || !mayMake) return { fd, fresh: fd === -ENOENT };
    const made = makeInside(root, beneath);
    if (made < 0 && made !== -EEXIST) return { fd: made, fresh: false };
    return { fd: openBeneath(root, beneath, O_RDONLY | O_DIRECTORY), fresh: made === 0 };
  } finally {
    close(root);
  }
}

/** @returns 0 or a negative errno. */
function makeInside(root: number, beneath: RawString): number {
  const cut = beneath.lastIndexOf('/');
  const above = openBeneath(root, beneath.slice(0, Math.max(cut, 0)) as RawString, O_RDONLY | O_DIRECTORY);
  if (above < 0) return above;
  const made = mkdirAt(above, beneath.slice(cut + 1) as RawString, newTargetMode);
  close(above);
  return made;
}

const rawTarget = (target: string | Buffer): RawString => (typeof target === 'string' ? rawFromText(target) : rawFromBytes(target));

/** The directory that is restored to, for messages. */
export function pathOfTarget({ target, beneath = '' as RawString }: Pick<Place, 'target' | 'beneath'>): RawString {
  return (beneath === '' ? rawTarget(target) : `${rawTarget(target)}/${beneath}`) as RawString;
}

/** @throws `target-full`, `target-unwritable` for what kept the marker from being written. */
export function throwMarkerRefused(result: number, place: Place): never {
  const number = Math.abs(result);
  const path = pathOfTarget(place);
  const { volume } = place;
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
