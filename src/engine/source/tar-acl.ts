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

const tagsByName: ReadonlyMap<string, { plain: number; named: number }> = new Map([
  ['user', { plain: 0x01, named: 0x02 }],
  ['group', { plain: 0x04, named: 0x08 }],
  ['mask', { plain: 0x10, named: 0x10 }],
  ['other', { plain: 0x20, named: 0x20 }],
]);
const longNames: Readonly<Record<string, string>> = { u: 'user', g: 'group', m: 'mask', o: 'other' };
const noId = 0xffffffff;

/**
 * The inverse of {@link aclText}, for the text of an archive, which may have names of users beside (`user:alice:rw-:1000`, as star and
 * libarchive write) or instead of numbers. Empty for an empty text; undefined when an entry is no entry, or names somebody without a number.
 */
export function aclFromText(text: string): Buffer | undefined {
  const lines = text
    .split(/[\n,]/)
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '');
  if (lines.length === 0) return Buffer.alloc(0);
  const entries: { tag: number; id: number; bits: number }[] = [];
  for (const line of lines) {
    const match = /^([a-z]+):([^:]*):([-rwxX]{1,3})(?::([0-9]+))?$/.exec(line);
    if (match === null) return undefined;
    const [, word = '', who = '', permissions = '', number] = match;
    const tag = tagsByName.get(longNames[word] ?? word);
    const id = number ?? who;
    if (tag === undefined || (who !== '' && !/^[0-9]{1,10}$/.test(id))) return undefined;
    const bits = (permissions.includes('r') ? 4 : 0) | (permissions.includes('w') ? 2 : 0) | (/x/i.test(permissions) ? 1 : 0);
    entries.push({ tag: who === '' ? tag.plain : tag.named, id: who === '' ? noId : Number(id), bits });
  }
  if (entries.some(({ id }) => id > noId)) return undefined;
  // The kernel wants them in the order of their tags, and of ids within one.
  entries.sort((a, b) => a.tag - b.tag || a.id - b.id);
  const value = Buffer.alloc(headerBytes + entries.length * entryBytes);
  value.writeUInt32LE(version, 0);
  for (const [i, { tag, id, bits }] of entries.entries()) {
    const at = headerBytes + i * entryBytes;
    value.writeUInt16LE(tag, at);
    value.writeUInt16LE(bits, at + 2);
    value.writeUInt32LE(id, at + 4);
  }
  return value;
}

/**
 * The permission bits that go with an access ACL, as the kernel keeps them: the group's are the mask, where there is one. Some archives have
 * those of the group's own entry.
 */
export function modeOfAcl(mode: number, acl: Buffer): number {
  let bits = mode & ~0o777;
  let group = 0;
  let mask: number | undefined;
  for (let at = headerBytes; at + entryBytes <= acl.length; at += entryBytes) {
    const permissions = acl.readUInt16LE(at + 2) & 7;
    const name = tags.get(acl.readUInt16LE(at));
    if (name === undefined) return mode;
    if (name[0] === 'user' && !name[1]) bits |= permissions << 6;
    else if (name[0] === 'group' && !name[1]) group = permissions;
    else if (name[0] === 'mask') mask = permissions;
    else if (name[0] === 'other') bits |= permissions;
  }
  return bits | ((mask ?? group) << 3);
}
