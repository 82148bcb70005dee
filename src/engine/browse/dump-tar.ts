/** A directory of a snapshot as a tar stream. */
import { statModeFromGo } from '../../format/file-mode.ts';
import { parseTime } from '../../format/time.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { TarEntry } from '../source/tar-entry.ts';
import { deviceNumbers, tarBytes } from '../source/tar-write.ts';
import { type WithContent, withContentAhead } from './content-ahead.ts';
import type { DumpOptions } from './dump-options.ts';
import { type WalkedNode, walkTree } from './walk-tree.ts';

/** @throws as `withContentAhead` and `walkTree`; what was written is then recognisably cut. */
export function dumpTar(options: DumpOptions): AsyncGenerator<Uint8Array> {
  return tarBytes(tarEntries(options));
}

/** What {@link dumpTar} makes an archive of. */
export async function* tarEntries({ repository, trees, directory, onSkipped }: DumpOptions): AsyncGenerator<TarEntry> {
  const names = new FirstNames();
  const firstNames = new Map<RawString, RawString>();
  const contentOf = ({ path, node }: WalkedNode) => {
    const first = names.firstOf(path, node);
    if (first !== undefined) firstNames.set(path, first);
    return first === undefined ? node.content : undefined;
  };
  if (directory.node !== undefined) yield { ...metadataOf('' as RawString, directory.node), type: 'dir' };
  for await (const walked of withContentAhead(walkTree(trees, directory.tree, '' as RawString), contentOf, {
    repository,
    index: trees.index,
  })) {
    const { path, node } = walked.item;
    const first = firstNames.get(path);
    firstNames.delete(path);
    const entry = first === undefined ? entryOf(walked) : { ...metadataOf(path, node), type: 'link' as const, target: first };
    if (entry === undefined) onSkipped(path, node.type);
    else yield entry;
  }
}

function entryOf({ item: { path, node }, sizeBytes, content }: WithContent<WalkedNode>): TarEntry | undefined {
  const metadata = metadataOf(path, node);
  switch (node.type) {
    case 'file':
      return { ...metadata, type: 'file', sizeBytes, content };
    case 'symlink':
      return { ...metadata, type: 'symlink', target: node.linkTarget ?? ('' as RawString) };
    case 'dev':
    case 'chardev':
      return { ...metadata, type: node.type, ...deviceNumbers(node.device) };
    case 'dir':
    case 'fifo':
      return { ...metadata, type: node.type };
    default:
      return undefined;
  }
}

function metadataOf(path: RawString, node: TreeNode) {
  const { sec, nsec } = parseTime(node.mtime);
  const { uid, gid, user, group, extendedAttributes } = node;
  return {
    path,
    mode: statModeFromGo(node.mode) & 0o7777,
    uid,
    gid,
    user,
    group,
    mtimeSec: sec,
    mtimeNsec: nsec,
    attributes: extendedAttributes,
  };
}

/** First names of files with several; forgotten when all of them were seen, so that memory is for the files whose names lie apart. */
class FirstNames {
  private readonly files = new Map<string, { first: RawString; left: number }>();

  /** The name under which the file came before. */
  firstOf(path: RawString, { type, links, deviceId, inode }: TreeNode): RawString | undefined {
    const count = Number(links);
    if (type === 'dir' || count < 2 || Number(inode) === 0) return undefined;
    const key = `${deviceId} ${inode}`;
    const known = this.files.get(key);
    if (known === undefined) {
      this.files.set(key, { first: path, left: count - 1 });
      return undefined;
    }
    known.left--;
    if (known.left === 0) this.files.delete(key);
    return known.first;
  }
}
