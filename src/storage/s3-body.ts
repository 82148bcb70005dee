/** What comes back from a bucket, held against what was asked for. */
import { HoldfastError } from '../model/errors.ts';
import type { RestResponse } from './rest-transport.ts';
import { type FileKind, longestFileBytes, type ReadRange } from './storage.ts';

/** Memory for a body is set aside up to this at once; what claims to be longer must prove it by sending. */
const trustedLengthBytes = 32 * 1024 * 1024;

/**
 * Reads an answer's body into `range.into`, or into new memory.
 * @throws `damaged` when the file is shorter than asked; `storage` when the answer is not what was asked for, or breaks off.
 */
export async function readBody(response: RestResponse, subject: string, kind: FileKind, range: ReadRange | undefined): Promise<Buffer> {
  const length = range === undefined ? checkedLength(response, subject) : checkedRange(response, subject, range);
  if (range === undefined && length > longestFileBytes(kind)) throw wrongAnswer(subject, `it announced ${length} bytes`);
  let bytes = range?.into?.subarray(0, length) ?? Buffer.allocUnsafeSlow(Math.min(length, trustedLengthBytes));
  let done = 0;
  for await (const chunk of response.body) {
    if (done + chunk.length > length) throw wrongAnswer(subject, 'it sent more than it announced');
    if (done + chunk.length > bytes.length) bytes = grown(bytes, done + chunk.length, length);
    bytes.set(chunk, done);
    done += chunk.length;
  }
  if (done < length) throw wrongAnswer(subject, 'the connection ended in the middle');
  return bytes.subarray(0, length);
}

/** A copy with room for `needed` bytes and as many as came so far, at most `length`. */
function grown(bytes: Buffer, needed: number, length: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(Math.min(length, Math.max(needed, 2 * bytes.length)));
  bytes.copy(larger);
  return larger;
}

/** @throws `storage` for an answer that doesn't say how long the file is. */
export function checkedLength(response: RestResponse, subject: string): number {
  const said = response.header('content-length');
  if (said === undefined || !/^\d{1,15}$/.test(said)) throw wrongAnswer(subject, 'it did not say how long the file is');
  return Number(said);
}

/** The length that was asked for, if that is what comes. */
function checkedRange(response: RestResponse, subject: string, { offset, length }: ReadRange): number {
  const sent = checkedLength(response, subject);
  const [, start, totalBytes] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.header('content-range') ?? '')?.map(Number) ?? [];
  // Some answer with the whole file when that is the range.
  if (start === undefined || totalBytes === undefined) {
    if (offset === 0 && sent === length) return length;
    if (response.status === 200 && sent < offset + length) throw tooShort(subject);
    throw wrongAnswer(subject, 'it did not send the part that was asked for');
  }
  if (totalBytes < offset + length) throw tooShort(subject);
  if (start !== offset || sent !== length) throw wrongAnswer(subject, 'it sent another part than was asked for');
  return length;
}

const tooShort = (subject: string) => new HoldfastError('damaged', `${subject} is too short`, { file: subject });

const wrongAnswer = (subject: string, what: string) =>
  new HoldfastError('storage', `cannot read ${subject}: the answer of the server is not usable: ${what}`, { file: subject });
