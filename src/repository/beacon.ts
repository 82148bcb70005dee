/**
 * A sign of life that the kernel itself takes away when its process ends, however it ends: a lock on one byte of a file that all processes
 * of the host have, whatever container they are in (open file description locks, fcntl_locking(2)). It is the evidence for repositories in
 * directories, because a container sees nothing of the processes of another.
 */
import { randomInt } from 'node:crypto';
import { closeSync, fstatSync, openSync, statfsSync } from 'node:fs';
import { bindExecutable } from '../format/kernel/executable.ts';
import type { BeaconPlace } from '../format/lock-file.ts';
import type { Life } from './process-evidence.ts';

export type Beacon = { place: BeaconPlace; end(): void };

const native = bindExecutable(['int fcntl(int fd, int command, void* lock)']);
const fcntl = native?.[0] as ((fd: number, command: number, lock: Buffer) => number) | undefined;

/** Of include/uapi/asm-generic/fcntl.h, the same on x64 and arm64. */
const getLock = 36;
const setLock = 37;
const readLock = 0;
const writeLock = 1;
const unlocked = 2;
/** `struct flock`: type, whence, padding; start; length; process, padding. */
const lockBytes = 32;

/**
 * File systems whose locks are this kernel's own (magic numbers of statfs(2)): ext, XFS, Btrfs, tmpfs, F2FS, bcachefs, ZFS, overlay. Those
 * of networks and in user space can lose a lock while its holder lives.
 */
const trusted = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994, 0xf2f52010, 0xca451a4e, 0x2fc12fc1, 0x794c7630]);

function lockOf(type: number, offset: number): Buffer {
  const lock = Buffer.alloc(lockBytes);
  lock.writeInt16LE(type, 0);
  lock.writeBigInt64LE(BigInt(offset), 8);
  lock.writeBigInt64LE(1n, 16);
  return lock;
}

/** Opens a file and says where it is; undefined when that is no use. */
function openTrusted(path: string): { fd: number; device: string; inode: string } | undefined {
  if (fcntl === undefined) return undefined;
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    const { dev, ino } = fstatSync(fd, { bigint: true });
    if (trusted.has(statfsSync(path).type)) return { fd, device: String(dev), inode: String(ino) };
  } catch {
    // It cannot be opened: there is no beacon then.
  }
  if (fd !== undefined) closeSync(fd);
  return undefined;
}

/** Lights a beacon on a file, until this process ends; undefined where that is not possible, or would prove nothing. */
export function lightBeacon(path: string): Beacon | undefined {
  const file = openTrusted(path);
  if (file === undefined) return undefined;
  const { fd, device, inode } = file;
  const offset = randomInt(2 ** 47);
  if (fcntl?.(fd, setLock, lockOf(readLock, offset)) !== 0) {
    closeSync(fd);
    return undefined;
  }
  let lit = true;
  return {
    place: { device, inode, offset },
    end() {
      if (lit) closeSync(fd);
      lit = false;
    },
  };
}

/**
 * Whether a beacon burns. One of another boot doesn't, if its file is here: the file systems that are trusted have one kernel at a time.
 * @param path what this process knows as the file of the beacon; it may be another one.
 * @param sameBoot whether the process of the beacon ran on this kernel, since its last start.
 */
export function judgeBeacon(path: string, { device, inode, offset }: BeaconPlace, sameBoot: boolean): Life {
  const file = openTrusted(path);
  if (file === undefined) return 'unknown';
  try {
    if (file.inode !== inode) return 'unknown';
    if (!sameBoot) return 'dead';
    if (file.device !== device) return 'unknown';
    const lock = lockOf(writeLock, offset);
    if (fcntl?.(file.fd, getLock, lock) !== 0) return 'unknown';
    return lock.readInt16LE(0) === unlocked ? 'dead' : 'alive';
  } finally {
    closeSync(file.fd);
  }
}
