/** Receives the bodies of responses, into memory that is bounded, and holds their lengths against what was announced. */
import { HoldfastError } from '../model/errors.ts';
import type { RestResponse } from './rest-transport.ts';

/** Memory for a body is set aside up to this at once; what claims to be longer must prove it by sending. */
const trustedLengthBytes = 32 * 1024 * 1024;

/**
 * Exactly `length` bytes, into `into` when it is given.
 * @throws `storage` when there come fewer or more: the connection broke, for the response was announced with this length.
 */
export async function receiveInto(response: RestResponse, length: number, into: Buffer | undefined, subject: string): Promise<Buffer> {
  if (into === undefined && length > trustedLengthBytes) {
    const bytes = await receiveWhole(response, length, subject);
    if (bytes.length < length) throw brokenOff(subject, bytes.length, length);
    return bytes;
  }
  const target = into?.subarray(0, length) ?? Buffer.allocUnsafeSlow(length);
  let received = 0;
  for await (const chunk of response.body) {
    if (received + chunk.length > length) throw tooLong(subject, length);
    target.set(chunk, received);
    received += chunk.length;
  }
  if (received < length) throw brokenOff(subject, received, length);
  return target;
}

/** All of a body. @throws `storage` when it is longer than `longestBytes`, or not as long as the server said. */
export async function receiveWhole(response: RestResponse, longestBytes: number, subject: string): Promise<Buffer> {
  const announced = response.header('content-length');
  if (announced !== undefined && Number(announced) <= Math.min(longestBytes, trustedLengthBytes))
    return receiveInto(response, Number(announced), undefined, subject);
  const chunks: Uint8Array[] = [];
  let received = 0;
  for await (const chunk of response.body) {
    received += chunk.length;
    if (received > longestBytes) throw tooLong(subject, longestBytes);
    chunks.push(chunk);
  }
  if (announced !== undefined && Number(announced) !== received) throw brokenOff(subject, received, announced);
  return Buffer.concat(chunks, received);
}

const brokenOff = (subject: string, received: number, expected: number | string) =>
  new HoldfastError('storage', `${subject}: the transfer broke off after ${received} of ${expected} bytes`, { file: subject });

const tooLong = (subject: string, longestBytes: number) =>
  new HoldfastError('storage', `${subject}: the server sent more than ${longestBytes} bytes`, { file: subject });
