/** An archive as it is given, compressed or not, to the bytes of the tar stream; what was given is hashed on its way. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { HoldfastError } from '../../model/errors.ts';
import { ByteSource } from '../source/byte-source.ts';

export type ArchiveInput = {
  bytes: AsyncIterable<Uint8Array>;
  /** SHA-256 of what was given, in hexadecimal; once `bytes` were read to their end. */
  digest(): string;
};

type Decompress = (bytes: AsyncIterable<Uint8Array>, signal: AbortSignal) => AsyncIterable<Uint8Array>;
type Compression = { magic: Buffer; name: string; decompress: Decompress };

/** `age-encryption.org/v1`, binary or armoured. */
const encrypted = /^(age-encryption\.org\/|-----BEGIN AGE)/;

/** Bytes of a stream's beginning by which its kind is known. */
const headBytes = 32;

/**
 * The bytes of a tar stream out of a stream that may be compressed with gzip, zstd, xz or bzip2, the last two by their programs. How it is
 * compressed is seen from its first bytes.
 * @param maxBytes of the tar stream.
 * @throws `archive-damaged` when it is cut or changed; `archive-too-large`; `unsupported` when it is encrypted or the program is missing;
 * all of it while the bytes are read.
 */
export function openArchive(given: AsyncIterable<Uint8Array>, maxBytes: number, signal: AbortSignal): ArchiveInput {
  const hash = createHash('sha256');
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const bytes of given) {
      hash.update(bytes);
      yield bytes;
    }
  }
  return { bytes: bounded(decompressed(hashed(), signal), maxBytes), digest: () => hash.digest('hex') };
}

async function* decompressed(given: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const source = new ByteSource(given);
  const head = Buffer.from(await source.take(headBytes));
  async function* all(): AsyncGenerator<Uint8Array> {
    yield head;
    for (let bytes = await source.some(Infinity); bytes.length > 0; bytes = await source.some(Infinity)) yield bytes;
  }
  if (encrypted.test(head.toString('latin1'))) {
    await source.close();
    throw new HoldfastError('unsupported', 'the archive is encrypted with age', {
      remedy: 'decrypt it on its way: `age --decrypt -i KEYFILE FILE | holdfast import -`',
    });
  }
  const compression = compressions.find(({ magic }) => head.subarray(0, magic.length).equals(magic));
  try {
    if (compression === undefined) yield* all();
    else yield* through(all(), compression, signal);
  } finally {
    await source.close();
  }
}

/** What a decompressor says is that the archive is damaged; what the source says stays as it is. */
async function* through(
  bytes: AsyncIterable<Uint8Array>,
  { name, decompress }: Compression,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let sourceError: unknown;
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      yield* bytes;
    } catch (error) {
      sourceError = error;
      throw error;
    }
  }
  try {
    yield* decompress(watched(), signal);
  } catch (error) {
    if (sourceError !== undefined) throw sourceError;
    if (error instanceof HoldfastError || signal.aborted) throw error;
    throw new HoldfastError('archive-damaged', `the archive is no whole ${name} file: ${(error as Error).message}`, { cause: error });
  }
}

async function* bounded(bytes: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let total = 0;
  for await (const part of bytes) {
    total += part.length;
    if (total > maxBytes) throw tooLarge(maxBytes);
    yield part;
  }
}

export const tooLarge = (maxBytes: number): HoldfastError =>
  new HoldfastError('archive-too-large', `the archive holds more than ${maxBytes} bytes`);

/** Through the thread pool. */
const byZlib = (create: () => NodeJS.ReadWriteStream): Decompress =>
  function decompressing(bytes, signal) {
    const end = new PassThrough({ highWaterMark: 1024 * 1024 });
    pipeline(bytes, create(), end, { signal }).catch((error) => end.destroy(error));
    return end;
  };

/** Through `PROGRAM --decompress --stdout`, which is ended when nobody reads on. */
const byProgram = (program: string): Decompress =>
  async function* decompressing(bytes, signal) {
    const child = spawn(program, ['--decompress', '--stdout'], { stdio: ['pipe', 'pipe', 'pipe'], signal });
    let said = '';
    child.stderr.on('data', (text: Buffer) => {
      said = (said + text.toString('latin1')).slice(0, 500);
    });
    const ended = new Promise<void>((resolve, reject) => {
      child.once('error', (cause: NodeJS.ErrnoException) => reject(cause.code === 'ENOENT' ? missing(program) : cause));
      child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(said.trim().split('\n')[0] || `${program} failed`))));
    });
    // What goes wrong with the source ends the program, which then fails.
    const feeding = pipeline(bytes, child.stdin).catch(() => child.kill('SIGKILL'));
    try {
      ended.catch(() => undefined);
      yield* child.stdout;
      await ended;
      await feeding;
    } finally {
      child.kill('SIGKILL');
    }
  };

const missing = (program: string): HoldfastError =>
  new HoldfastError('unsupported', `the archive needs the program ${program}, which is not there`, { remedy: `install ${program}` });

const compressions: readonly Compression[] = [
  { magic: Buffer.from('1f8b', 'hex'), name: 'gzip', decompress: byZlib(() => createGunzip({ chunkSize: 256 * 1024 })) },
  { magic: Buffer.from('28b52ffd', 'hex'), name: 'zstd', decompress: byZlib(() => createZstdDecompress({ chunkSize: 256 * 1024 })) },
  { magic: Buffer.from('fd377a585a00', 'hex'), name: 'xz', decompress: byProgram('xz') },
  { magic: Buffer.from('BZh'), name: 'bzip2', decompress: byProgram('bzip2') },
];
