/**
 * The files of a cache: copies of a repository's files, under its kinds and names. Losing them costs time only: nothing is flushed, what
 * cannot be kept is not kept, and what does not hash to its name is thrown away.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, statfs, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Hex } from '../format/kernel/sha256.ts';
import type { FileRef } from './storage.ts';

const directoryMode = 0o700;
const fileMode = 0o600;
const pieceBytes = 1024 * 1024;
/** So much of the disk is left to others. */
const leastFreeShare = 0.05;
const namePattern = /^[0-9a-f]{64}$/;

/** The signature of https://bford.info/cachedir/, so that backups leave caches out. */
const cacheTag = 'Signature: 8a477f597d28d172789f06886806bc55\n# A cache of Holdfast: it may be removed at any time.\n';

export class CacheFiles {
  private readonly folder: string;
  /** Files of this thread's that hash to their names, as was seen once. */
  private readonly verified = new Set<string>();
  private made: Promise<void> | undefined;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** A whole file, or undefined when there is none that is intact. */
  async load(file: FileRef): Promise<Buffer | undefined> {
    const bytes = await readFile(this.pathOf(file)).catch(() => undefined);
    if (bytes === undefined || sha256Hex(bytes) === file.name) return bytes;
    await this.drop(file);
    return undefined;
  }

  /** A range of a file; undefined when there is no such file that is intact. The whole is verified the first time. */
  async loadRange(file: FileRef, offset: number, length: number, into: Buffer | undefined): Promise<Buffer | undefined> {
    const handle = await open(this.pathOf(file)).catch(() => undefined);
    if (handle === undefined) return undefined;
    try {
      if (!this.verified.has(file.name)) {
        const hash = createHash('sha256');
        for await (const piece of handle.createReadStream({ start: 0, autoClose: false, highWaterMark: pieceBytes })) hash.update(piece);
        if (hash.digest('hex') !== file.name) throw new Error('damaged');
        this.verified.add(file.name);
        // The least recently used go first; see `trimCaches`.
        await handle.utimes(new Date(), new Date());
      }
      const bytes = into?.subarray(0, length) ?? Buffer.allocUnsafeSlow(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) throw new Error('too short');
        done += bytesRead;
      }
      return bytes;
    } catch {
      await this.drop(file);
      return undefined;
    } finally {
      await handle.close().catch(() => undefined);
    }
  }

  /** @returns whether it was kept: not when the disk is nearly full or cannot be written. */
  async keep(file: FileRef, parts: readonly Uint8Array[] | AsyncIterable<Uint8Array>): Promise<boolean> {
    const path = this.pathOf(file);
    const temporary = `${path}-tmp-${randomBytes(6).toString('hex')}`;
    try {
      this.made ??= this.make();
      await this.made;
      const { bavail, blocks } = await statfs(this.folder);
      if (blocks > 0 && bavail / blocks < leastFreeShare) return false;
      await writeFile(temporary, parts, { flag: 'wx', mode: fileMode });
      await rename(temporary, path);
      return true;
    } catch {
      await rm(temporary, { force: true }).catch(() => undefined);
      return false;
    }
  }

  async drop(file: FileRef): Promise<void> {
    this.verified.delete(file.name);
    await rm(this.pathOf(file), { force: true }).catch(() => undefined);
  }

  async names(kind: FileRef['kind']): Promise<string[]> {
    const names = await readdir(join(this.folder, kind)).catch(() => []);
    return names.filter((name) => namePattern.test(name));
  }

  private async make(): Promise<void> {
    for (const kind of ['index', 'snapshots', 'data']) await mkdir(join(this.folder, kind), { recursive: true, mode: directoryMode });
    await writeFile(join(this.folder, 'CACHEDIR.TAG'), cacheTag, { mode: fileMode });
    await utimes(this.folder, new Date(), new Date());
  }

  private pathOf({ kind, name }: FileRef): string {
    if (!namePattern.test(name)) throw new Error('a cache has files of 64 hexadecimal characters only');
    return join(this.folder, kind, name);
  }
}
