/** Changing the tags of snapshots: a snapshot is written anew, as restic's `tag` does it, and the old one removed. */
import { encodeSnapshot } from '../../format/snapshot-file.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { SnapshotId } from '../../model/ids.ts';
import { identityFromTags, identityTagNames, type Snapshot, type StoredSnapshot } from '../../model/snapshot.ts';
import type { Repository } from '../../repository/repository.ts';
import { saveSnapshot } from '../../repository/snapshots.ts';
import { removeSnapshot } from './forget.ts';

/** `set` alone, or `add` and `remove`. The empty text among `set` stands for no tag. */
export type TagChange = { set?: readonly string[]; add?: readonly string[]; remove?: readonly string[] };

const identityPattern = new RegExp(`^(?:${identityTagNames.join('|')})=`);
const isIdentity = (tag: string): boolean => identityPattern.test(tag);

/**
 * The tags after a change: new ones come last. Those that carry the identity of a snapshot that Holdfast took (`project=`, `volume=` ...)
 * stay when others are set. To change one takes `force`, because it moves the snapshot to another history or to none.
 * @throws `usage` for a change of the identity without `force`.
 */
export function changeTags(snapshot: Snapshot, { set, add = [], remove = [] }: TagChange, force: boolean): string[] {
  const { tags: before } = snapshot;
  const own = identityFromTags(before) !== undefined;
  const kept = set === undefined ? before : before.filter((tag) => own && !force && isIdentity(tag));
  const added = new Set([...(set ?? []), ...add].filter((tag) => tag !== '' && !kept.includes(tag)));
  const after = [...kept, ...added].filter((tag) => !remove.includes(tag));
  const identityStays = own ? after.filter(isIdentity).join() === before.filter(isIdentity).join() : identityFromTags(after) === undefined;
  if (identityStays || force) return after;
  const names = identityTagNames.map((name) => `${name}=`).join(', ');
  throw new HoldfastError('usage', `the tags ${names} say what a snapshot is of, and by them it is found`, {
    remedy: 'leave them alone; --force changes them all the same',
  });
}

/** The snapshot with other tags, as it is to be stored. `original` is the id that it had before all changes. */
const retagged = (snapshot: StoredSnapshot, tags: string[]): Snapshot => {
  const { id, ...rest } = snapshot;
  return { ...rest, tags, original: snapshot.original ?? id };
};

/**
 * Stores a snapshot with other tags, and then removes the old one: an interruption leaves both, and the same change again finds what it
 * left. The repository is locked exclusively.
 * @param all the repository's snapshots.
 * @returns the new id. @throws `storage`, `storage-full`, `storage-denied`.
 */
export async function retagSnapshot(
  repository: Repository,
  snapshot: StoredSnapshot,
  tags: string[],
  all: readonly StoredSnapshot[],
): Promise<SnapshotId> {
  const wanted = retagged(snapshot, tags);
  const json = encodeSnapshot(wanted);
  const left = all.find((other) => other.id !== snapshot.id && other.original === wanted.original && encodeSnapshot(other).equals(json));
  const id = left?.id ?? (await saveSnapshot(repository, wanted));
  await removeSnapshot(repository, snapshot.id);
  return id;
}
