/** The root of a volume: there, readable, and not half-restored, before anything is read. */
import { HoldfastError } from '../../model/errors.ts';
import type { TreeNode } from '../../model/node.ts';
import { type RawString, rawFromText } from '../../model/raw-bytes.ts';
import { restoreMarkerName } from '../restore/marker.ts';
import { EACCES, EPERM, errnoName } from '../source/posix-constants.ts';
import { listDirectory } from '../source/posix-list.ts';
import { close, openDirectoryRoot } from '../source/posix-open.ts';
import { Stat, statAt, statFd } from '../source/posix-stat.ts';
import { listXattrsFd } from '../source/posix-xattr.ts';
import { completeAttributes } from './node-attributes.ts';
import { nodeFromStat } from './nodes.ts';

export type Root = {
  /** Metadata of the root itself, named as the volume. */
  node: TreeNode;
  empty: boolean;
  /** Its attributes that could not be read, a warning each. */
  warnings: string[];
};

/** @throws `volume-missing`, `volume-unreadable`, `restore-unfinished`. */
export function inspectRoot(volume: string, directory: string, withAtime: boolean): Root {
  const fd = openDirectoryRoot(rawFromText(directory));
  if (fd < 0) {
    const code = -fd === EACCES || -fd === EPERM ? 'volume-unreadable' : 'volume-missing';
    throw new HoldfastError(code, `volume ${volume}: cannot open ${directory}: ${errnoName(-fd)}`, { volume, file: directory });
  }
  try {
    const stat = new Stat();
    if (statAt(fd, restoreMarkerName as RawString, stat) === 0) {
      throw new HoldfastError('restore-unfinished', `volume ${volume} holds an unfinished restore (${restoreMarkerName})`, { volume });
    }
    const listing = listDirectory(fd);
    const errno = typeof listing === 'number' ? listing : statFd(fd, stat);
    if (errno < 0 || typeof listing === 'number') {
      throw new HoldfastError('volume-unreadable', `volume ${volume}: cannot list ${directory}: ${errnoName(-errno)}`, { volume });
    }
    const node = nodeFromStat(rawFromText(volume), stat, withAtime);
    const warnings: string[] = [];
    completeAttributes(
      node,
      (unreadable) => listXattrsFd(fd, unreadable),
      (warning) => warnings.push(warning),
    );
    return { node, empty: listing.names.every((name) => name === 'lost+found'), warnings };
  } finally {
    close(fd);
  }
}
