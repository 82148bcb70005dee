/** Extended headers of tar archives (IEEE Std 1003.1, "pax Extended Header"): records of a key and a value that is any bytes. */
import type { ExtendedAttribute } from '../../model/node.ts';
import { aclFromText } from './tar-acl.ts';
import { archiveDamaged, type Segment } from './tar-header.ts';

/** Keys are text; the last record of a key holds, and one with an empty value takes back what was said before. */
export type PaxRecords = Map<string, Buffer>;

export type PaxHeader = {
  records: PaxRecords;
  /** Of GNU's sparse format 0.0, which repeats its keys in one header. */
  segments: Segment[];
};

const recordStart = /^([1-9][0-9]{0,8}) /;

/** @throws `archive-damaged` when the bytes are no records. */
export function decodePax(bytes: Buffer): PaxHeader {
  const records: PaxRecords = new Map();
  const segments: Segment[] = [];
  let offset: number | undefined;
  for (let at = 0; at < bytes.length; ) {
    const start = recordStart.exec(bytes.toString('latin1', at, at + 10));
    const end = at + Number(start?.[1] ?? 0);
    const equals = bytes.indexOf(0x3d, at);
    if (start === null || end > bytes.length || equals < 0 || equals >= end - 1 || bytes[end - 1] !== 0x0a) {
      throw archiveDamaged('an extended header is damaged');
    }
    const key = bytes.toString('utf8', at + start[0].length, equals);
    const value = bytes.subarray(equals + 1, end - 1);
    if (key === 'GNU.sparse.offset') offset = decimal(value, key);
    else if (key === 'GNU.sparse.numbytes') {
      if (offset === undefined) throw archiveDamaged('a sparse file has a length without an offset');
      segments.push({ offset, length: decimal(value, key) });
      offset = undefined;
    } else records.set(key, value);
    at = end;
  }
  return { records, segments };
}

/** A number of bytes, users and so on. @throws `archive-damaged`. */
export function decimal(value: Buffer, what: string): number {
  const text = value.toString('latin1');
  const number = Number(text);
  if (!/^[0-9]{1,19}$/.test(text) || !Number.isSafeInteger(number)) throw archiveDamaged(`an extended header has an impossible ${what}`);
  return number;
}

/** Seconds since 1970, with a fraction: exact to the nanosecond, what is finer is cut off. @throws `archive-damaged`. */
export function decimalTime(value: Buffer): { sec: number; nsec: number } {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]{0,100}))?$/.exec(value.toString('latin1'));
  if (match === null) throw archiveDamaged('an extended header has an impossible mtime');
  const [, minus, whole, fraction = ''] = match;
  const sec = Number(whole);
  const nsec = Number(fraction.slice(0, 9).padEnd(9, '0'));
  if (minus === '') return { sec, nsec };
  return nsec === 0 ? { sec: sec === 0 ? 0 : -sec, nsec: 0 } : { sec: -sec - 1, nsec: 1_000_000_000 - nsec };
}

/** GNU's sparse format 0.1: offsets and lengths in turn, with commas. @throws `archive-damaged`. */
export function decodeSparseMap(value: Buffer, maxSegments: number): Segment[] {
  if (value.length === 0) return [];
  const numbers = value.toString('latin1').split(',', 2 * maxSegments + 1);
  if (numbers.length % 2 !== 0) throw archiveDamaged('a sparse file has a damaged map, or one that is too long');
  const segments: Segment[] = [];
  for (let i = 0; i < numbers.length; i += 2) {
    const [offset, length] = [numbers[i] as string, numbers[i + 1] as string].map((text) => decimal(Buffer.from(text), 'sparse map'));
    segments.push({ offset: offset as number, length: length as number });
  }
  return segments;
}

const xattrPrefix = 'SCHILY.xattr.';
const libarchivePrefix = 'LIBARCHIVE.xattr.';

const aclNames: Readonly<Record<string, string>> = {
  'SCHILY.acl.access': 'system.posix_acl_access',
  'SCHILY.acl.default': 'system.posix_acl_default',
};

/** Extended attributes of an entry, ACLs among them, ascending by name as the kernel's tools list them. */
export function attributesFromPax(records: ReadonlyMap<string, Buffer>, onUnknown: (what: string) => void): ExtendedAttribute[] {
  if (records.size === 0) return [];
  const found = new Map<string, Buffer>();
  for (const [key, value] of records) {
    if (key === 'RHT.security.selinux') found.set('security.selinux', withoutEndingNul(value));
    else if (key.startsWith(xattrPrefix)) {
      const name = key.slice(xattrPrefix.length);
      // libarchive writes both forms, with names that are escaped in its own way: the other record says it all.
      if (!records.has(`${libarchivePrefix}${name}`)) found.set(unescaped(name), value);
    } else if (key.startsWith(libarchivePrefix)) {
      const name = percentDecoded(key.slice(libarchivePrefix.length));
      if (name !== undefined) found.set(name, Buffer.from(value.toString('latin1'), 'base64'));
    }
  }
  // The text of an ACL may name users that only the archive's host knows: the attribute itself, where it is there, says more.
  for (const [key, name] of Object.entries(aclNames)) {
    const value = records.get(key);
    if (value === undefined || found.has(name)) continue;
    const acl = aclFromText(value.toString('utf8'));
    if (acl === undefined) onUnknown('the ACL');
    else if (acl.length > 0) found.set(name, acl);
  }
  const named = [...found].filter(([name]) => name !== '' && name.length <= 255 && !name.includes('\0'));
  return named.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => ({ name, value: Buffer.from(value) }));
}

/** SELinux's label ends with a NUL in the file system, and without it in GNU tar's archives. */
const withoutEndingNul = (value: Buffer): Buffer => (value.at(-1) === 0 ? value : Buffer.concat([value, Buffer.alloc(1)]));

/** As GNU tar escapes: only what ends a key, and the sign itself. */
const unescaped = (name: string): string => name.replaceAll('%3D', '=').replaceAll('%25', '%');

function percentDecoded(name: string): string | undefined {
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
}
