/** Where a part of a snapshot belongs in the volume that it came from. */
import { mkdirSync } from 'node:fs';
import type { TreeNode } from '../../model/node.ts';
import { type RawString, rawFromText } from '../../model/raw-bytes.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobReader } from '../../repository/blob-reader.ts';
import { findNode } from '../../repository/list-tree.ts';
import { mkdirAt } from '../source/posix-change.ts';
import { EIO, ENOENT, O_DIRECTORY, O_RDONLY } from '../source/posix-constants.ts';
import { close, openBeneath, openDirectoryRoot } from '../source/posix-open.ts';
import { Stat, statFd } from '../source/posix-stat.ts';
import { applyMetadata, metadataOf, type Warn } from './metadata.ts';
import type { OwnerOptions } from './options.ts';
import { wayError } from './target.ts';

export type InPlaceOptions = OwnerOptions & {
  blobs: BlobReader;
  snapshot: StoredSnapshot;
  volume: string;
  /** Absolute path of the volume's root. */
  directory: string;
  /** What is to be restored: components separated by slashes, '' for the whole volume. */
  subtree: RawString;
  dryRun: boolean;
  /** Told of metadata of a parent that could not be set. */
  warn: Warn;
};

const newParentMode = 0o700;

/**
 * The directory that the content of `subtree` goes to, by its path in the volume: its own place for a directory, its parent's for anything
 * else. Parents that the volume lacks are made as the snapshot has them. The way there follows no symlink, which may lead out of the volume;
 * it may change at any time, so that a restore goes there by its option `beneath`.
 * @throws `path-missing` when the snapshot has no such path; `target-unwritable`; `damaged`, `storage`.
 */
export async function placeInVolume(options: InPlaceOptions): Promise<RawString> {
  const { blobs, snapshot, subtree } = options;
  const names = subtree.split('/').filter((name) => name !== '' && name !== '.') as RawString[];
  const parents: Parent[] = [];
  let node: TreeNode | undefined;
  for (let depth = 1; depth <= names.length; depth++) {
    if (node !== undefined) parents.push({ node, path: names.slice(0, depth - 1).join('/') as RawString });
    node = await findNode(blobs, snapshot.tree, names.slice(0, depth).join('/') as RawString);
  }
  const isDirectory = node === undefined || node.type === 'dir';
  const place = (isDirectory ? names : names.slice(0, -1)).join('/') as RawString;
  // A whole volume's root is the restore's business.
  if (names.length > 0) prepareWay(options, parents, place);
  return place;
}

type Parent = { node: TreeNode; path: RawString };

function prepareWay(options: InPlaceOptions, parents: readonly Parent[], place: RawString): void {
  const made: Parent[] = [];
  let root = openDirectoryRoot(rawFromText(options.directory));
  if (root === -ENOENT) {
    if (options.dryRun) return;
    root = makeRoot(options, made);
  }
  if (root < 0) throw refusal(options, '' as RawString, root);
  try {
    for (const parent of parents) {
      if (isThere(options, root, parent.path)) continue;
      if (options.dryRun) return;
      makeDirectory(options, root, parent.path);
      made.push(parent);
    }
    isThere(options, root, place);
    // The deepest first: making one changes the times of the one above.
    for (const { node, path } of made.reverse()) setMetadata(options, root, node, path);
  } finally {
    close(root);
  }
}

/** Makes the root of a volume that is gone. @returns a descriptor, or a negative errno. */
function makeRoot({ directory, snapshot }: InPlaceOptions, made: Parent[]): number {
  try {
    mkdirSync(directory, { recursive: true, mode: newParentMode });
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? -EIO;
  }
  if (snapshot.root !== undefined) made.push({ node: snapshot.root, path: '' as RawString });
  return openDirectoryRoot(rawFromText(directory));
}

/** @throws `target-unwritable` for what is there and is no directory of the volume. */
function isThere(options: InPlaceOptions, root: number, path: RawString): boolean {
  const fd = openBeneath(root, path, O_RDONLY | O_DIRECTORY);
  if (fd === -ENOENT) return false;
  if (fd < 0) throw refusal(options, path, fd);
  close(fd);
  return true;
}

function makeDirectory(options: InPlaceOptions, root: number, path: RawString): void {
  const cut = path.lastIndexOf('/');
  const above = openBeneath(root, path.slice(0, Math.max(cut, 0)) as RawString, O_RDONLY | O_DIRECTORY);
  if (above < 0) throw refusal(options, path, above);
  const result = mkdirAt(above, path.slice(cut + 1) as RawString, newParentMode);
  close(above);
  if (result < 0) throw refusal(options, path, result);
}

function setMetadata(options: InPlaceOptions, root: number, node: TreeNode, path: RawString): void {
  const stat = new Stat();
  const fd = openBeneath(root, path, O_RDONLY | O_DIRECTORY);
  if (fd < 0) throw refusal(options, path, fd);
  try {
    if (statFd(fd, stat) === 0) applyMetadata(fd, undefined, metadataOf(node, options), { stat }, options.warn);
  } finally {
    close(fd);
  }
}

function refusal({ directory, volume }: InPlaceOptions, path: RawString, result: number) {
  const full = (path === '' ? rawFromText(directory) : `${rawFromText(directory)}/${path}`) as RawString;
  return wayError(full, result, volume);
}
