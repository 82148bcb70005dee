import { hash } from 'node:crypto';
import { bindExecutable } from './executable.ts';

const native = bindExecutable(['void* SHA256(const void* data, size_t length, void* digest)']);

/** Writes the SHA-256 of `bytes` to the first 32 bytes of `into`. */
export const sha256Into: (bytes: Uint8Array, into: Buffer) => void = native
  ? (bytes, into) => {
      (native[0] as (d: Uint8Array, n: number, into: Buffer) => void)(bytes, bytes.length, into);
    }
  : (bytes, into) => {
      hash('sha256', bytes, 'buffer').copy(into);
    };

const digest = Buffer.alloc(32);

/** The SHA-256 of `bytes` in lower-case hexadecimal. */
export function sha256Hex(bytes: Uint8Array): string {
  sha256Into(bytes, digest);
  return digest.toString('hex');
}
