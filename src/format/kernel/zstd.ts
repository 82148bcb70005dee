import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { HoldfastError } from '../../model/errors.ts';
import { bindExecutable } from './executable.ts';

/** The largest output of zstd for an input of `length` bytes (ZSTD_COMPRESSBOUND of zstd.h). */
export function compressBound(length: number): number {
  return length + (length >>> 8) + (length < 131_072 ? (131_072 - length) >>> 11 : 0) + 64;
}

export type Zstd = {
  /** Compresses into `target`, which has room for compressBound(source.length). @returns the bytes written. */
  compress(source: Uint8Array, target: Buffer, level: number): number;
  /**
   * Decompresses into `target`, and never beyond it, whatever the source claims.
   * @returns the bytes written. @throws `damaged` when the source is not zstd or would not fit.
   */
  decompress(source: Uint8Array, target: Buffer): number;
};

const prototypes = [
  'void* ZSTD_createCCtx()',
  'void* ZSTD_createDCtx()',
  'size_t ZSTD_compressCCtx(void* context, void* target, size_t capacity, const void* source, size_t length, int level)',
  'size_t ZSTD_decompressDCtx(void* context, void* target, size_t capacity, const void* source, size_t length)',
];

type CompressCall = (context: unknown, target: Uint8Array, capacity: number, source: Uint8Array, length: number, level: number) => number;
type DecompressCall = (context: unknown, target: Uint8Array, capacity: number, source: Uint8Array, length: number) => number;

const notZstd = () => new HoldfastError('damaged', 'data does not decompress');

function nativeZstd(native: readonly ((...args: unknown[]) => unknown)[]): Zstd {
  const [createCompression, createDecompression, compress, decompress] = native as [
    () => unknown,
    () => unknown,
    CompressCall,
    DecompressCall,
  ];
  let compression: unknown;
  let decompression: unknown;
  return {
    compress(source, target, level) {
      compression ??= createCompression();
      const length = Number(compress(compression, target, target.length, source, source.length, level));
      // Errors are sizes near the top of size_t.
      if (!(length <= target.length)) throw new HoldfastError('internal', `zstd could not compress ${source.length} bytes`);
      return length;
    },
    decompress(source, target) {
      decompression ??= createDecompression();
      const length = Number(decompress(decompression, target, target.length, source, source.length));
      if (!(length <= target.length)) throw notZstd();
      return length;
    },
  };
}

const portableZstd: Zstd = {
  compress(source, target, level) {
    return zstdCompressSync(source, { params: { [constants.ZSTD_c_compressionLevel]: level } }).copy(target);
  },
  decompress(source, target) {
    try {
      const plain = zstdDecompressSync(source, { maxOutputLength: Math.max(target.length, 1) });
      if (plain.length > target.length) throw notZstd();
      return plain.copy(target);
    } catch {
      throw notZstd();
    }
  },
};

const native = bindExecutable(prototypes);

/** zstd with contexts that this thread keeps. */
export const zstd: Zstd = native ? nativeZstd(native) : portableZstd;

/**
 * Decompresses data whose size nobody declared (index and snapshot files).
 * @throws `damaged`, also when there are more than `limitBytes`.
 */
export function decompressUnsized(source: Uint8Array, limitBytes: number): Buffer {
  try {
    return zstdDecompressSync(source, { maxOutputLength: limitBytes });
  } catch {
    throw notZstd();
  }
}
