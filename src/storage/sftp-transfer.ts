/** Whole files and ranges over SFTP: in pieces, many of which are under way at the same time. */
import { HoldfastError } from '../model/errors.ts';
import { isStatus, pieceBytes, piecesUnderWay, type SftpClient } from './sftp-client.ts';
import { extensions, statusCodes } from './sftp-protocol.ts';
import type { ReadRange } from './storage.ts';

/** No file of a repository that is read as a whole is that long. */
const longestFileBytes = 1024 * 1024 * 1024;
/** Memory for a range up to this is set aside without asking how long the file is. */
const trustedLengthBytes = 32 * 1024 * 1024;

/** @throws `damaged` when the file is shorter than asked; what the client throws. */
export async function readFile(client: SftpClient, path: string, subject: string, range?: ReadRange): Promise<Buffer> {
  const handle = await client.openToRead(path);
  try {
    return await (range === undefined ? readWhole(client, handle, subject) : readRange(client, handle, subject, range));
  } finally {
    client.closeUnheard(handle);
  }
}

/** Most files that are read as a whole are small: their length and content are asked for at once. */
async function readWhole(client: SftpClient, handle: Buffer, subject: string): Promise<Buffer> {
  const [{ sizeBytes }, first] = await Promise.all([client.statHandle(handle), client.read(handle, 0, pieceBytes)]);
  if (sizeBytes === undefined || sizeBytes > longestFileBytes)
    throw new HoldfastError('storage', `${subject}: the server does not say a length that can be believed`, { file: subject });
  if (first.length >= sizeBytes) return Buffer.from(first.subarray(0, sizeBytes));
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  first.copy(bytes);
  await fill(client, handle, subject, { bytes: bytes.subarray(first.length), offset: first.length });
  return bytes;
}

async function readRange(client: SftpClient, handle: Buffer, subject: string, { offset, length, into }: ReadRange): Promise<Buffer> {
  // A range that an index got wrong can be gigabytes long: it must not cost that much memory to find out.
  if (length > trustedLengthBytes && offset + length > ((await client.statHandle(handle)).sizeBytes ?? 0)) throw tooShort(subject);
  const bytes = into?.subarray(0, length) ?? Buffer.allocUnsafeSlow(length);
  await fill(client, handle, subject, { bytes, offset });
  return bytes;
}

/** Reads `bytes.length` bytes from `offset`. When it ends, however it does, nothing writes to `bytes` any more. */
function fill(client: SftpClient, handle: Buffer, subject: string, { bytes, offset }: { bytes: Buffer; offset: number }): Promise<void> {
  async function readPiece(start: number): Promise<void> {
    const end = Math.min(start + pieceBytes, bytes.length);
    for (let at = start; at < end; ) {
      const read = await client.read(handle, offset + at, end - at);
      if (read.length === 0) throw tooShort(subject);
      read.copy(bytes, at);
      at += read.length;
    }
  }

  function* pieces(): Generator<() => Promise<void>> {
    for (let start = 0; start < bytes.length; start += pieceBytes) yield () => readPiece(start);
  }
  return pipelined(pieces());
}

/**
 * Writes a new file, and flushes it to the server's disk where the server can do that. When this rejects, the file may be there.
 * @throws what the client throws.
 */
export async function writeFile(client: SftpClient, handle: Buffer, parts: readonly Uint8Array[]): Promise<void> {
  let closing = false;

  function* steps(): Generator<() => Promise<void>> {
    let offset = 0;
    for (const { part, start } of piecesOf(parts)) {
      const at = offset;
      const piece = part.subarray(start, start + pieceBytes);
      offset += piece.length;
      yield () => client.write(handle, at, piece);
    }
    // The protocol promises the order of requests about one file: these need not wait for the answers to the others.
    if (client.has(extensions.fsync)) yield () => client.flush(handle);
    yield () => {
      closing = true;
      return client.close(handle);
    };
  }

  try {
    await pipelined(steps());
  } catch (error) {
    if (!closing) client.closeUnheard(handle);
    throw error;
  }
}

function* piecesOf(parts: readonly Uint8Array[]): Generator<{ part: Uint8Array; start: number }> {
  for (const part of parts) for (let start = 0; start < part.length; start += pieceBytes) yield { part, start };
}

/**
 * Begins tasks in their order, so many at a time. Ends when all that were begun have ended.
 * @throws what failed first; nothing is begun after that.
 */
export async function pipelined(tasks: Generator<() => Promise<void>>, atOnce = piecesUnderWay): Promise<void> {
  let failure: { error: unknown } | undefined;
  // All of them take from the same generator; who fails ends it for the others.
  async function takeOn(): Promise<void> {
    for (const task of tasks) {
      try {
        await task();
      } catch (error) {
        failure ??= { error };
        return;
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, takeOn));
  if (failure !== undefined) throw failure.error;
}

export const isMissing = (error: unknown): boolean => isStatus(error, statusCodes.noSuchFile);

const tooShort = (subject: string) => new HoldfastError('damaged', `${subject} is too short`, { file: subject });
