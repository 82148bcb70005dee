/** What a check can find. */
import type { BlobKind } from '../../format/pack-header.ts';
import { type HoldfastError, isOfContent } from '../../model/errors.ts';
import type { RawString } from '../../model/raw-bytes.ts';

/**
 * Stable names of what can be wrong with a repository, and what each means. Errors first; notes are harmless.
 */
export const damageKinds = {
  'config-damaged': 'the configuration no longer opens or is not what it was',
  'key-damaged': 'a key file is not what was written: its password may no longer open the repository',
  'index-damaged': 'an index file cannot be read, does not hash to its name, does not open, or is no index',
  'index-invalid': 'an index file gives a blob a place that no blob can have',
  'index-conflict': 'index files (or one) put two blobs at the same place of a pack, or leave a gap between blobs',
  'index-mismatch': "the header of a pack says something else than the index: a blob's id, type, place or length",
  'pack-missing': 'a pack that the index names is not there',
  'pack-size': 'a pack has another size than its blobs and its header make up',
  'pack-damaged': 'the content of a pack does not hash to its name',
  'pack-header': 'the header of a pack does not open or makes no sense',
  'blob-damaged': 'a blob does not open, does not inflate to its length, or does not hash to its id',
  'blob-missing': 'a file needs a data blob that no index names',
  'tree-missing': 'a directory or snapshot needs a tree that no index names',
  'tree-invalid': 'a tree is not what a tree must be, though it is what was written',
  'unsafe-name': 'a tree has an entry whose name would lead out of its directory',
  'node-invalid': 'an entry of a tree makes no sense: a file without content, a directory without a tree, an unknown type',
  'snapshot-damaged': 'a snapshot file cannot be read, does not hash to its name, does not open, or is no snapshot',
  unreadable: 'the storage failed to read a file or refused it, which says nothing of what is in it',
  more: 'damage beyond the number of findings that are listed one by one',
  'pack-unindexed': 'packs that no index names, as an interrupted run leaves them (note)',
  'pack-indexed-twice': 'packs that several index files name (note)',
  'unfinished-file': 'files of writers that are at work or were killed; they are removed a day later (note)',
  'unknown-file': 'files or folders that are none of the repository: neither Holdfast nor restic looks at them (note)',
  'file-size': "a file's size is not the sum of its blobs, as a file that changed while it was read (note)",
} as const;

export type DamageKind = keyof typeof damageKinds;

/** The kind of a finding: what is wrong if the error says something of what is stored, and `unreadable` if it is the storage's alone. */
export const kindOfFailure = (error: HoldfastError, damage: DamageKind): DamageKind => (isOfContent(error) ? damage : 'unreadable');

/** One thing that is wrong, and what it makes unusable: that decides which snapshots and paths are affected. */
export type Damage = {
  kind: DamageKind;
  message: string;
  /** The repository file at fault, as `kind/name`. */
  file?: string;
  /** Entries of the blob index whose copy of their blob is unusable. */
  entries?: readonly number[];
  /** Newest entries of blobs of which no copy is usable. */
  lost?: readonly number[];
  /** Entry of a tree that is what was written, and useless all the same: so are all its copies. */
  tree?: number;
  /** A blob that something refers to and that no index names. */
  missing?: { kind: BlobKind; id: string };
  /** An entry of a tree that is wrong in itself. */
  node?: { tree: number; name: RawString };
  /** A snapshot that is affected as a whole. */
  snapshot?: string;
};
