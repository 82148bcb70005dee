/**
 * Holds what is read back from a volume as a tar archive against a snapshot, without fetching content: files are hashed blob by blob, as long as
 * the index says that each is. Memory: one blob's hash, and the names of files with several.
 */
import { createHash } from 'node:crypto';
import { parseTime } from '../../format/time.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { Trees } from '../browse/trees-ahead.ts';
import { joinPath, type WalkedNode, walkTree } from '../browse/walk-tree.ts';
import type { TarEntry } from '../source/tar-entry.ts';
import { readTar } from '../source/tar-read.ts';
import { deviceNumbers } from '../source/tar-write.ts';
import { restoreMarkerName } from './marker.ts';
import type { OwnerOptions } from './options.ts';
import { streamedMode } from './stream-entries.ts';
import type { RestoreRoot } from './subtree.ts';

export type VerifyStreamOptions = {
  trees: Trees;
  root: RestoreRoot;
  /** Where in the volume the content of `root` is. */
  place: RawString;
  owners: OwnerOptions;
  /** As `StreamTarget.keepsAcls`: modes are then those of the snapshot. */
  keepsAcls: boolean;
  /** Whether nothing else may be there. */
  exactly: boolean;
  /** Told of each difference. */
  onDifference: (path: RawString, message: string) => void;
};

const lostAndFound = 'lost+found';

/** @throws `archive-damaged` when the stream is cut; as `Trees.nodes`; what the stream throws. */
export async function verifyStream(stream: AsyncIterable<Uint8Array>, options: VerifyStreamOptions): Promise<void> {
  const expected = wantedNodes(options);
  const judge = new Judge(options);
  try {
    let want = await nextOf(expected);
    for await (const entry of readTar(stream)) {
      const path = cleanPath(entry.path);
      if (path === restoreMarkerName || path === lostAndFound || path.startsWith(`${lostAndFound}/`)) continue;
      while (want !== undefined && isBefore(want.path, path)) {
        options.onDifference(want.path, 'is not there');
        want = await nextOf(expected);
      }
      if (want?.path === path) {
        await judge.compare(want, entry);
        want = await nextOf(expected);
      } else if (options.exactly && path !== '') options.onDifference(path, 'is not in the snapshot');
    }
    for (; want !== undefined; want = await nextOf(expected)) options.onDifference(want.path, 'is not there');
  } finally {
    await expected.return(undefined);
  }
}

const nextOf = async (nodes: AsyncGenerator<WalkedNode>): Promise<WalkedNode | undefined> => {
  const { value, done } = await nodes.next();
  return done ? undefined : value;
};

/** Depth first in the order of names, as the Engine's archives are. What no tar archive holds is left out. */
async function* wantedNodes({ trees, root, place }: VerifyStreamOptions): AsyncGenerator<WalkedNode> {
  if ('entry' in root) {
    // An entry is none of a directory, which would be a root of its own.
    if (root.entry.type in tarTypes) yield { path: joinPath(place, root.entry.name), node: root.entry };
    return;
  }
  if (root.node !== undefined) yield { path: place, node: root.node };
  for await (const walked of walkTree(trees, root.tree, place)) {
    if (walked.node.type in tarTypes) yield walked;
  }
}

const tarTypes: Readonly<Record<string, TarEntry['type']>> = {
  ...{ file: 'file', dir: 'dir', symlink: 'symlink', dev: 'dev', chardev: 'chardev', fifo: 'fifo' },
};

/** A directory comes before what is in it, and that before the directory's next neighbour. */
const isBefore = (a: RawString, b: RawString): boolean => a.replaceAll('/', '\0') < b.replaceAll('/', '\0');

const cleanPath = (path: RawString): RawString =>
  path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/') as RawString;

class Judge {
  private readonly o: VerifyStreamOptions;
  /** Of files with several names: which file a path is, and the file's first path. */
  private readonly files = new Map<RawString, string>();
  private readonly firstPaths = new Map<string, RawString>();

  constructor(options: VerifyStreamOptions) {
    this.o = options;
  }

  async compare({ path, node }: WalkedNode, entry: TarEntry): Promise<void> {
    const differences = [...this.metadata(path, node, entry), ...(await this.content(path, node, entry))];
    if (differences.length > 0) this.o.onDifference(path, `not as in the snapshot: ${differences.join(', ')}`);
  }

  private metadata(path: RawString, node: TreeNode, entry: TarEntry): string[] {
    // Another name of what was compared before.
    if (entry.type === 'link') return [];
    const { owner, mapUid, mapGid } = this.o.owners;
    const differences: string[] = [];
    const uid = owner?.uid ?? mapUid?.get(node.uid) ?? node.uid;
    const gid = owner?.gid ?? mapGid?.get(node.gid) ?? node.gid;
    if (entry.uid !== uid || entry.gid !== gid) differences.push('owner');
    if (node.type !== 'symlink' && entry.mode !== streamedMode(node, this.o.keepsAcls)) differences.push('mode');
    // Engines say no more than seconds, and know no time before 1970. The root's is that of the marker until the very end.
    if (path !== '' && entry.mtimeSec !== Math.max(0, parseTime(node.mtime).sec)) differences.push('times');
    return differences;
  }

  private async content(path: RawString, node: TreeNode, entry: TarEntry): Promise<string[]> {
    const key = fileKey(node);
    const first = key === undefined ? undefined : this.firstPaths.get(key);
    if (key !== undefined) {
      this.files.set(path, key);
      if (first === undefined) this.firstPaths.set(key, path);
    }
    if (entry.type === 'link') {
      const same = key !== undefined && this.files.get(cleanPath(entry.target)) === key;
      return same ? [] : ['which file it is another name of'];
    }
    if (first !== undefined) return ['a file of its own instead of another name of one'];
    if (entry.type !== tarTypes[node.type]) return ['type'];
    if (entry.type === 'symlink') return entry.target === node.linkTarget ? [] : ['target'];
    if (entry.type === 'dev' || entry.type === 'chardev') {
      const { major, minor } = deviceNumbers(node.device);
      return entry.major === major && entry.minor === minor ? [] : ['device'];
    }
    return entry.type !== 'file' || (await isContent(entry.content, node, this.o.trees.index)) ? [] : ['content'];
  }
}

function fileKey({ type, links, deviceId, inode }: TreeNode): string | undefined {
  return type === 'dir' || Number(links) < 2 || Number(inode) === 0 ? undefined : `${deviceId} ${inode}`;
}

/** Whether the bytes are those of a file's blobs, each of which is named by its hash. */
async function isContent(content: AsyncIterable<Uint8Array>, node: TreeNode, index: BlobIndex): Promise<boolean> {
  const ids = node.content ?? [];
  const lengths = ids.map((id) => index.find(id, 'data')).map((entry) => (entry < 0 ? 0 : index.plainLengthOf(entry)));
  // No blob is empty: this is one that the index doesn't know.
  if (lengths.includes(0)) return false;
  let blob = 0;
  let done = 0;
  let hash = createHash('sha256');
  for await (const piece of content) {
    for (let at = 0; at < piece.length; ) {
      if (blob === ids.length) return false;
      const length = lengths[blob] as number;
      const part = piece.subarray(at, at + length - done);
      hash.update(part);
      done += part.length;
      at += part.length;
      if (done < length) continue;
      if (hash.digest('hex') !== ids[blob]) return false;
      hash = createHash('sha256');
      blob++;
      done = 0;
    }
  }
  return blob === ids.length;
}
