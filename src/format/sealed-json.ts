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
  const first = plain[0];
  if (first === 0x7b || first === 0x5b) return plain;
  if (first === compressedMarker) return decompressUnsized(plain.subarray(1), maxPlainBytes);
  throw new HoldfastError('damaged', 'a sealed file holds neither JSON nor compressed JSON');
}

/** Parses JSON that came from a repository. @throws `damaged` */
export function parseRepositoryJson(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new HoldfastError('damaged', `${what} is not JSON`, { cause });
  }
}
