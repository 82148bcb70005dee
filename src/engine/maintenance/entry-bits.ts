/** Bits, one an entry of the blob index. */

/** Zeroed memory for so many bits, which threads may share. */
export const bitsFor = (count: number): Int32Array => new Int32Array(new SharedArrayBuffer(Math.ceil(count / 32) * 4));

export const hasBit = (bits: Int32Array, entry: number): boolean => ((bits[entry >>> 5] as number) & (1 << (entry & 31))) !== 0;

/** For memory that no other thread writes meanwhile. */
export function setBit(bits: Int32Array, entry: number): void {
  (bits[entry >>> 5] as number) |= 1 << (entry & 31);
}

export function clearBit(bits: Int32Array, entry: number): void {
  (bits[entry >>> 5] as number) &= ~(1 << (entry & 31));
}

/** For memory that other threads write as well. */
export function setBitAtomically(bits: Int32Array, entry: number): void {
  if (!hasBit(bits, entry)) Atomics.or(bits, entry >>> 5, 1 << (entry & 31));
}
