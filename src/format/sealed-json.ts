/**
 * Every file of a repository but packs and keys is sealed JSON. Format version 2 compresses it: `0x02 || zstd(JSON)`; what
 * begins with `{` or `[` is JSON as it is, in both versions.
 */
import { HoldfastError } from '../model/errors.ts';
import { compressBound, decompressUnsized, zstd } from './kernel/zstd.ts';
import type { Seal } from './seal.ts';

const compressedMarker = 2;
/** Bound for decompression bombs; an index file of 50,000 blobs is 7 MiB. */
const maxPlainBytes = 1024 * 1024 * 1024;
const level = 3;

/** Plaintext (JSON) to sealed bytes. */
export function sealJson(seal: Seal, json: Buffer, formatVersion: number): Buffer {
  if (formatVersion < 2) return seal.seal(json);
  const packed = Buffer.allocUnsafe(1 + compressBound(json.length));
  packed[0] = compressedMarker;
  const length = zstd.compress(json, packed.subarray(1), level);
  return seal.seal(packed.subarray(0, 1 + length));
}

/** Sealed bytes to JSON text, as bytes. Destroys `sealed`. @throws `damaged` */
export function openJson(seal: Seal, sealed: Buffer): Buffer {
  const plain = seal.open(sealed);
  if (!looksLikeJsonFile(plain)) throw new HoldfastError('damaged', 'a sealed file holds neither JSON nor compressed JSON');
  return plain[0] === compressedMarker ? decompressUnsized(plain.subarray(1), maxPlainBytes) : plain;
}

/**
 * Whether these bytes, sealed, would be taken for a sealed JSON file by their beginning: what is in a volume must not be stored so, or else
 * who can write to the storage could pass a blob off as a snapshot.
 */
export const looksLikeJsonFile = (plain: Uint8Array): boolean => plain[0] === 0x7b || plain[0] === 0x5b || plain[0] === compressedMarker;

/** Parses JSON that came from a repository. @throws `damaged` */
export function parseRepositoryJson(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new HoldfastError('damaged', `${what} is not JSON`, { cause });
  }
}
