/** The names of users and groups, as the system's name service knows them (files, LDAP, systemd): the C library's getpwuid_r and getgrgid_r. */
import { EINTR, ERANGE } from './posix-constants.ts';
import { allocate, loadKoffi } from './posix-syscall.ts';

/** `int getpwuid_r(uid, struct passwd *, char *buffer, size_t, struct passwd **result)`, and the same for groups. */
type Lookup = (id: number, record: number, buffer: number, bufferBytes: number, result: number) => number;

const userNames = new Map<number, string>();
const groupNames = new Map<number, string>();

/** The name of a user, '' when nobody has this number. Remembered for the life of the thread. */
export function userName(uid: number): string {
  return remembered(userNames, 'getpwuid_r', uid);
}

/** The name of a group, '' when none has this number. Remembered for the life of the thread. */
export function groupName(gid: number): string {
  return remembered(groupNames, 'getgrgid_r', gid);
}

function remembered(known: Map<number, string>, symbol: LookupName, id: number): string {
  let name = known.get(id);
  if (name === undefined) {
    name = lookUp(symbol, id);
    known.set(id, name);
  }
  return name;
}

type LookupName = 'getpwuid_r' | 'getgrgid_r';
const lookups = new Map<LookupName, Lookup>();

function declared(symbol: LookupName): Lookup {
  let lookup = lookups.get(symbol);
  if (lookup === undefined) {
    const signature = ['uint32', 'uintptr_t', 'uintptr_t', 'size_t', 'uintptr_t'];
    lookup = loadKoffi().load(null).func(symbol, 'int', signature) as Lookup;
    lookups.set(symbol, lookup);
  }
  return lookup;
}

const smallestBufferBytes = 4096;
/** A group with a hundred thousand members fits. */
const greatestBufferBytes = 4 * 1024 * 1024;

function lookUp(symbol: LookupName, id: number): string {
  const record = allocate(128);
  const result = allocate(8);
  for (let bytes = smallestBufferBytes; bytes <= greatestBufferBytes; ) {
    const buffer = allocate(bytes);
    const errno = declared(symbol)(id, record.address, buffer.address, bytes, result.address);
    if (errno === EINTR) continue;
    if (errno === ERANGE) bytes *= 4;
    else return errno === 0 && result.bytes.readBigUInt64LE(0) !== 0n ? firstString(record.bytes) : '';
  }
  return '';
}

/** Both `struct passwd` and `struct group` begin with a pointer to the name. */
function firstString(record: Buffer): string {
  const pointer = record.readBigUInt64LE(0);
  return pointer === 0n ? '' : loadKoffi().decode.string(pointer);
}
