/**
 * A tar stream: entries in, bytes out. POSIX pax format (IEEE Std 1003.1, "pax Interchange Format"): a ustar header, before it an extended one
 * for what the first cannot say. Names that are not UTF-8 are kept byte by byte (`hdrcharset=BINARY`); extended attributes are `SCHILY.xattr`,
 * ACLs `SCHILY.acl`, as star, GNU tar and libarchive have them.
 */
import { HoldfastError } from '../../model/errors.ts';
import type { ExtendedAttribute, Uint64 } from '../../model/node.ts';
import { displayRaw, type RawString, rawFromText, textFromRaw } from '../../model/raw-bytes.ts';
import { aclText } from './tar-acl.ts';
import type { TarEntry } from './tar-entry.ts';

/** The numbers of a device from what `st_rdev` holds, as glibc's `major` and `minor` take them apart. */
export function deviceNumbers(device: Uint64): { major: number; minor: number } {
  const bits = BigInt(device);
  return {
    major: Number(((bits >> 8n) & 0xfffn) | ((bits >> 32n) & 0xfffff000n)),
    minor: Number((bits & 0xffn) | ((bits >> 12n) & 0xffffff00n)),
  };
}

const blockBytes = 512;
/** Two empty blocks end an archive, and it is filled up to records of 20 blocks, as GNU tar does. */
const recordBytes = 20 * blockBytes;

const typeFlags = { file: '0', link: '1', symlink: '2', chardev: '3', dev: '4', dir: '5', fifo: '6' } as const;

type TarOptions = {
  /** ACLs as the kernel's attributes, as Docker takes and GNU tar does not; by default as text. */
  aclsAsAttributes?: boolean;
};

/**
 * The bytes of an archive. What the iterable of entries or the content of one throws is thrown on, after bytes by which every reader sees
 * that the archive is cut: the middle of a file, or a block that is no header.
 * @throws `internal` when a file's content has another length than was said.
 */
export async function* tarBytes(entries: AsyncIterable<TarEntry>, options: TarOptions = {}): AsyncGenerator<Uint8Array> {
  let writtenBytes = 0;
  let insideContent = false;
  try {
    for await (const entry of entries) {
      const header = headersOf(entry, options);
      writtenBytes += header.length;
      yield header;
      if (entry.type !== 'file') continue;
      insideContent = entry.sizeBytes > 0;
      yield* exactly(entry.content, entry.sizeBytes, entry.path);
      insideContent = false;
      const padding = paddingOf(entry.sizeBytes);
      writtenBytes = (writtenBytes + entry.sizeBytes + padding) % recordBytes;
      if (padding > 0) yield Buffer.alloc(padding);
    }
  } catch (error) {
    if (!insideContent) yield brokenOff();
    throw error;
  }
  const end = writtenBytes + 2 * blockBytes;
  yield Buffer.alloc(2 * blockBytes + ((recordBytes - (end % recordBytes)) % recordBytes));
}

const paddingOf = (sizeBytes: number): number => (blockBytes - (sizeBytes % blockBytes)) % blockBytes;

/** The end of an archive without its last part would look like a whole one where a file ends. */
function brokenOff(): Buffer {
  return Buffer.from('This archive is not complete: an error kept the rest of it from being written.\n'.padEnd(blockBytes, '\n'));
}

async function* exactly(content: AsyncIterable<Uint8Array>, sizeBytes: number, path: RawString): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const bytes of content) {
    done += bytes.length;
    if (done > sizeBytes) break;
    yield bytes;
  }
  if (done !== sizeBytes) {
    throw new HoldfastError('internal', `${displayRaw(path)} has ${done} bytes, not ${sizeBytes}`, { file: displayRaw(path) });
  }
}

/** All headers of an entry. */
export function headersOf(entry: TarEntry, options: TarOptions = {}): Buffer {
  const name = nameOf(entry);
  const records = extendedRecords(entry, name, options);
  const header = ustarHeader(entry, name, typeFlags[entry.type]);
  if (records.length === 0) return header;
  const body = Buffer.concat(records);
  const extended = ustarHeader(
    { ...entry, type: 'file', sizeBytes: body.length, content: nothing, mode: 0o644, user: '', group: '' },
    `PaxHeaders/${name.slice(-90)}`.slice(0, 100) as RawString,
    'x',
  );
  return Buffer.concat([extended, body, Buffer.alloc(paddingOf(body.length)), header]);
}

const nothing = (async function* () {})();

function nameOf({ path, type }: TarEntry): RawString {
  if (path === '') return './' as RawString;
  return (type === 'dir' ? `${path}/` : path) as RawString;
}

const targetOf = (entry: TarEntry): RawString => ('target' in entry ? entry.target : ('' as RawString));

const nameField = { at: 0, length: 100 };
const prefixField = { at: 345, length: 155 };
const targetLength = 100;
const accountLength = 31;
const mostOctal7 = 0o7777777;
const mostOctal11 = 0o77777777777;

/** A name of up to 256 bytes fits in two fields when a slash stands in the right place. */
function splitName(name: RawString): { prefix: string; name: string } | undefined {
  if (name.length <= nameField.length) return { prefix: '', name };
  const cut = name.lastIndexOf('/', prefixField.length);
  const rest = name.slice(cut + 1);
  return cut > 0 && rest.length > 0 && rest.length <= nameField.length ? { prefix: name.slice(0, cut), name: rest } : undefined;
}

function ustarHeader(entry: TarEntry, name: RawString, flag: string): Buffer {
  const header = Buffer.alloc(blockBytes);
  const text = (at: number, length: number, value: string) => header.write(value.slice(0, length), at, 'latin1');
  const octal = (at: number, length: number, value: number, most: number) =>
    text(at, length, (value >= 0 && value <= most ? value : 0).toString(8).padStart(length, '0'));
  const split = splitName(name) ?? { prefix: '', name };
  text(nameField.at, nameField.length, split.name);
  octal(100, 7, entry.mode & 0o7777, mostOctal7);
  octal(108, 7, entry.uid, mostOctal7);
  octal(116, 7, entry.gid, mostOctal7);
  octal(124, 11, entry.type === 'file' ? entry.sizeBytes : 0, mostOctal11);
  octal(136, 11, entry.mtimeSec, mostOctal11);
  text(156, 1, flag);
  text(157, targetLength, targetOf(entry));
  text(257, 8, 'ustar\x0000');
  text(265, accountLength, rawFromText(entry.user));
  text(297, accountLength, rawFromText(entry.group));
  if ('major' in entry) {
    octal(329, 7, entry.major, mostOctal7);
    octal(337, 7, entry.minor, mostOctal7);
  }
  text(prefixField.at, prefixField.length, split.prefix);
  // The checksum is made with spaces in its own place.
  text(148, 8, '        ');
  let sum = 0;
  for (const byte of header) sum += byte;
  text(148, 8, `${sum.toString(8).padStart(6, '0')}\0 `);
  return header;
}

/** What the ustar header cannot say. */
function extendedRecords(entry: TarEntry, name: RawString, { aclsAsAttributes = false }: TarOptions): Buffer[] {
  const records: Buffer[] = [];
  const add = (key: string, value: Uint8Array) => records.push(paxRecord(key, value));
  const raw = (key: string, value: RawString) => add(key, Buffer.from(value, 'latin1'));
  const target = targetOf(entry);
  const names = [
    ...(splitName(name) === undefined ? [['path', name] as const] : []),
    ...(target.length > targetLength ? [['linkpath', target] as const] : []),
  ];
  // It holds for the records that follow: it comes first, and only where it is needed.
  if (names.some(([, value]) => textFromRaw(value) === undefined)) add('hdrcharset', Buffer.from('BINARY'));
  for (const [key, value] of names) raw(key, value);
  for (const [key, id] of [
    ['uid', entry.uid],
    ['gid', entry.gid],
  ] as const)
    if (id > mostOctal7) add(key, Buffer.from(String(id)));
  if (entry.type === 'file' && entry.sizeBytes > mostOctal11) add('size', Buffer.from(String(entry.sizeBytes)));
  for (const [key, account] of [
    ['uname', entry.user],
    ['gname', entry.group],
  ] as const) {
    if (rawFromText(account).length > accountLength) raw(key, rawFromText(account));
  }
  if (entry.mtimeNsec !== 0 || entry.mtimeSec < 0 || entry.mtimeSec > mostOctal11) {
    add('mtime', Buffer.from(decimalTime(entry.mtimeSec, entry.mtimeNsec)));
  }
  for (const attribute of entry.type === 'link' ? [] : entry.attributes) addAttribute(attribute, add, aclsAsAttributes ? {} : aclKeys);
  return records;
}

const aclKeys: Record<string, string> = {
  'system.posix_acl_access': 'SCHILY.acl.access',
  'system.posix_acl_default': 'SCHILY.acl.default',
};

function addAttribute(
  { name, value }: ExtendedAttribute,
  add: (key: string, value: Uint8Array) => void,
  textKeys: Readonly<Record<string, string>>,
): void {
  if (value === undefined) return;
  const key = textKeys[name];
  const text = key === undefined ? undefined : aclText(value);
  if (key !== undefined && text !== undefined) add(key, Buffer.from(text));
  // A record's key ends at its first `=`: escaped as GNU tar does.
  else add(`SCHILY.xattr.${name.replaceAll('%', '%25').replaceAll('=', '%3D')}`, value);
}

/** `length key=value\n`, in which the length counts itself. */
function paxRecord(key: string, value: Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** Seconds since 1970 as a decimal number, exact: half a second before is `-0.5`. */
function decimalTime(sec: number, nsec: number): string {
  const before = sec < 0 && nsec > 0;
  const whole = before ? sec + 1 : sec;
  const fraction = before ? 1_000_000_000 - nsec : nsec;
  const digits = fraction === 0 ? '' : `.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`;
  return `${sec < 0 ? '-' : ''}${Math.abs(whole)}${digits}`;
}
