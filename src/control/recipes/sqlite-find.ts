/** SQLite databases in a directory, known by their headers (sqlite.org/fileformat.html). Nothing is followed out of it. */
import { setImmediate } from 'node:timers/promises';
import { compileExcludes, type ExcludeOptions } from '../../engine/source/excludes.ts';
import { O_DIRECTORY, O_RDONLY, S_IFMT, S_IFREG } from '../../engine/source/posix-constants.ts';
import { pread } from '../../engine/source/posix-io.ts';
import { listDirectory } from '../../engine/source/posix-list.ts';
import { close, openBeneath, openDirectoryRoot, openForReading } from '../../engine/source/posix-open.ts';
import { Stat, statFd } from '../../engine/source/posix-stat.ts';
import { type RawString, rawFromText } from '../../model/raw-bytes.ts';

export type FoundDatabase = {
  /** In the directory. */
  path: RawString;
  device: string;
  inode: string;
  sizeBytes: number;
  /** Whether it keeps a write-ahead log (bytes 18 and 19). */
  keepsLog: boolean;
};

export type FindOptions = {
  directory: string;
  excludes: ExcludeOptions;
  /** Every file is looked into. Otherwise only those whose names suggest a database, in the folders nearest to the root. */
  everywhere: boolean;
  signal: AbortSignal;
};

/** `complete` is false when there may be more. */
export type Found = { databases: FoundDatabase[]; complete: boolean };

/** A quick look ends after so many folders, breadth first. */
const quickFolders = 300;
const maxDatabases = 1000;
const foldersAtOnce = 50;
const suggestive = /(\.(db3?|sqlite3?|sqlitedb|s3db|sl3|gpkg|mbtiles)|-wal|-journal)$/i;
const sidecar = /-(wal|shm|journal)$/;

const magic = Buffer.from('SQLite format 3\0', 'latin1');
const headerBytes = 100;
const versionAt = 18;
const directoryType = 4;
const fileType = 8;
const unknownType = 0;

export async function findDatabases({ directory, excludes, everywhere, signal }: FindOptions): Promise<Found> {
  const root = openDirectoryRoot(rawFromText(directory));
  if (root < 0) return { databases: [], complete: false };
  try {
    const search = new Search(root, excludes, everywhere);
    for (let folders = 0; ; folders++) {
      const path = search.next();
      if (path === undefined) return { databases: search.databases, complete: search.complete };
      if ((!everywhere && folders === quickFolders) || search.databases.length > maxDatabases)
        return { databases: search.databases.slice(0, maxDatabases), complete: false };
      search.look(path);
      if (folders % foldersAtOnce === 0) await setImmediate();
      signal.throwIfAborted();
    }
  } finally {
    close(root);
  }
}

class Search {
  readonly databases: FoundDatabase[] = [];
  complete = true;
  private readonly root: number;
  private readonly excludes: ReturnType<typeof compileExcludes>;
  private readonly everywhere: boolean;
  private waiting: RawString[] = ['' as RawString];
  private at = 0;
  private readonly stat = new Stat();
  private readonly header = Buffer.alloc(headerBytes);
  private readonly device: number;

  constructor(root: number, excludes: ExcludeOptions, everywhere: boolean) {
    this.root = root;
    this.excludes = compileExcludes(excludes);
    this.everywhere = everywhere;
    statFd(root, this.stat);
    this.device = this.stat.device;
  }

  /** Breadth first for a quick look; depth first otherwise, which holds fewer folders at a time. */
  next(): RawString | undefined {
    if (this.everywhere) return this.waiting.pop();
    return this.waiting[this.at++];
  }

  look(path: RawString): void {
    const fd = openBeneath(this.root, path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
      this.complete = false;
      return;
    }
    try {
      // What is mounted there is not the volume's.
      if (statFd(fd, this.stat) < 0 || this.stat.device !== this.device) return;
      const listing = listDirectory(fd);
      if (typeof listing === 'number') {
        this.complete = false;
        return;
      }
      const { names, types } = listing;
      const candidates = this.everywhere ? undefined : suggested(names);
      for (const [i, name] of names.entries()) this.lookAt(fd, path, name, types[i] as number, candidates);
    } finally {
      close(fd);
    }
  }

  private lookAt(fd: number, folder: RawString, name: RawString, type: number, candidates: ReadonlySet<RawString> | undefined): void {
    const path = (folder === '' ? name : `${folder}/${name}`) as RawString;
    if (type === directoryType || type === unknownType) {
      if (!this.excludes.excludes(path, name, true)) this.waiting.push(path);
      if (type === directoryType) return;
    }
    if (type !== fileType && type !== unknownType) return;
    if (candidates?.has(name) === false || this.excludes.excludes(path, name, false)) return;
    const database = this.readHeader(fd, path, name);
    if (database !== undefined) this.databases.push(database);
  }

  private readHeader(folder: number, path: RawString, name: RawString): FoundDatabase | undefined {
    const { stat, header } = this;
    const fd = openForReading(folder, name);
    // What cannot be read is told of by the backup.
    if (fd < 0) return undefined;
    try {
      if (statFd(fd, stat) < 0 || (stat.mode & S_IFMT) !== S_IFREG || pread(fd, header, 0, headerBytes, 0) < headerBytes) return undefined;
      if (!header.subarray(0, magic.length).equals(magic)) return undefined;
      const [device, inode] = [String(stat.device), String(stat.inode)];
      return { path, device, inode, sizeBytes: Number(stat.size), keepsLog: header[versionAt] === 2 };
    } finally {
      close(fd);
    }
  }
}

/** Names that look like databases, and those that something lies beside that only databases have. */
function suggested(names: readonly RawString[]): ReadonlySet<RawString> {
  return new Set(names.filter((name) => suggestive.test(name)).map((name) => name.replace(sidecar, '') as RawString));
}
