/** One entry of a directory becomes a node: whatever it is, and whatever happens to it meanwhile. */

import { closeSync, openSync } from 'node:fs';
import type { FileProblem } from '../../model/events.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { ELOOP, ENOENT, ENOTDIR, ENXIO, errnoName, S_IFMT, S_IFREG } from '../source/posix-constants.ts';
import { readLinkAt } from '../source/posix-list.ts';
import { close, openForReading } from '../source/posix-open.ts';
import { Stat, statAt, statFd } from '../source/posix-stat.ts';
import { listXattrsAt, listXattrsFd } from '../source/posix-xattr.ts';
import type { Counter } from './counters.ts';
import type { ChangeDetection } from './messages.ts';
import { completeAttributes, type ListAttributes } from './node-attributes.ts';
import { attributesUnchanged, nodeFromStat } from './nodes.ts';
import type { FileContent, FileReader } from './read-file.ts';

export type EntryReaderOptions = {
  reader: FileReader;
  count: Counter;
  withAtime: boolean;
  changes: ChangeDetection;
  /** Absolute path of what is read instead of a file; undefined for the file itself. */
  substituteOf?: (name: RawString) => string | undefined;
  /** `name` is in the directory that is being read. */
  onProblem: (name: RawString, problem: FileProblem, message: string) => void;
  /** Told of attributes that could not be read. */
  onWarning: (warning: string) => void;
};

export type EntryReader = {
  /**
   * Reads a file's content. What it has become since it was listed is looked at anew.
   * @returns undefined when it is gone or cannot be read (reported), or is no longer a file (`type-changed`, reported); a promise only
   * when it takes long.
   */
  readFile(directory: number, name: RawString): TreeNode | undefined | Promise<TreeNode | undefined>;
  /** Completes the node of anything but a file with what needs a call of its own: link target, attributes. */
  complete(directory: number, node: TreeNode, parent: TreeNode | undefined): TreeNode | undefined;
};

export function createEntryReader(options: EntryReaderOptions): EntryReader {
  const { reader, count, withAtime, changes, substituteOf, onProblem, onWarning } = options;
  const before = new Stat();
  const after = new Stat();
  const setAttributes = (node: TreeNode, list: ListAttributes) => completeAttributes(node, list, onWarning);

  function unreadable(name: RawString, errno: number, doing: string): undefined {
    if (errno === ENOENT || errno === ENOTDIR) {
      count('changedWhileRead', 1);
      onProblem(name, 'vanished', 'was there in the listing, and is gone');
      return undefined;
    }
    count('unreadable', 1);
    onProblem(name, 'unreadable', `cannot ${doing}: ${errnoName(errno)}`);
    return undefined;
  }

  function typeChanged(name: RawString): undefined {
    count('changedWhileRead', 1);
    count('unreadable', 1);
    onProblem(name, 'type-changed', 'became something else while it was read; the next backup takes it as what it is now');
    return undefined;
  }

  function withContent(fd: number, node: TreeNode, content: FileContent | number): TreeNode | undefined {
    if (typeof content === 'number') return unreadable(node.name, -content, 'read');
    const statted = statFd(fd, after);
    if (statted < 0 || changedBetween(before, after) || content.sizeBytes !== before.size) {
      count('changedWhileRead', 1);
      onProblem(node.name, 'changed', 'changed while it was read');
    }
    node.content = content.content;
    node.size = content.sizeBytes;
    return node;
  }

  /** The node of an open file whose state at opening is in `before`, without its content. */
  function nodeOfOpen(fd: number, name: RawString): TreeNode {
    const node = nodeFromStat(name, before, withAtime);
    setAttributes(node, (unreadable) => listXattrsFd(fd, unreadable));
    return node;
  }

  async function readLong(fd: number, node: TreeNode): Promise<TreeNode | undefined> {
    try {
      return withContent(fd, node, await reader.readLong(fd, before));
    } finally {
      close(fd);
    }
  }

  /** Nobody else writes to the copy: what it is at opening it is all the while. */
  async function readSubstitute(node: TreeNode, path: string): Promise<TreeNode | undefined> {
    const fd = openSync(path, 'r');
    try {
      statFd(fd, before);
      return withContent(fd, node, await reader.readLong(fd, before));
    } finally {
      // Node's own, which keeps account of what it has opened.
      closeSync(fd);
    }
  }

  return {
    readFile(directory, name) {
      const fd = openForReading(directory, name);
      if (fd === -ELOOP || fd === -ENXIO) return typeChanged(name);
      if (fd < 0) return unreadable(name, -fd, 'open');
      let long: TreeNode | undefined;
      try {
        const statted = statFd(fd, before);
        if (statted < 0) return unreadable(name, -statted, 'stat');
        if ((before.mode & S_IFMT) !== S_IFREG) return typeChanged(name);
        const node = nodeOfOpen(fd, name);
        const substitute = substituteOf?.(name);
        if (substitute !== undefined) return readSubstitute(node, substitute);
        const content = reader.readShort(fd, before);
        if (content !== undefined) return withContent(fd, node, content);
        long = node;
      } finally {
        if (long === undefined) close(fd);
      }
      return readLong(fd, long);
    },

    complete(directory, node, parent) {
      if (node.type === 'symlink') {
        const target = readLinkAt(directory, node.name);
        if (typeof target === 'number') return unreadable(node.name, -target, 'read the link');
        node.linkTarget = target;
      }
      if (attributesUnchanged(node, parent, changes)) {
        node.extendedAttributes = parent.extendedAttributes;
        return node;
      }
      let gone = false;
      setAttributes(node, (onUnreadable) => {
        const attributes = listXattrsAt(directory, node.name, onUnreadable);
        gone = typeof attributes === 'number' && statAt(directory, node.name, after) < 0;
        return gone ? [] : attributes;
      });
      return gone ? unreadable(node.name, ENOENT, 'stat') : node;
    },
  };
}

function changedBetween(a: Stat, b: Stat): boolean {
  return (
    a.size !== b.size ||
    a.mtimeSec !== b.mtimeSec ||
    a.mtimeNsec !== b.mtimeNsec ||
    a.ctimeSec !== b.ctimeSec ||
    a.ctimeNsec !== b.ctimeNsec
  );
}
