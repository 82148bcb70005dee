/**
 * Blocks of bytes that are put aside and read again: compressed in memory, and when that becomes much, in a temporary file that has no name, so
 * that nothing is left whatever happens to the process. What is in it is metadata of volumes: it is encrypted with a key that only this
 * process has ever had.
 */
import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto';
import { closeSync, constants, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { HoldfastError } from '../../model/errors.ts';

/** Where a block is: itself, or its place in the file. */
export type SpoolBlock = Buffer | { offset: number; length: number };

export type SpoolOptions = {
  /** Compressed bytes that stay in memory. */
  memoryBytes?: number;
  /** Where the file is made: TMPDIR, else `/var/tmp`, which unlike `/tmp` is no memory, else the system's. */
  folders?: readonly string[];
};

const defaultMemoryBytes = 32 * 1024 * 1024;
const cipher = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;

const temporaryFolders = (): readonly string[] => [...new Set([process.env.TMPDIR ?? '/var/tmp', tmpdir()])];

export class Spool {
  private readonly memoryBytes: number;
  private readonly folders: readonly string[];
  private readonly key = randomBytes(32);
  private memoryUsed = 0;
  private fd = -1;
  private folder = '';
  private end = 0;
  private sealed = 0;
  private closed = false;

  constructor({ memoryBytes = defaultMemoryBytes, folders = temporaryFolders() }: SpoolOptions = {}) {
    this.memoryBytes = memoryBytes;
    this.folders = folders;
  }

  /** How much is in the file. */
  get fileBytes(): number {
    return this.end;
  }

  /** @throws `temporary-space` when the file cannot be made or written. */
  put(bytes: Uint8Array): SpoolBlock {
    if (this.closed) throw new HoldfastError('internal', 'a spool was used after its end');
    const compressed = zstdCompressSync(bytes);
    if (this.fd < 0 && this.memoryUsed + compressed.length <= this.memoryBytes) {
      this.memoryUsed += compressed.length;
      return compressed;
    }
    return this.write(this.seal(compressed));
  }

  /** @throws `temporary-space` when the file cannot be read, or has other bytes than were written. */
  get(block: SpoolBlock): Buffer {
    return zstdDecompressSync(Buffer.isBuffer(block) ? block : this.read(block));
  }

  /** Forgets all blocks. The spool can be used no more. */
  close(): void {
    this.closed = true;
    if (this.fd < 0) return;
    // A descriptor that another thread's child has inherited would keep the space.
    ftruncateSync(this.fd, 0);
    closeSync(this.fd);
    this.fd = -1;
  }

  private seal(plain: Buffer): Buffer {
    const nonce = Buffer.alloc(nonceBytes);
    nonce.writeUIntBE(++this.sealed, 0, 6);
    const encrypt = createCipheriv(cipher, this.key, nonce);
    return Buffer.concat([nonce, encrypt.update(plain), encrypt.final(), encrypt.getAuthTag()]);
  }

  private write(bytes: Buffer): SpoolBlock {
    if (this.fd < 0) this.open();
    const block = { offset: this.end, length: bytes.length };
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(this.fd, bytes, done, bytes.length - done, block.offset + done);
    } catch (cause) {
      throw failure(`cannot write a temporary file in ${this.folder} (${(cause as NodeJS.ErrnoException).code})`, cause);
    }
    this.end += bytes.length;
    return block;
  }

  private read({ offset, length }: { offset: number; length: number }): Buffer {
    try {
      const bytes = Buffer.allocUnsafe(length);
      for (let done = 0; done < length; ) {
        const got = readSync(this.fd, bytes, done, length - done, offset + done);
        if (got === 0) throw new Error('it has become shorter');
        done += got;
      }
      const decrypt = createDecipheriv(cipher, this.key, bytes.subarray(0, nonceBytes));
      decrypt.setAuthTag(bytes.subarray(length - tagBytes));
      return Buffer.concat([decrypt.update(bytes.subarray(nonceBytes, length - tagBytes)), decrypt.final()]);
    } catch (cause) {
      throw failure(`a temporary file in ${this.folder} cannot be read back: ${(cause as Error).message}`, cause);
    }
  }

  private open(): void {
    let error: unknown;
    for (const folder of this.folders) {
      const path = join(folder, `.holdfast-${randomUUID()}`);
      try {
        this.fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
        this.folder = folder;
        unlinkSync(path);
        return;
      } catch (cause) {
        error = cause;
      }
    }
    const code = (error as NodeJS.ErrnoException).code;
    throw failure(`no temporary file can be made in ${this.folders.join(' or ')} (${code})`, error);
  }
}

const failure = (message: string, cause: unknown): HoldfastError => new HoldfastError('temporary-space', message, { cause });
