/**
 * The judge of a restore. It shares no code with Holdfast: it walks both trees itself and trusts nothing but what the
 * operating system says and the SHA-256 of every file. Names must be UTF-8, as all of the demo's are.
 */
import { hash } from 'node:crypto';
import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

export type Entry = {
  type: 'directory' | 'file' | 'symlink' | 'other';
  /** Permission bits with setuid, setgid and sticky; undefined for symbolic links, which have none. */
  mode: number | undefined;
  /** `uid:gid`. */
  owner: string;
  /** Nanoseconds since 1970. */
  mtimeNs: bigint;
  /** SHA-256 of a file's content (of an SQLite database's without counters), or the target of a symbolic link. */
  content: string | undefined;
  sizeBytes: number;
  /** The first name of the same file below the root, when it has several. */
  linkedTo: string | undefined;
};

/** What is below a folder, and under `.` the folder itself, by path relative to it. */
export type Listing = Map<string, Entry>;

/** Reads a whole tree, contents too. @throws the system's error when anything cannot be read. */
export function listTree(root: string): Listing {
  const listing: Listing = new Map();
  const firstNames = new Map<string, string>();
  const visit = (path: string): void => {
    const full = join(root, path);
    const stat = lstatSync(full, { bigint: true });
    listing.set(path, entryOf(full, path, stat, firstNames));
    if (!stat.isDirectory()) return;
    for (const name of readdirSync(full).sort()) visit(path === '.' ? name : `${path}/${name}`);
  };
  visit('.');
  return listing;
}

function entryOf(full: string, path: string, stat: BigIntStats, firstNames: Map<string, string>): Entry {
  const type = stat.isDirectory() ? 'directory' : stat.isFile() ? 'file' : stat.isSymbolicLink() ? 'symlink' : 'other';
  return {
    type,
    mode: type === 'symlink' ? undefined : Number(stat.mode & 0o7777n),
    owner: `${stat.uid}:${stat.gid}`,
    mtimeNs: stat.mtimeNs,
    content: type === 'file' ? hash('sha256', withoutCounters(readFileSync(full))) : type === 'symlink' ? readlinkSync(full) : undefined,
    sizeBytes: type === 'file' ? Number(stat.size) : 0,
    linkedTo: type === 'directory' ? undefined : firstName(path, stat, firstNames),
  };
}

const sqliteMagic = Buffer.from('SQLite format 3\0');
/** Change counter, schema cookie, version-valid-for: offsets and length in the header of a database (sqlite.org/fileformat2.html). */
const [counterOffsets, counterBytes] = [[24, 40, 92], 4];

/** SQLite's online backup, by which a live database is copied, sets these anew; all else stays. */
function withoutCounters(content: Buffer): Buffer {
  if (!content.subarray(0, sqliteMagic.length).equals(sqliteMagic)) return content;
  for (const offset of counterOffsets) content.fill(0, offset, offset + counterBytes);
  return content;
}

function firstName(path: string, { dev, ino, nlink }: BigIntStats, firstNames: Map<string, string>): string | undefined {
  if (nlink === 1n) return undefined;
  const identity = `${dev}:${ino}`;
  const first = firstNames.get(identity);
  if (first === undefined) firstNames.set(identity, path);
  return first;
}

export type Difference = {
  path: string;
  what: 'missing' | 'unexpected' | 'type' | 'content' | 'mode' | 'owner' | 'modification time' | 'hard link';
};

/** What is not in `actual` as it is in `expected`; nothing when both are identical. */
export function differences(expected: Listing, actual: Listing): Difference[] {
  const found: Difference[] = [];
  for (const [path, entry] of expected) {
    const other = actual.get(path);
    if (other === undefined) found.push({ path, what: 'missing' });
    else found.push(...entryDifferences(entry, other).map((what) => ({ path, what })));
  }
  for (const path of actual.keys()) if (!expected.has(path)) found.push({ path, what: 'unexpected' });
  return found;
}

function entryDifferences(expected: Entry, actual: Entry): Difference['what'][] {
  if (expected.type !== actual.type) return ['type'];
  const found: Difference['what'][] = [];
  if (expected.content !== actual.content || expected.sizeBytes !== actual.sizeBytes) found.push('content');
  if (expected.mode !== actual.mode) found.push('mode');
  if (expected.owner !== actual.owner) found.push('owner');
  if (expected.mtimeNs !== actual.mtimeNs) found.push('modification time');
  if (expected.linkedTo !== actual.linkedTo) found.push('hard link');
  return found;
}

export function totals(listing: Listing): { files: number; bytes: number } {
  let files = 0;
  let bytes = 0;
  for (const entry of listing.values()) {
    if (entry.type !== 'file') continue;
    files += 1;
    if (entry.linkedTo === undefined) bytes += entry.sizeBytes;
  }
  return { files, bytes };
}
