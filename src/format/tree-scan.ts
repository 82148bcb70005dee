import type { BlobId } from '../model/ids.ts';
import { parseBlobId } from '../model/ids.ts';
import type { TreeNode } from '../model/node.ts';
import { jsonHeadFromNode } from './tree-node.ts';

const start = '{"nodes":[';
const end = ']}\n';
const attributesStart = ',"extended_attributes":[';
const attributes = /,"extended_attributes":\[(?:\{"name":"(?:[^"\\]|\\.)*","value":(?:null|"[\w+/=]*")\},?)*\]/y;
const linkTarget = /,"linktarget":"(?:[^"\\]|\\.)*"(?:,"linktarget_raw":"[\w+/=]*")?/y;
const content = ',"content":';
const noContent = ',"content":null}';
const noContentSubtree = ',"content":null,"subtree":"';
const idLength = 64;

/**
 * Holds the bytes of a tree against the entries of a directory, one after the other, without parsing them: in a directory to which nothing
 * has happened, every entry is written as it was. Only trees that are written as restic 0.19 writes them match.
 */
export class TreeScan {
  /** Bytes as characters. */
  private readonly text: string;
  private at: number;
  /** Blobs of the file that was taken last. */
  content: readonly BlobId[] = [];
  /** Tree of the directory that was taken last. */
  subtree: BlobId | undefined;

  constructor(tree: Buffer) {
    this.text = tree.toString('latin1');
    this.at = this.text.startsWith(start) ? start.length : this.text.length;
  }

  /** Whether all entries have been taken. */
  get atEnd(): boolean {
    return this.at + end.length === this.text.length && this.text.endsWith(end);
  }

  /**
   * Whether the next entry of the tree is `node`. What its ctime vouches for is not compared: link target and extended
   * attributes; content and subtree are taken from the tree. After false, the scan is over.
   */
  take(node: TreeNode): boolean {
    const { text } = this;
    let at = this.at;
    if (at > start.length) {
      if (text[at] !== ',') return false;
      at++;
    }
    const head = jsonHeadFromNode(node);
    if (!text.startsWith(head, at)) return false;
    at += head.length;
    const taken = node.type === 'file' ? this.takeFile(at) : node.type === 'dir' ? this.takeDirectory(at) : this.takeOther(at, node);
    this.at = taken;
    return taken > 0;
  }

  // Each returns where the entry ends, or -1.

  private takeFile(from: number): number {
    const { text } = this;
    let at = this.afterAttributes(from);
    if (at < 0 || !text.startsWith(content, at)) return -1;
    at += content.length;
    if (text[at] !== '[') return -1;
    const ids: BlobId[] = [];
    for (at++; text[at] === '"'; at += idLength + 2) {
      const id = parseBlobId(text.slice(at + 1, at + 1 + idLength));
      if (id === undefined || text[at + 1 + idLength] !== '"') return -1;
      ids.push(id);
      if (text[at + idLength + 2] === ',') at++;
    }
    this.content = ids;
    return text[at] === ']' && text[at + 1] === '}' ? at + 2 : -1;
  }

  private takeDirectory(from: number): number {
    const { text } = this;
    const at = this.afterAttributes(from);
    if (at < 0 || !text.startsWith(noContentSubtree, at)) return -1;
    const idAt = at + noContentSubtree.length;
    this.subtree = parseBlobId(text.slice(idAt, idAt + idLength));
    return this.subtree !== undefined && text.startsWith('"}', idAt + idLength) ? idAt + idLength + 2 : -1;
  }

  private takeOther(from: number, { type, device }: TreeNode): number {
    const at = type === 'symlink' ? this.after(linkTarget, from) : from;
    const rest = `${device ? `,"device":${device}` : ''}${noContent}`;
    const restAt = this.afterAttributes(at);
    return at >= 0 && this.text.startsWith(rest, restAt) ? restAt + rest.length : -1;
  }

  private afterAttributes(at: number): number {
    return this.text.startsWith(attributesStart, at) ? this.after(attributes, at) : at;
  }

  /** Where the sticky pattern ends that begins at `at`, or -1. */
  private after(pattern: RegExp, at: number): number {
    pattern.lastIndex = at;
    return pattern.test(this.text) ? pattern.lastIndex : -1;
  }
}
