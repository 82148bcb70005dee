/** What is there already, and whether it may be replaced. */
import { parseTime } from '../../format/time.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { unlinkAt } from '../source/posix-change.ts';
import { EBUSY, EEXIST, ENOENT, ENOTEMPTY, S_IFDIR, S_IFMT } from '../source/posix-constants.ts';
import { Stat, statAt } from '../source/posix-stat.ts';
import { type PassContext, pathIn, refused } from './context.ts';
import type { Directory } from './directories.ts';
import { removeEntry } from './remove.ts';

/** What is at a name; undefined when nothing is. In a dry run directories that would be made are not open. */
export function lookAt(context: PassContext, directory: Directory, name: RawString): Stat | undefined {
  const fd = context.directories.fdOf(directory);
  if (fd < 0) return undefined;
  const stat = new Stat();
  const result = statAt(fd, name, stat);
  if (result < 0 && result !== -ENOENT) refused(context, result, pathIn(directory, name), 'look at it');
  return result === 0 ? stat : undefined;
}

/** Whether the chosen policy lets a restore touch what is there. */
export function mayReplace({ options: { overwrite } }: PassContext, node: TreeNode, stat: Stat): boolean {
  if (overwrite === 'never') return false;
  if (overwrite !== 'if-newer') return true;
  const { sec, nsec } = parseTime(node.mtime);
  return sec > stat.mtimeSec || (sec === stat.mtimeSec && nsec > stat.mtimeNsec);
}

export function skip({ tally, options }: PassContext, path: RawString): void {
  tally.counts.filesSkipped++;
  if (options.verify) tally.settledPaths.add(path);
}

/** Removes what is in the way of something of another type. @returns whether the name is free now; if not, it has been reported. */
export function clearTheWay(context: PassContext, directory: Directory, name: RawString, stat: Stat): boolean {
  const { mode, options, tally } = context;
  if (mode !== 'write') return true;
  const path = pathIn(directory, name);
  const fd = context.directories.fdOf(directory);
  const isDirectory = (stat.mode & S_IFMT) === S_IFDIR;
  if (isDirectory && options.delete) {
    const { removed, failures } = removeEntry(fd, name, path, directory.device, true);
    tally.counts.entriesDeleted += removed;
    for (const failure of failures) tally.problem(failure.path, 'unwritable', failure.message);
    return failures.length === 0;
  }
  const result = unlinkAt(fd, name, isDirectory);
  if (result === 0) return true;
  if (result === -ENOTEMPTY || result === -EEXIST) {
    tally.problem(path, 'unwritable', 'a directory that is not empty is in its place; it is removed only with --delete');
  } else if (result === -EBUSY) tally.problem(path, 'unwritable', 'something is mounted in its place');
  else refused(context, result, path, 'remove what is in its place');
  return false;
}
