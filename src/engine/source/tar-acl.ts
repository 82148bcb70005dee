/** POSIX ACLs: from the form in which Linux keeps them as extended attributes to the text that tar archives hold. */

const version = 2;
const headerBytes = 4;
const entryBytes = 8;

/** Tags of `include/uapi/linux/posix_acl.h`, and what `acl_from_text` calls them; true where a user or group is named. */
const tags: ReadonlyMap<number, readonly [name: string, named: boolean]> = new Map([
  [0x01, ['user', false]],
  [0x02, ['user', true]],
  [0x04, ['group', false]],
  [0x08, ['group', true]],
  [0x10, ['mask', false]],
  [0x20, ['other', false]],
]);

const permissionsText = (bits: number): string => `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${bits & 1 ? 'x' : '-'}`;

/**
 * The text of an attribute `system.posix_acl_access` or `system.posix_acl_default` (`include/uapi/linux/posix_acl_xattr.h`), with numbers for
 * users and groups: `user::rw-,user:1000:r--,...`. Undefined when the value is none.
 */
export function aclText(value: Buffer): string | undefined {
  if (value.length < headerBytes || value.readUInt32LE(0) !== version || (value.length - headerBytes) % entryBytes !== 0) return undefined;
  const entries: string[] = [];
  for (let at = headerBytes; at < value.length; at += entryBytes) {
    const tag = tags.get(value.readUInt16LE(at));
    if (tag === undefined) return undefined;
    const [name, named] = tag;
    entries.push(`${name}:${named ? value.readUInt32LE(at + 4) : ''}:${permissionsText(value.readUInt16LE(at + 2))}`);
  }
  return entries.join(',');
}
