/** What comes back from a bucket, held against what was asked for. */
import type { Readable } from 'node:stream';
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { HoldfastError } from '../model/errors.ts';
import { type FileKind, longestFileBytes, type ReadRange } from './storage.ts';

/** Memory for a body is set aside up to this at once; what claims to be longer must prove it by sending. */
const trustedLengthBytes = 32 * 1024 * 1024;

type Answer = Pick<GetObjectCommandOutput, 'Body' | 'ContentLength' | 'ContentRange' | '$metadata'>;

/**
 * Reads an answer's body into `range.into`, or into new memory; a body that is not wanted is cut off.
 * @throws `damaged` when the file is shorter than asked; `storage` when the answer is not what was asked for, or breaks off.
 */
export async function readBody(answer: Answer, subject: string, kind: FileKind, range: ReadRange | undefined): Promise<Buffer> {
  const body = answer.Body as unknown as Readable;
  try {
    const length = range === undefined ? checkedLength(answer, subject) : checkedRange(answer, subject, range);
    if (range === undefined && length > longestFileBytes(kind)) throw wrongAnswer(subject, `it announced ${length} bytes`);
    let bytes = range?.into?.subarray(0, length) ?? Buffer.allocUnsafeSlow(Math.min(length, trustedLengthBytes));
    let done = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (done + chunk.length > length) throw wrongAnswer(subject, 'it sent more than it announced');
      if (done + chunk.length > bytes.length) bytes = grown(bytes, done + chunk.length, length);
      bytes.set(chunk, done);
      done += chunk.length;
    }
    if (done < length) throw wrongAnswer(subject, 'the connection ended in the middle');
    return bytes.subarray(0, length);
  } finally {
    body.destroy();
  }
}

/** A copy with room for `needed` bytes and as many as came so far, at most `length`. */
function grown(bytes: Buffer, needed: number, length: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(Math.min(length, Math.max(needed, 2 * bytes.length)));
  bytes.copy(larger);
  return larger;
}

/** @throws `storage` for an answer that doesn't say how long the file is. */
export function checkedLength({ ContentLength: length }: Pick<Answer, 'ContentLength'>, subject: string): number {
  if (length === undefined || !Number.isSafeInteger(length) || length < 0)
    throw wrongAnswer(subject, 'it did not say how long the file is');
  return length;
}

/** The length that was asked for, if that is what comes. */
function checkedRange(answer: Answer, subject: string, { offset, length }: ReadRange): number {
  const sent = checkedLength(answer, subject);
  const [, start, totalBytes] = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.ContentRange ?? '')?.map(Number) ?? [];
  // Some answer with the whole file when that is the range.
  if (start === undefined || totalBytes === undefined) {
    if (offset === 0 && sent === length) return length;
    if (answer.$metadata.httpStatusCode === 200 && sent < offset + length) throw tooShort(subject);
    throw wrongAnswer(subject, 'it did not send the part that was asked for');
  }
  if (totalBytes < offset + length) throw tooShort(subject);
  if (start !== offset || sent !== length) throw wrongAnswer(subject, 'it sent another part than was asked for');
  return length;
}

const tooShort = (subject: string) => new HoldfastError('damaged', `${subject} is too short`, { file: subject });

const wrongAnswer = (subject: string, what: string) =>
  new HoldfastError('storage', `cannot read ${subject}: the answer of the server is not usable: ${what}`, { file: subject });
