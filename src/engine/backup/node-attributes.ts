/** Extended attributes of a node, and what becomes of those that cannot be read. */
import type { ExtendedAttribute, TreeNode } from '../../model/node.ts';
import { ENODATA, errnoName } from '../source/posix-constants.ts';
import type { UnreadableAttribute } from '../source/posix-xattr.ts';

/** Lists the attributes, or returns a negative errno. */
export type ListAttributes = (unreadable: UnreadableAttribute) => ExtendedAttribute[] | number;

/**
 * Completes a node with its attributes. Where some, or all, cannot be read, the node gets an `error`, which makes the next backup look
 * at it again though nothing has changed; and it is said, once a kind: it isn't the file's fault.
 */
export function completeAttributes(node: TreeNode, list: ListAttributes, onWarning: (warning: string) => void): void {
  const lacking = (warning: string) => {
    node.error = warning;
    onWarning(warning);
  };
  const attributes = list((attribute, errno) => {
    if (errno !== ENODATA) lacking(`the extended attribute ${attribute} could not be read (${errnoName(errno)})`);
  });
  if (typeof attributes === 'number') lacking(`extended attributes could not be read (${errnoName(-attributes)})`);
  else node.extendedAttributes = attributes;
}
