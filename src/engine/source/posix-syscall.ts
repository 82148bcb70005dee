/**
 * The way to the Linux kernel: the C library's `syscall` through koffi. Going through that one symbol keeps the C
 * library's differences out (glibc and musl disagree on which wrappers exist and how wide `off_t` is): numbers of
 * calls and layouts of structures are the kernel's own, which never change.
 *
 * Nothing is loaded before the first call: importing this on another system is harmless, and commands that touch no
 * volume don't pay for it.
 *
 * The files `posix-*.ts` share a convention: functions return zero or more (or what they are asked for), or a negative errno, which `errnoName`
 * names; they throw nothing but `unsupported` on other systems. Each worker thread has its own copy of this module, and so its own scratch memory.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { HoldfastError } from '../../model/errors.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { EINVAL, ENAMETOOLONG } from './posix-constants.ts';

/** Numbers of the calls: [x64, arm64], from `arch/x86/entry/syscalls/syscall_64.tbl` and `asm-generic/unistd.h`. */
const callNumbers = {
  close: [3, 57],
  fadvise64: [221, 223],
  fallocate: [285, 47],
  fchmod: [91, 52],
  fchmodat: [268, 53],
  fchmodat2: [452, 452],
  fchown: [93, 55],
  fchownat: [260, 54],
  fdatasync: [75, 83],
  fgetxattr: [193, 10],
  flistxattr: [196, 13],
  fremovexattr: [199, 16],
  fsetxattr: [190, 7],
  fstatfs: [138, 44],
  fsync: [74, 82],
  ftruncate: [77, 46],
  getdents64: [217, 61],
  getxattrat: [464, 464],
  landlock_add_rule: [445, 445],
  landlock_create_ruleset: [444, 444],
  landlock_restrict_self: [446, 446],
  lgetxattr: [192, 9],
  linkat: [265, 37],
  listxattrat: [465, 465],
  llistxattr: [195, 12],
  lremovexattr: [198, 15],
  lseek: [8, 62],
  lsetxattr: [189, 6],
  mkdirat: [258, 34],
  mknodat: [259, 33],
  openat: [257, 56],
  openat2: [437, 437],
  prctl: [157, 167],
  pread64: [17, 67],
  pwrite64: [18, 68],
  read: [0, 63],
  readlinkat: [267, 78],
  removexattrat: [466, 466],
  renameat2: [316, 276],
  setxattrat: [463, 463],
  statx: [332, 291],
  symlinkat: [266, 36],
  syncfs: [306, 267],
  umask: [95, 166],
  unlinkat: [263, 35],
  utimensat: [280, 88],
} as const satisfies Record<string, readonly [x64: number, arm64: number]>;

export type CallName = keyof typeof callNumbers;
export type CallNumbers = Record<CallName, number>;

/** The table itself, for the test that compares it with the kernel's headers. */
export const callNumberTable: Record<CallName, readonly [x64: number, arm64: number]> = callNumbers;

/** The calls' numbers on this machine. */
export const sys: CallNumbers = Object.fromEntries(
  Object.entries(callNumbers).map(([name, [x64, arm64]]) => [name, process.arch === 'arm64' ? arm64 : x64]),
) as CallNumbers;

type Raw = (...values: number[]) => number;
type Koffi = typeof import('koffi');

type RawAside = Raw & { async: (...values: [...number[], (error: unknown, result: number) => void]) => void };

type Native = {
  koffi: Koffi;
  errno: () => number;
  one: RawAside;
  two: Raw;
  three: Raw;
  four: Raw;
  five: Raw;
  six: Raw;
  /** Three arguments and a 64-bit result. */
  wide: Raw;
};

let loaded: Native | undefined;

function load(): Native {
  if (process.platform !== 'linux' || (process.arch !== 'x64' && process.arch !== 'arm64')) {
    throw new HoldfastError('unsupported', `volumes cannot be read or written on ${process.platform} ${process.arch}`, {
      remedy: 'run Holdfast on Linux (x64 or arm64), for example in a container',
    });
  }
  const koffi = createRequire(import.meta.url)('koffi') as Koffi;
  const library = koffi.load(null);
  // Addresses and positions are passed as plain numbers: both stay below 2^53, and no bigint is allocated.
  const declare = (argumentCount: number, result = 'int'): Raw =>
    library.func('syscall', result, ['int', ...Array<string>(argumentCount).fill('int64')]) as Raw;
  loaded = {
    koffi,
    errno: koffi.errno as () => number,
    one: declare(1) as RawAside,
    two: declare(2),
    three: declare(3),
    four: declare(4),
    five: declare(5),
    six: declare(6),
    wide: declare(3, 'int64'),
  };
  return loaded;
}

const native = (): Native => loaded ?? load();

/** @throws `unsupported` on other systems than Linux. */
export const loadKoffi = (): Koffi => native().koffi;

/*
 * Each returns what the kernel returns: zero or more, or a negative errno.
 * @throws `unsupported` on other systems than Linux.
 */

export function call1(number: number, a: number): number {
  const kernel = native();
  const result = kernel.one(number, a);
  return result < 0 ? -kernel.errno() : result;
}

/** In another thread. @returns whether it succeeded: the error's number is that thread's, and lost. */
export function call1Aside(number: number, a: number): Promise<boolean> {
  return new Promise((resolve) => native().one.async(number, a, (error, result) => resolve(!error && result >= 0)));
}

export function call2(number: number, a: number, b: number): number {
  const kernel = native();
  const result = kernel.two(number, a, b);
  return result < 0 ? -kernel.errno() : result;
}

export function call3(number: number, a: number, b: number, c: number): number {
  const kernel = native();
  const result = kernel.three(number, a, b, c);
  return result < 0 ? -kernel.errno() : result;
}

export function call4(number: number, a: number, b: number, c: number, d: number): number {
  const kernel = native();
  const result = kernel.four(number, a, b, c, d);
  return result < 0 ? -kernel.errno() : result;
}

export function call5(number: number, a: number, b: number, c: number, d: number, e: number): number {
  const kernel = native();
  const result = kernel.five(number, a, b, c, d, e);
  return result < 0 ? -kernel.errno() : result;
}

export function call6(number: number, a: number, b: number, c: number, d: number, e: number, f: number): number {
  const kernel = native();
  const result = kernel.six(number, a, b, c, d, e, f);
  return result < 0 ? -kernel.errno() : result;
}

/** With a result that may be greater than 2^31, such as a position in a file. */
export function call3Wide(number: number, a: number, b: number, c: number): number {
  const kernel = native();
  const result = kernel.wide(number, a, b, c);
  return result < 0 ? -kernel.errno() : result;
}

/** Memory that the kernel reads or writes, outside of V8's moving heap, with its address. */
export type Memory = { bytes: Buffer; words: Uint32Array; address: number };

export function allocate(sizeBytes: number): Memory {
  const memory = new ArrayBuffer(sizeBytes);
  return { bytes: Buffer.from(memory), words: new Uint32Array(memory), address: Number(loadKoffi().address(memory)) };
}

type Scratch = { name: Memory; otherName: Memory; structure: Memory; list: Memory; value: Memory };
let scratchMemory: Scratch | undefined;

/**
 * Memory reused by every call of this thread, so that the hot path allocates nothing. What is in it is valid until the next call of
 * this layer: a function that reads from it copies out before it returns.
 */
export function scratch(): Scratch {
  scratchMemory ??= {
    name: allocate(longestPathBytes + 1),
    otherName: allocate(longestPathBytes + 1),
    structure: allocate(512),
    // Directory entries, and lists of attribute names (64 KiB at most, `XATTR_LIST_MAX`).
    list: allocate(256 * 1024),
    // Values of attributes (64 KiB at most, `XATTR_SIZE_MAX`), and symlink targets.
    value: allocate(64 * 1024),
  };
  return scratchMemory;
}

/** What the kernel takes in one path, without the final NUL (`PATH_MAX` is 4096 with it). */
export const longestPathBytes = 4095;

// Raw strings have no characters beyond U+00FF; one that did would be cut to its low byte, which might be a slash.
const notInPath = /[\0\u0100-\uffff]/;
const notInName = /[\0/\u0100-\uffff]/;

/** Puts a NUL-terminated path, or a symlink's target, where the kernel can read it. Returns 0, -EINVAL or -ENAMETOOLONG. */
export function putPath(memory: Memory, path: string): number {
  if (path.length > longestPathBytes) return -ENAMETOOLONG;
  if (notInPath.test(path)) return -EINVAL;
  memory.bytes.write(path, 0, 'latin1');
  memory.bytes[path.length] = 0;
  return 0;
}

/**
 * As {@link putPath}, for a name in a directory: anything that would lead out of that directory, or name the directory itself, is
 * refused with -EINVAL, so that no caller can be tricked by a name that came from a repository.
 */
export function putName(memory: Memory, name: RawString): number {
  const length = name.length;
  if (length <= 2 && (length === 0 || name === '.' || (name as string) === '..')) return -EINVAL;
  if (length > longestPathBytes) return -ENAMETOOLONG;
  if (notInName.test(name)) return -EINVAL;
  memory.bytes.write(name, 0, 'latin1');
  memory.bytes[length] = 0;
  return 0;
}

/**
 * Puts the path of a descriptor (`/proc/self/fd/5`), or of a name in a directory's descriptor: the way around calls that take paths
 * only. Returns 0 or as {@link putName}.
 * @throws `unsupported` when /proc is not mounted: the kernel would say of every file that it is not there.
 */
export function putDescriptorPath(memory: Memory, fd: number, name?: RawString): number {
  requireProc();
  const prefix = `/proc/self/fd/${fd}`;
  if (name === undefined) return putPath(memory, prefix);
  const refused = putName(memory, name);
  return refused < 0 ? refused : putPath(memory, `${prefix}/${name}`);
}

let procIsMounted = false;

function requireProc(): void {
  if (procIsMounted) return;
  procIsMounted = existsSync('/proc/self/fd');
  if (!procIsMounted)
    throw new HoldfastError('unsupported', 'attributes of files cannot be reached because /proc is not mounted', { remedy: 'mount /proc' });
}

const addresses = new WeakMap<ArrayBufferLike, number>();

/**
 * The address of `buffer[offset]`, for `length` bytes.
 * @throws RangeError when they are not all inside the buffer: the kernel would write over other memory.
 */
export function addressInside(buffer: Uint8Array, offset: number, length: number): number {
  if (!(offset >= 0 && length >= 0 && offset + length <= buffer.byteLength)) {
    throw new RangeError(`${length} bytes at ${offset} are outside of a buffer of ${buffer.byteLength} bytes`);
  }
  const memory = buffer.buffer;
  let address = addresses.get(memory);
  if (address === undefined) {
    address = Number(loadKoffi().address(memory));
    addresses.set(memory, address);
  }
  return address + buffer.byteOffset + offset;
}
