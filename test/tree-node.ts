/** Nodes of trees, made up. */
import type { TreeNode } from '../src/model/node.ts';
import { type RawString, rawFromText } from '../src/model/raw-bytes.ts';

const goDirectoryBit = 2 ** 31;

/** A node of whatever kind, with plausible defaults. */
export function node(name: string, fields: Partial<TreeNode>): TreeNode {
  const time = '2020-01-01T00:00:00.123456789Z';
  return {
    name: rawFromText(name) as RawString,
    type: 'file',
    mode: fields.type === 'dir' ? goDirectoryBit + 0o755 : 0o644,
    mtime: time,
    atime: time,
    ctime: time,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    user: '',
    group: '',
    inode: 0,
    deviceId: 0,
    size: 0,
    links: 0,
    linkTarget: undefined,
    extendedAttributes: [],
    device: 0,
    content: fields.type === undefined || fields.type === 'file' ? [] : undefined,
    subtree: undefined,
    error: '',
    unknown: undefined,
    ...fields,
  };
}
