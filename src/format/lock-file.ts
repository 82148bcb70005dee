import { HoldfastError } from '../model/errors.ts';
import { jsonFromText, jsonFromValue } from './go-json.ts';
import { FieldError, isFields, parseFields, readCount, readText, readTime, readUint32 } from './json-fields.ts';

/**
 * What tells whether the process of a lock lives still. A field of Holdfast's own (`holdfast`), which restic ignores: see
 * repository/lock-life.ts.
 */
export type LockEvidence = {
  /** Random, one a boot of a kernel: all containers of a host have the same. */
  boot: string;
  /** The namespaces of processes and of times, as the kernel numbers them. */
  namespaces: string;
  /** When the process started, in clock ticks since the boot. */
  start: string;
  beacon?: BeaconPlace;
};

/** A byte of a file that the process keeps locked while it holds the lock: the file as the kernel numbers it, and the byte. */
export type BeaconPlace = { device: string; inode: string; offset: number };

/** A lock of a repository, as restic writes it (source: restic, internal/repository/lock.go, type Lock). */
export type LockFile = {
  /** RFC 3339 with nanoseconds: when the lock was made or last refreshed. */
  time: string;
  /** Nobody else may work on the repository; otherwise others may that don't ask for this. */
  exclusive: boolean;
  hostname: string;
  username: string;
  pid: number;
  uid: number;
  gid: number;
  evidence?: LockEvidence;
};

/** The JSON of a lock file (plaintext: not compressed, not sealed). */
export function encodeLock(lock: LockFile): Buffer {
  const { time, exclusive, hostname, username, pid, uid, gid, evidence } = lock;
  let json = `{"time":"${time}","exclusive":${exclusive},"hostname":${jsonFromText(hostname)},"username":${jsonFromText(username)},"pid":${pid}`;
  if (uid) json += `,"uid":${uid}`;
  if (gid) json += `,"gid":${gid}`;
  if (evidence !== undefined) json += `,"holdfast":${jsonFromValue(evidence)}`;
  return Buffer.from(`${json}}`, 'latin1');
}

function readFlag(value: unknown): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value !== 'boolean') throw new FieldError('exclusive is neither true nor false');
  return value;
}

/** What isn't as this version writes it proves nothing. */
function readEvidence(value: unknown): { evidence?: LockEvidence } {
  if (!isFields(value)) return {};
  const { boot, namespaces, start, beacon } = value;
  if (typeof boot !== 'string' || typeof namespaces !== 'string' || typeof start !== 'string') return {};
  const evidence = { boot, namespaces, start };
  if (!isFields(beacon)) return { evidence };
  const { device, inode, offset } = beacon;
  if (typeof device !== 'string' || typeof inode !== 'string' || typeof offset !== 'number' || !Number.isSafeInteger(offset)) return {};
  return offset < 0 ? {} : { evidence: { ...evidence, beacon: { device, inode, offset } } };
}

/** @throws `damaged` when it is not a lock; `name` is the file's, for the message. */
export function decodeLock(bytes: Buffer, name: string): LockFile {
  const fields = parseFields(bytes, `lock ${name}`);
  try {
    return {
      time: readTime(fields.time, 'time'),
      exclusive: readFlag(fields.exclusive),
      hostname: readText(fields.hostname, 'hostname'),
      username: readText(fields.username, 'username'),
      pid: readCount(fields.pid, 'pid'),
      uid: readUint32(fields.uid, 'uid'),
      gid: readUint32(fields.gid, 'gid'),
      ...readEvidence(fields.holdfast),
    };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    throw new HoldfastError('damaged', `lock ${name}: ${error.message}`, { file: `locks/${name}` });
  }
}
