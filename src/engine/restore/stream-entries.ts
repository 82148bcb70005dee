/** A snapshot, or a part of it, as the tar entries that a volume is restored from. */
import { statModeFromGo } from '../../format/file-mode.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { Repository } from '../../repository/repository.ts';
import { tarEntries } from '../browse/dump-tar.ts';
import type { Trees } from '../browse/trees-ahead.ts';
import { joinPath, walkTree } from '../browse/walk-tree.ts';
import type { TarEntry } from '../source/tar-entry.ts';
import { metadataOf, type Warn } from './metadata.ts';
import type { OwnerOptions } from './options.ts';
import type { RestoreRoot } from './subtree.ts';

export type StreamEntriesOptions = {
  repository: Pick<Repository, 'storage' | 'seal'>;
  trees: Trees;
  root: RestoreRoot;
  /** Where in the volume the content of `root` goes. */
  place: RawString;
  owners: OwnerOptions;
  keepsAcls: boolean;
  /** Told of what such an archive cannot carry. */
  warn: Warn;
  /** Told of each entry, before its content is asked for. */
  onEntry: (entry: TarEntry) => void;
  /** Told of content as it goes out. */
  onBytes: (bytes: number) => void;
};

/**
 * Directories that hand ACLs down get those at the end: until then, nothing that is made in them is to inherit any.
 * @throws as `tarEntries`: a file whose content is damaged ends it.
 */
export async function* streamEntries(options: StreamEntriesOptions): AsyncGenerator<TarEntry> {
  const { repository, root, place, owners, keepsAcls, warn, onEntry, onBytes } = options;
  const { trees, directory } = 'tree' in root ? { trees: options.trees, directory: root } : withOneEntry(options.trees, root.entry);
  const placing: Placing = { ...owners, keepsAcls };
  const skip = (_: RawString, type: string) => warn(`not restored: a ${type}, which no tar archive holds`);
  let handingDown = false;
  for await (const entry of tarEntries({ repository, trees, directory, onSkipped: skip, onRenamed: () => undefined })) {
    const placed = placedAt(place, entry, placing, warn);
    if (handsDown(placed)) handingDown = true;
    onEntry(placed);
    if (placed.type === 'file') yield { ...placed, content: counted(placed.content, onBytes) };
    else yield withoutDefaultAcl(placed);
  }
  if (!handingDown) return;
  const again = (path: RawString, node: TreeNode) => placedAt(place, entryOf(path, node), placing, () => undefined);
  if (directory.node !== undefined) yield again('' as RawString, directory.node);
  for await (const { path, node } of walkTree(trees, directory.tree, '' as RawString)) {
    if (node.type === 'dir' && handsDown({ attributes: node.extendedAttributes })) yield again(path, node);
  }
}

const handsDown = ({ attributes }: Pick<TarEntry, 'attributes'>): boolean => attributes.some(({ name }) => name === defaultAcl);

/** What is made in a directory with a default ACL inherits it, whatever its own entry says. */
export const withoutDefaultAcl = (entry: TarEntry): TarEntry =>
  handsDown(entry) ? { ...entry, attributes: entry.attributes.filter(({ name }) => name !== defaultAcl) } : entry;

/** The entry of a directory alone, as a parent of what is restored. */
export const directoryEntry = (node: TreeNode, path: RawString, placing: Placing, warn: Warn): TarEntry =>
  placedAt('' as RawString, entryOf(path, node), placing, warn);

function entryOf(path: RawString, node: TreeNode): TarEntry {
  const { mode, uid, gid, mtimeSec, mtimeNsec } = metadataOf(node, {});
  return { path, type: 'dir', mode, uid, gid, mtimeSec, mtimeNsec, user: '', group: '', attributes: node.extendedAttributes };
}

/** What is made of owners and ACLs. */
export type Placing = OwnerOptions & { keepsAcls: boolean };

/** A tree that no repository has: of one entry. */
function withOneEntry(trees: Trees, entry: TreeNode): { trees: Trees; directory: { tree: BlobId; node: undefined } } {
  const tree = '' as BlobId;
  return { trees: { ...trees, nodes: async (id) => (id === tree ? [entry] : trees.nodes(id)) }, directory: { tree, node: undefined } };
}

function placedAt(place: RawString, entry: TarEntry, { owner, mapUid, mapGid, keepsAcls }: Placing, warn: Warn): TarEntry {
  const path = entry.path === '' ? place : joinPath(place, entry.path);
  const owners = { uid: owner?.uid ?? mapUid?.get(entry.uid) ?? entry.uid, gid: owner?.gid ?? mapGid?.get(entry.gid) ?? entry.gid };
  // Names of accounts are this host's, or another's: not the Engine's.
  const placed = { ...carried(entry, keepsAcls, warn), ...owners, path, user: '', group: '' };
  if (entry.type !== 'link' && entry.mtimeSec < 0) warn('times before 1970 become its first second');
  return placed.type === 'link' ? { ...placed, target: joinPath(place, placed.target) } : placed;
}

const accessAcl = 'system.posix_acl_access';
const defaultAcl = 'system.posix_acl_default';

/**
 * Engines set ACLs as attributes, and may not say when the file system refuses: where it is not known to keep them, they are left out. Without its ACL, a
 * file must let nobody in whom the ACL kept out. Attributes without a value are dropped, as Go's `archive/tar` does.
 */
function carried(entry: TarEntry, keepsAcls: boolean, warn: Warn): TarEntry {
  if (entry.attributes.length === 0) return entry;
  const isLost = (name: string) => !keepsAcls && (name === accessAcl || name === defaultAcl);
  if (entry.type !== 'link') {
    if (entry.attributes.some(({ name }) => isLost(name))) warn('access control lists are not restored through an Engine to this volume');
    if (entry.attributes.some(({ value }) => value?.length === 0))
      warn('extended attributes without a value are not restored through an Engine');
  }
  const acl = entry.attributes.find(({ name }) => name === accessAcl && isLost(name))?.value;
  const attributes = entry.attributes.filter(({ name, value }) => !isLost(name) && value?.length !== 0);
  return { ...entry, attributes, mode: acl === undefined ? entry.mode : modeWithoutAcl(entry.mode, acl) };
}

/** With an ACL, the group's bits of the mode are the mask: the group itself has at most those of its own entry (acl(5)). */
export function modeWithoutAcl(mode: number, acl: Uint8Array): number {
  const view = Buffer.from(acl.buffer, acl.byteOffset, acl.byteLength);
  const [headerBytes, entryBytes, ownGroup] = [4, 8, 0x04];
  for (let at = headerBytes; at + entryBytes <= view.length; at += entryBytes) {
    if (view.readUInt16LE(at) === ownGroup) return mode & (~0o070 | ((view.readUInt16LE(at + 2) & 7) << 3));
  }
  return mode & ~0o070;
}

async function* counted(content: AsyncIterable<Uint8Array>, onBytes: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const bytes of content) {
    yield bytes;
    onBytes(bytes.length);
  }
}

/** The mode that a node is restored with through a stream. */
export function streamedMode(node: TreeNode, keepsAcls: boolean): number {
  const mode = statModeFromGo(node.mode) & 0o7777;
  if (keepsAcls) return mode;
  const acl = node.extendedAttributes.find(({ name }) => name === accessAcl)?.value;
  return acl === undefined ? mode : modeWithoutAcl(mode, acl);
}
