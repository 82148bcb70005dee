/** Hard links: nodes of a snapshot that were names of one file become names of one file again, in whatever directories they are. */
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { Stat } from '../source/posix-stat.ts';
import type { Directory } from './directories.ts';

export type Link = { directory: Directory; name: RawString };

export type LinkGroup = {
  /** Where the first name of the file is; undefined until one was seen. */
  first: Link | undefined;
  /** `undecided`: what is there is being compared, or written under a temporary name. `placed`: others can be linked to it. */
  state: 'undecided' | 'placed' | 'failed';
  /** The file that is there under the first name, as {@link inodeKey} says; undefined when it was made by this restore. */
  inode: string | undefined;
  /** Called when the group is no longer undecided. */
  waiting: (() => void)[];
  /** Names that were linked to the first. */
  linked: Link[];
};

export const inodeKey = ({ device, inode }: Stat): string => `${device}:${inode}`;

/** Of FIFOs the format has no link count, and of devices not always: without one, other names are known by the inode alone. */
function mayHaveOtherNames({ type, links, deviceId, inode }: TreeNode): boolean {
  if (type === 'dir') return false;
  if (links > 0) return links > 1;
  return (type === 'fifo' || type === 'dev' || type === 'chardev') && Number(deviceId) !== 0 && Number(inode) !== 0;
}

export class LinkGroups {
  private readonly groups = new Map<string, LinkGroup>();
  /** Files of the target that a group keeps: another group must not keep the same. */
  private readonly claimed = new Map<string, LinkGroup>();

  /** The group of a node that has other names in its volume. */
  of(node: TreeNode): LinkGroup | undefined {
    if (!mayHaveOtherNames(node)) return undefined;
    const key = `${node.type}:${node.deviceId}:${node.inode}`;
    let group = this.groups.get(key);
    if (group === undefined) {
      group = { first: undefined, state: 'undecided', inode: undefined, waiting: [], linked: [] };
      this.groups.set(key, group);
    }
    return group;
  }

  /** Whether this file of the target may stay, or become, the group's. */
  claim(group: LinkGroup, stat: Stat): boolean {
    const key = inodeKey(stat);
    const owner = this.claimed.get(key);
    if (owner !== undefined && owner !== group) return false;
    this.claimed.set(key, group);
    return true;
  }
}

/** Ends the waiting for a group's first name. */
export function decide(group: LinkGroup | undefined, placed: boolean, inode?: string): void {
  if (group === undefined) return;
  group.state = placed ? 'placed' : 'failed';
  group.inode = inode;
  const { waiting } = group;
  group.waiting = [];
  for (const next of waiting) next();
}
