/** What has happened to an entry from one snapshot to another. */
import type { ExtendedAttribute, TreeNode } from '../../model/node.ts';
import { sameInstant } from '../backup/nodes.ts';

/** As restic's `diff` writes them: added, removed; for what is in both: type, content and metadata changed, content without a trace in the metadata. */
export type Change = '+' | '-' | 'T' | 'M' | 'U' | '?' | 'TM' | 'TU';

/** The change between two entries of one name; undefined when there is none. A directory's own: not what is in it. */
export function changeBetween(before: TreeNode, after: TreeNode, metadata: boolean): Change | undefined {
  if (before.type !== after.type) return metadata ? 'TU' : 'T';
  const sameMetadata = metadataEqual(before, after);
  if (!contentEqual(before, after)) return before.type === 'file' && sameMetadata ? '?' : 'M';
  return metadata && !sameMetadata ? 'U' : undefined;
}

/** Content is what a file holds, where a symlink leads, and which device a node stands for. */
export function contentEqual(before: TreeNode, after: TreeNode): boolean {
  const [a, b] = [before.content ?? [], after.content ?? []];
  if (before.linkTarget !== after.linkTarget || BigInt(before.device) !== BigInt(after.device)) return false;
  return a.length === b.length && a.every((id, i) => id === b[i]);
}

/** All that a node holds beside content and subtree. */
export function metadataEqual(a: TreeNode, b: TreeNode): boolean {
  return (
    a.mode === b.mode &&
    sameInstant(a.mtime, b.mtime) &&
    sameInstant(a.atime, b.atime) &&
    sameInstant(a.ctime, b.ctime) &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.user === b.user &&
    a.group === b.group &&
    a.inode === b.inode &&
    a.deviceId === b.deviceId &&
    a.size === b.size &&
    a.links === b.links &&
    attributesEqual(a.extendedAttributes, b.extendedAttributes)
  );
}

function attributesEqual(a: readonly ExtendedAttribute[], b: readonly ExtendedAttribute[]): boolean {
  if (a.length !== b.length) return false;
  const values = new Map(a.map(({ name, value }) => [name, value]));
  return b.every(({ name, value }) => {
    const other = values.get(name);
    return values.has(name) && (value === undefined || other === undefined ? value === other : value.equals(other));
  });
}
