/** Entries as the assembly of trees holds them: strings that sort in the order in which trees are closed. */
import { decodeTree } from '../../format/tree.ts';
import { jsonFromNode } from '../../format/tree-node.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { Pair } from './sorted-spool.ts';

/** What a path is, in the first character of a held value: a directory, another name of a file, anything else. */
const kinds = { directory: 'd', link: 'l', other: 'o' } as const;

/**
 * Paths in the order of a walk that goes down before it goes on: what is below a directory follows it at once, and the names of one directory
 * ascend as they do in its tree. NUL, which no name has, takes the slash's place.
 */
export const keyOf = (path: RawString): string => path.replaceAll('/', '\0');
export const pathOf = (key: string): RawString => key.replaceAll('\0', '/') as RawString;
export const nameOfKey = (key: string): RawString => key.slice(key.lastIndexOf('\0') + 1) as RawString;

/** Nodes are held as the JSON of their trees: most go into them as they are. */
export const holdNode = (node: TreeNode): string => (node.type === 'dir' ? kinds.directory : kinds.other) + jsonFromNode(node);
export const holdLink = (target: RawString): string => kinds.link + keyOf(target);

export const isDirectory = (value: string): boolean => value.startsWith(kinds.directory);
export const isLink = (value: string): boolean => value.startsWith(kinds.link);
export const jsonOf = (value: string): string => value.slice(1);
export const targetKeyOf = (value: string): string => value.slice(1);

export const nodeOf = (json: string): TreeNode => decodeTree(Buffer.from(`{"nodes":[${json}]}`, 'latin1'))[0] as TreeNode;

/** How often a path is there. */
export type Occurrence = { key: string; value: string; times: number; differs: boolean };

/**
 * One value for each key: the last, but a directory's where there is one, as what lies below it has no other place.
 * @param pairs ascending by key.
 */
export function* distinct(pairs: Iterable<Pair>): Generator<Occurrence> {
  let current: Occurrence | undefined;
  for (const [key, value] of pairs) {
    if (current?.key !== key) {
      if (current !== undefined) yield current;
      current = { key, value, times: 1, differs: false };
      continue;
    }
    current.times++;
    if (isDirectory(value) !== isDirectory(current.value)) current.differs = true;
    if (isDirectory(value) || !isDirectory(current.value)) current.value = value;
  }
  if (current !== undefined) yield current;
}
