/** Listings of restic's REST protocol, version 2: a JSON array of `{"name":"...","size":1}`. */
import { HoldfastError } from '../model/errors.ts';
import type { StoredFile } from './storage.ts';

const namePattern = /^[0-9a-f]{64}$/;
/** Entries are parsed in groups of about this length, so that a listing of a million files never stands in memory as objects. */
const groupLength = 256 * 1024;

/**
 * The files of a listing. Names that are none of a repository are left out, as other storages do.
 * @param bytes the response, complete.
 * @throws `storage` when it is no listing: never a shorter one.
 */
export function* filesOfListing(bytes: Buffer, subject: string): Generator<StoredFile> {
  const start = bytes.indexOf('[') + 1;
  const end = bytes.lastIndexOf(']');
  if (start === 0 || end < start || !isBlank(bytes.subarray(0, start - 1)) || !isBlank(bytes.subarray(end + 1))) {
    if (bytes.toString('latin1', 0, 16).trim() === 'null') return;
    throw notAListing(subject);
  }
  for (let at = start; at < end; ) {
    // No name holds "},": where one did, its group would not parse.
    const cut = end - at <= groupLength ? -1 : bytes.indexOf('},', at + groupLength);
    const until = cut === -1 || cut >= end ? end : cut + 1;
    for (const entry of parseGroup(bytes.toString('utf8', at, until), subject)) {
      const { name, size } = (entry ?? {}) as { name?: unknown; size?: unknown };
      if (typeof name !== 'string' || !Number.isSafeInteger(size) || (size as number) < 0) throw notAListing(subject);
      if (namePattern.test(name)) yield { name, sizeBytes: size as number };
    }
    at = until === end ? end : until + 1;
  }
}

function parseGroup(text: string, subject: string): unknown[] {
  try {
    return JSON.parse(`[${text}]`);
  } catch (cause) {
    throw notAListing(subject, cause);
  }
}

const isBlank = (bytes: Buffer): boolean => bytes.every((byte) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d));

const notAListing = (subject: string, cause?: unknown) =>
  new HoldfastError('storage', `${subject}: what the server sent is no listing of a repository`, {
    file: subject,
    remedy: 'check that the URL leads to a server of restic’s REST protocol (version 2)',
    cause,
  });
