/**
 * Extended attributes; POSIX ACLs (`system.posix_acl_access`, `system.posix_acl_default`) and file capabilities (`security.capability`) are
 * such attributes too. Symlinks are never followed.
 *
 * A name in a directory is reached with the calls that Linux 6.13 brought (`listxattrat` and its siblings), before that through
 * `/proc/self/fd`, which costs three times as much. A file that is open anyway is cheapest through its descriptor.
 */
import type { ExtendedAttribute } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, EINVAL, ENODATA, ENOSYS, ENOTSUP, EPERM, ERANGE } from './posix-constants.ts';
import { addressInside, call2, call3, call4, call5, call6, putDescriptorPath, putName, scratch, sys } from './posix-syscall.ts';

/** Told of an attribute that is listed but cannot be read (a negative errno says why), which is then left out. */
export type UnreadableAttribute = (attribute: string, errno: number) => void;

/** Reads one value into scratch memory, given the address of the attribute's name. Returns its length or a negative errno. */
type ReadValue = (attributeAddress: number) => number;

/**
 * The attributes of `name` in the directory, in the kernel's order; or a negative errno. Empty where the file system has none. An attribute
 * that is removed meanwhile is left out. Attributes' names are read as UTF-8.
 */
export function listXattrsAt(dirFd: number, name: RawString, unreadable?: UnreadableAttribute): ExtendedAttribute[] | number {
  return attributeCallsAreThere() ? listByAttributeCalls(dirFd, name, unreadable) : listThroughProc(dirFd, name, unreadable);
}

/** As {@link listXattrsAt}, of an open file (not one opened with O_PATH: -EBADF). */
export function listXattrsFd(fd: number, unreadable?: UnreadableAttribute): ExtendedAttribute[] | number {
  const { list, value } = scratch();
  const length = call3(sys.flistxattr, fd, list.address, list.bytes.length);
  if (length <= 0) return nothingListed(length);
  return readValues(length, (attribute) => call4(sys.fgetxattr, fd, attribute, value.address, value.bytes.length), unreadable);
}

/** {@link listXattrsAt} with the calls of Linux 6.13. */
export function listByAttributeCalls(dirFd: number, name: RawString, unreadable?: UnreadableAttribute): ExtendedAttribute[] | number {
  const { name: memory, list, value, structure } = scratch();
  const refused = putName(memory, name);
  if (refused < 0) return refused;
  const length = call5(sys.listxattrat, dirFd, memory.address, AT_SYMLINK_NOFOLLOW, list.address, list.bytes.length);
  if (length <= 0) return nothingListed(length);
  const read: ReadValue = (attribute) => {
    putValueArguments(value.address, value.bytes.length);
    return call6(sys.getxattrat, dirFd, memory.address, AT_SYMLINK_NOFOLLOW, attribute, structure.address, valueArgumentsBytes);
  };
  return readValues(length, read, unreadable);
}

/** {@link listXattrsAt} on older kernels. */
export function listThroughProc(dirFd: number, name: RawString, unreadable?: UnreadableAttribute): ExtendedAttribute[] | number {
  const { name: memory, list, value } = scratch();
  const refused = putDescriptorPath(memory, dirFd, name);
  if (refused < 0) return refused;
  const length = call3(sys.llistxattr, memory.address, list.address, list.bytes.length);
  if (length <= 0) return nothingListed(length);
  const read: ReadValue = (attribute) => call4(sys.lgetxattr, memory.address, attribute, value.address, value.bytes.length);
  return readValues(length, read, unreadable);
}

/**
 * Sets an attribute of `name` in the directory, or replaces it. Returns 0 or a negative errno; -ENOTSUP where the file system or this type of
 * file has no such attributes, -EPERM where this user may not.
 */
export function setXattrAt(dirFd: number, name: RawString, attribute: string, value: Uint8Array): number {
  return attributeCallsAreThere() ? setByAttributeCalls(dirFd, name, attribute, value) : setThroughProc(dirFd, name, attribute, value);
}

/** As {@link setXattrAt}, of an open file. */
export function setXattrFd(fd: number, attribute: string, value: Uint8Array): number {
  const { otherName } = scratch();
  const refused = putAttribute(attribute);
  if (refused < 0) return refused;
  return call5(sys.fsetxattr, fd, otherName.address, addressInside(value, 0, value.length), value.length, 0);
}

/** {@link setXattrAt} with the calls of Linux 6.13. */
export function setByAttributeCalls(dirFd: number, name: RawString, attribute: string, value: Uint8Array): number {
  const { name: memory, otherName, structure } = scratch();
  const refused = putName(memory, name) || putAttribute(attribute);
  if (refused < 0) return refused;
  putValueArguments(addressInside(value, 0, value.length), value.length);
  return call6(sys.setxattrat, dirFd, memory.address, AT_SYMLINK_NOFOLLOW, otherName.address, structure.address, valueArgumentsBytes);
}

/** {@link setXattrAt} on older kernels. */
export function setThroughProc(dirFd: number, name: RawString, attribute: string, value: Uint8Array): number {
  const { name: memory, otherName } = scratch();
  const refused = putDescriptorPath(memory, dirFd, name) || putAttribute(attribute);
  if (refused < 0) return refused;
  return call5(sys.lsetxattr, memory.address, otherName.address, addressInside(value, 0, value.length), value.length, 0);
}

/** Removes an attribute. Returns 0 or a negative errno; -ENODATA when there is none of this name. */
export function removeXattrAt(dirFd: number, name: RawString, attribute: string): number {
  return attributeCallsAreThere() ? removeByAttributeCalls(dirFd, name, attribute) : removeThroughProc(dirFd, name, attribute);
}

/** As {@link removeXattrAt}, of an open file. */
export function removeXattrFd(fd: number, attribute: string): number {
  const refused = putAttribute(attribute);
  return refused < 0 ? refused : call2(sys.fremovexattr, fd, scratch().otherName.address);
}

/** {@link removeXattrAt} with the calls of Linux 6.13. */
export function removeByAttributeCalls(dirFd: number, name: RawString, attribute: string): number {
  const { name: memory, otherName } = scratch();
  const refused = putName(memory, name) || putAttribute(attribute);
  return refused < 0 ? refused : call4(sys.removexattrat, dirFd, memory.address, AT_SYMLINK_NOFOLLOW, otherName.address);
}

/** {@link removeXattrAt} on older kernels. */
export function removeThroughProc(dirFd: number, name: RawString, attribute: string): number {
  const { name: memory, otherName } = scratch();
  const refused = putDescriptorPath(memory, dirFd, name) || putAttribute(attribute);
  return refused < 0 ? refused : call2(sys.lremovexattr, memory.address, otherName.address);
}

let attributeCalls: boolean | undefined;

/** Whether Linux 6.13's calls are there and allowed. Listing the working directory's attributes is never forbidden by the kernel itself. */
export function attributeCallsAreThere(): boolean {
  if (attributeCalls === undefined) {
    const { name } = scratch();
    name.bytes[0] = 0;
    const result = call5(sys.listxattrat, AT_FDCWD, name.address, AT_EMPTY_PATH, 0, 0);
    attributeCalls = result !== -ENOSYS && result !== -EPERM;
  }
  return attributeCalls;
}

/** `XATTR_NAME_MAX`. */
const longestAttributeBytes = 255;

function putAttribute(attribute: string): number {
  if (attribute.length > longestAttributeBytes) return -ERANGE;
  if (attribute === '' || attribute.includes('\0')) return -EINVAL;
  const { bytes } = scratch().otherName;
  bytes[bytes.write(attribute, 0, 'utf8')] = 0;
  return 0;
}

const valueArgumentsBytes = 16;

/** `struct xattr_args`: the value's address (64 bits), its size, flags (32 bits each). */
function putValueArguments(address: number, length: number): void {
  const { words } = scratch().structure;
  words[0] = address;
  words[1] = address / 2 ** 32;
  words[2] = length;
  words[3] = 0;
}

const nothingListed = (length: number): ExtendedAttribute[] | number => (length === 0 || length === -ENOTSUP ? [] : length);

/** Reads the values of the attributes whose names, each ended by a NUL, fill `length` bytes of scratch memory. */
function readValues(length: number, read: ReadValue, unreadable: UnreadableAttribute | undefined): ExtendedAttribute[] {
  const { list, value } = scratch();
  const attributes: ExtendedAttribute[] = [];
  for (let start = 0; start < length; ) {
    const end = list.bytes.indexOf(0, start);
    const name = list.bytes.toString('utf8', start, end);
    const size = read(list.address + start);
    if (size >= 0) attributes.push({ name, value: Buffer.from(value.bytes.subarray(0, size)) });
    else if (size !== -ENODATA) unreadable?.(name, size);
    start = end + 1;
  }
  return attributes;
}
