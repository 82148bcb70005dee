import type { NodeType } from '../model/node.ts';

/**
 * Between stat's `st_mode` and Go's `os.FileMode`, the number in which trees keep modes.
 * Source: Go, src/io/fs/fs.go and src/os/stat_linux.go.
 */

const statTypeMask = 0o170000;
const statFifo = 0o010000;
const statCharDevice = 0o020000;
const statDir = 0o040000;
const statBlockDevice = 0o060000;
const statFile = 0o100000;
const statSymlink = 0o120000;
const statSocket = 0o140000;
const statSetuid = 0o4000;
const statSetgid = 0o2000;
const statSticky = 0o1000;

const goDir = 2 ** 31;
const goSymlink = 2 ** 27;
const goDevice = 2 ** 26;
const goFifo = 2 ** 25;
const goSocket = 2 ** 24;
const goSetuid = 2 ** 23;
const goSetgid = 2 ** 22;
const goCharDevice = 2 ** 21;
const goSticky = 2 ** 20;
const goIrregular = 2 ** 19;

function goTypeBits(statMode: number): number {
  switch (statMode & statTypeMask) {
    case statFile:
      return 0;
    case statDir:
      return goDir;
    case statSymlink:
      return goSymlink;
    case statBlockDevice:
      return goDevice;
    case statCharDevice:
      return goDevice + goCharDevice;
    case statFifo:
      return goFifo;
    case statSocket:
      return goSocket;
    default:
      return goIrregular;
  }
}

/** The mode that a tree holds for a file with this `st_mode`. */
export function goModeFromStat(statMode: number): number {
  return (
    goTypeBits(statMode) +
    (statMode & 0o777) +
    (statMode & statSetuid ? goSetuid : 0) +
    (statMode & statSetgid ? goSetgid : 0) +
    (statMode & statSticky ? goSticky : 0)
  );
}

function statTypeBits(goMode: number): number {
  // Go's directory bit is the sign bit of JavaScript's 32-bit operators: it is tested by truth, never by comparing.
  if (goMode & goDir) return statDir;
  if (goMode & goSymlink) return statSymlink;
  if (goMode & goDevice) return goMode & goCharDevice ? statCharDevice : statBlockDevice;
  if (goMode & goFifo) return statFifo;
  if (goMode & goSocket) return statSocket;
  return goMode & goIrregular ? 0 : statFile;
}

/** `st_mode` (type, setuid, setgid, sticky and permission bits) of a tree's mode; type bits 0 for an irregular file. */
export function statModeFromGo(goMode: number): number {
  return (
    statTypeBits(goMode) |
    (goMode & 0o777) |
    (goMode & goSetuid ? statSetuid : 0) |
    (goMode & goSetgid ? statSetgid : 0) |
    (goMode & goSticky ? statSticky : 0)
  );
}

/** The type of node that a tree holds for a file with this `st_mode`. */
export function nodeTypeFromStatMode(statMode: number): NodeType {
  switch (statMode & statTypeMask) {
    case statFile:
      return 'file';
    case statDir:
      return 'dir';
    case statSymlink:
      return 'symlink';
    case statBlockDevice:
      return 'dev';
    case statCharDevice:
      return 'chardev';
    case statFifo:
      return 'fifo';
    case statSocket:
      return 'socket';
    default:
      return 'irregular';
  }
}
