/** Packs for a storage that must know a file's name and length before its bytes: they wait in an unlinked file until they are complete. */
import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HoldfastError } from '../model/errors.ts';
import type { PendingFile, Storage } from './storage.ts';

/** What is sent is read in pieces of this size. */
const pieceBytes = 64 * 1024;

/**
 * Gives a storage that has `writeFrom` a `begin`, as restic does: a pack takes disk space in `folder` instead of memory while it fills and
 * while it is sent. What waits there is sealed, and gone with the process. Where no file can be made or the disk is full, it waits in memory.
 * @param folder Default: that for temporary files of the system (TMPDIR).
 */
export function withSpool(storage: Storage, folder: string = tmpdir()): Storage {
  const { writeFrom } = storage;
  if (writeFrom === undefined) return storage;
  return {
    ...storage,
    async begin(holds): Promise<PendingFile> {
      const spool = await Spool.open(folder);
      return {
        append: (bytes) => spool.append(bytes),
        async commit(name) {
          const source = { sizeBytes: spool.sizeBytes, pieces: () => ofHash(spool.pieces(), name) };
          await writeFrom.call(storage, { kind: 'data', name, ...(holds && { holds }) }, source);
          await spool.close();
        },
        discard: () => spool.close(),
      };
    },
  };
}

/**
 * The last piece comes only when all are what was hashed as it was written: storages that check nothing themselves (rclone) would keep
 * what a disk has changed.
 */
async function* ofHash(pieces: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let last: Uint8Array | undefined;
  for await (const piece of pieces) {
    hash.update(piece);
    if (last !== undefined) yield last;
    last = piece;
  }
  if (hash.digest('hex') !== name) throw notReadBack();
  if (last !== undefined) yield last;
}

const notReadBack = (cause?: unknown): HoldfastError =>
  new HoldfastError('temporary-space', 'a pack that waited in a temporary file is not what was written there', {
    remedy: 'check the disk of the folder for temporary files, or name another by the environment variable TMPDIR; then run again',
    cause,
  });

class Spool {
  sizeBytes = 0;
  private file: FileHandle | undefined;
  /** What found no room in the file, behind what is there. */
  private readonly rest: Buffer[] = [];
  private spooledBytes = 0;

  private constructor(file: FileHandle | undefined) {
    this.file = file;
  }

  static async open(folder: string): Promise<Spool> {
    const path = join(folder, `holdfast-${randomUUID()}`);
    const file = await open(path, 'wx+', 0o600).catch(() => undefined);
    await unlink(path).catch(() => undefined);
    return new Spool(file);
  }

  async append(bytes: Uint8Array): Promise<void> {
    this.sizeBytes += bytes.length;
    let done = 0;
    while (done < bytes.length && this.rest.length === 0) {
      const written = await this.file?.write(bytes, done, bytes.length - done, this.spooledBytes).catch(() => undefined);
      if (written === undefined || written.bytesWritten === 0) break;
      done += written.bytesWritten;
      this.spooledBytes += written.bytesWritten;
    }
    if (done < bytes.length) this.rest.push(Buffer.from(bytes.subarray(done)));
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < this.spooledBytes; ) {
      const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, this.spooledBytes - at));
      const { bytesRead } = await this.read(piece, at);
      if (bytesRead === 0) throw notReadBack();
      at += bytesRead;
      yield piece.subarray(0, bytesRead);
    }
    yield* this.rest;
  }

  private async read(piece: Buffer, at: number): Promise<{ bytesRead: number }> {
    try {
      return (await this.file?.read(piece, 0, piece.length, at)) ?? { bytesRead: 0 };
    } catch (cause) {
      throw notReadBack(cause);
    }
  }

  async close(): Promise<void> {
    const { file } = this;
    this.file = undefined;
    await file?.close().catch(() => undefined);
  }
}
