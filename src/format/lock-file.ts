import { HoldfastError } from '../model/errors.ts';
import { jsonFromText } from './go-json.ts';
import { FieldError, parseFields, readCount, readText, readTime, readUint32 } from './json-fields.ts';

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
};

/** The JSON of a lock file (plaintext: not compressed, not sealed). */
export function encodeLock(lock: LockFile): Buffer {
  const { time, exclusive, hostname, username, pid, uid, gid } = lock;
  let json = `{"time":"${time}","exclusive":${exclusive},"hostname":${jsonFromText(hostname)},"username":${jsonFromText(username)},"pid":${pid}`;
  if (uid) json += `,"uid":${uid}`;
  if (gid) json += `,"gid":${gid}`;
  return Buffer.from(`${json}}`, 'latin1');
}

function readFlag(value: unknown): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value !== 'boolean') throw new FieldError('exclusive is neither true nor false');
  return value;
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
    };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    throw new HoldfastError('damaged', `lock ${name}: ${error.message}`, { file: `locks/${name}` });
  }
}
