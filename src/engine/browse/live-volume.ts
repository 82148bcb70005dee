/** A volume as it is now, seen as a backup would see it: with its excludes, without what a backup leaves out. */
import { createChunker } from '../../format/kernel/chunker.ts';
import { sha256Hex } from '../../format/kernel/sha256.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { type RawString, rawFromText } from '../../model/raw-bytes.ts';
import { nodeFromStat } from '../backup/nodes.ts';
import { createFileReader, type FileContent } from '../backup/read-file.ts';
import { restoreMarkerName } from '../restore/marker.ts';
import { compileExcludes, type ExcludeOptions, isCacheDirTag } from '../source/excludes.ts';
import { EACCES, EPERM, errnoName, O_DIRECTORY, O_RDONLY } from '../source/posix-constants.ts';
import { pread } from '../source/posix-io.ts';
import { listDirectory, readLinkAt } from '../source/posix-list.ts';
import { close, openBeneath, openDirectoryRoot, openForReading } from '../source/posix-open.ts';
import { Stat, statAt, statFd } from '../source/posix-stat.ts';
import { listXattrsAt } from '../source/posix-xattr.ts';
import { joinPath } from './walk-tree.ts';

export type LiveVolumeOptions = {
  volume: string;
  /** Absolute path of the volume's root. */
  directory: string;
  excludes: ExcludeOptions;
  excludeIfPresent: readonly string[];
  excludeCaches: boolean;
  oneFileSystem: boolean;
};

/** Both return a negative errno for what cannot be read. */
export type LiveVolume = {
  /** What is in a directory, ascending by name; link targets and attributes too, but no content. */
  list(path: RawString): TreeNode[] | number;
  /** The ids that the repository's chunker gives to a file's content. */
  contentOf(directory: RawString, name: RawString, signal: AbortSignal): Promise<BlobId[] | number>;
  /** The device of the root: what is on another is a mount point, left out with `oneFileSystem`. */
  isMountPoint(node: TreeNode): boolean;
  close(): void;
};

/** @throws `volume-missing`, `volume-unreadable`. */
export function openLiveVolume(options: LiveVolumeOptions, chunkerPolynomial: bigint): LiveVolume {
  const { volume, directory, oneFileSystem } = options;
  const root = openDirectoryRoot(rawFromText(directory));
  const stat = new Stat();
  const errno = root < 0 ? root : statFd(root, stat);
  if (errno < 0) {
    const code = -errno === EACCES || -errno === EPERM ? 'volume-unreadable' : 'volume-missing';
    throw new HoldfastError(code, `volume ${volume}: cannot open ${directory}: ${errnoName(-errno)}`, { volume, file: directory });
  }
  const { device } = stat;
  const isWanted = wantedBy(options);
  const readContent = contentReader(chunkerPolynomial);

  const openDirectory = (path: RawString) => openBeneath(root, path, O_RDONLY | O_DIRECTORY);

  /** Undefined for what a backup leaves out, or is gone. */
  function look(fd: number, path: RawString, name: RawString): TreeNode | undefined {
    if (statAt(fd, name, stat) < 0) return undefined;
    const node = nodeFromStat(name, stat, false);
    if (node.type === 'socket' || node.type === 'irregular' || !isWanted.entry(joinPath(path, name), node)) return undefined;
    const target = node.type === 'symlink' ? readLinkAt(fd, name) : undefined;
    if (typeof target === 'string') node.linkTarget = target;
    const attributes = listXattrsAt(fd, name);
    if (typeof attributes !== 'number') node.extendedAttributes = attributes;
    return node;
  }

  return {
    list(path) {
      const fd = openDirectory(path);
      if (fd < 0) return fd;
      try {
        const listing = listDirectory(fd);
        if (typeof listing === 'number') return listing;
        const nodes = isWanted.names(fd, path, listing.names.sort()).map((name) => look(fd, path, name));
        return nodes.filter((node) => node !== undefined);
      } finally {
        close(fd);
      }
    },
    async contentOf(path, name, signal) {
      const parent = openDirectory(path);
      if (parent < 0) return parent;
      const fd = openForReading(parent, name);
      close(parent);
      if (fd < 0) return fd;
      try {
        const content = await readContent(fd, signal);
        return typeof content === 'number' ? content : content.content;
      } finally {
        close(fd);
      }
    },
    isMountPoint: (node) => oneFileSystem && node.deviceId !== device,
    close: () => void close(root),
  };
}

const cacheDirTagName = 'CACHEDIR.TAG' as RawString;
const lostAndFound = 'lost+found' as RawString;

/** What a backup takes, by what a directory holds and by patterns. */
function wantedBy({ excludes, excludeIfPresent, excludeCaches }: LiveVolumeOptions) {
  const compiled = compileExcludes(excludes);
  const tagNames: ReadonlySet<RawString> = new Set(excludeIfPresent.map(rawFromText));
  return {
    names(fd: number, path: RawString, names: RawString[]): RawString[] {
      const tags = names.filter((name) => tagNames.has(name) || (excludeCaches && name === cacheDirTagName && hasCacheDirTag(fd)));
      if (tags.length > 0) return tags;
      return names.filter((name) => name !== restoreMarkerName && !(path === '' && name === lostAndFound));
    },
    entry: (path: RawString, { name, type }: TreeNode): boolean => !compiled.excludes(path, name, type === 'dir'),
  };
}

function hasCacheDirTag(fd: number): boolean {
  const tag = openForReading(fd, cacheDirTagName);
  if (tag < 0) return false;
  const head = Buffer.alloc(64);
  const length = pread(tag, head, 0, head.length, 0);
  close(tag);
  return length > 0 && isCacheDirTag(head.subarray(0, length));
}

/** Reads and cuts as a backup does, and stores nothing. */
function contentReader(chunkerPolynomial: bigint) {
  let stop: AbortSignal | undefined;
  let chunks = 0;
  const sink = {
    save: (_kind: unknown, plain: Uint8Array) => {
      chunks++;
      return sha256Hex(plain) as BlobId;
    },
    // So that interruptions are heard while a long file is read.
    get full() {
      return chunks % chunksInARow === 0;
    },
    settle: () => new Promise<void>((resolve) => setImmediate(resolve)),
  };
  let reader: ReturnType<typeof createFileReader> | undefined;
  const stat = new Stat();
  return async (fd: number, signal: AbortSignal): Promise<FileContent | number> => {
    stop = signal;
    reader ??= createFileReader({
      chunker: createChunker(chunkerPolynomial),
      sink,
      onBytes: () => undefined,
      stopped: () => stop?.aborted ?? false,
    });
    const errno = statFd(fd, stat);
    if (errno < 0) return errno;
    return reader.readShort(fd, stat) ?? reader.readLong(fd, stat);
  };
}

const chunksInARow = 16;
