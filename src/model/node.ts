import type { BlobId } from './ids.ts';
import type { RawString } from './raw-bytes.ts';

export type NodeType = 'file' | 'dir' | 'symlink' | 'dev' | 'chardev' | 'fifo' | 'socket' | 'irregular' | '';

/** A 64-bit unsigned number: a plain number while it is exact, a bigint beyond 2^53. */
export type Uint64 = number | bigint;

/** `value` undefined means an attribute that restic wrote as null. */
export type ExtendedAttribute = { name: string; value: Buffer | undefined };

/**
 * An entry of a tree, as restic's tree JSON holds it. Times stay in their written form (RFC 3339 with nanoseconds)
 * because that form is part of the tree's identity; `parseTime` of the format layer turns them into numbers.
 */
export type TreeNode = {
  name: RawString;
  type: NodeType;
  /** Go's os.FileMode bits, see format/file-mode.ts. */
  mode: number;
  mtime: string;
  atime: string;
  ctime: string;
  uid: number;
  gid: number;
  user: string;
  group: string;
  inode: Uint64;
  deviceId: Uint64;
  size: Uint64;
  links: Uint64;
  /** Only for symlinks. */
  linkTarget: RawString | undefined;
  extendedAttributes: ExtendedAttribute[];
  /** Device number of a device node, as stat's st_rdev. */
  device: Uint64;
  /** The file's blobs in order; undefined for everything that is not a file. */
  content: BlobId[] | undefined;
  /** Only for directories. */
  subtree: BlobId | undefined;
  error: string;
  /** Fields that this version doesn't know, as they were read (`generic_attributes` too): written back when a tree is rewritten. */
  unknown: Record<string, unknown> | undefined;
};
