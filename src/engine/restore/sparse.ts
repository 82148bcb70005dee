/** Writing content without its zeros: aligned blocks of zeros stay, or become, holes. All return 0 or a negative errno. */
import { punchHole, pwrite } from '../source/posix-io.ts';

/** The block size of nearly every Linux file system: smaller holes don't exist. */
export const holeBytes = 4096;
const zeros = Buffer.alloc(holeBytes);

const isZero = (bytes: Buffer, start: number): boolean =>
  bytes[start] === 0 && bytes[start + holeBytes - 1] === 0 && bytes.compare(zeros, 0, holeBytes, start, start + holeBytes) === 0;

/** As pwrite of all `bytes`, in which aligned blocks of zeros are left out; in a file with old content (`overwrites`) they become holes. */
export function writeSparsely(fd: number, bytes: Buffer, position: number, overwrites: boolean): number {
  const misaligned = position % holeBytes;
  let block = misaligned === 0 ? 0 : holeBytes - misaligned;
  let written = 0;
  for (; block + holeBytes <= bytes.length; block += holeBytes) {
    if (!isZero(bytes, block)) continue;
    let holeEnd = block + holeBytes;
    while (holeEnd + holeBytes <= bytes.length && isZero(bytes, holeEnd)) holeEnd += holeBytes;
    const result = writePart(fd, bytes, written, block, position) || (overwrites ? makeHole(fd, bytes, block, holeEnd, position) : 0);
    if (result < 0) return result;
    written = holeEnd;
    block = holeEnd - holeBytes;
  }
  return writePart(fd, bytes, written, bytes.length, position);
}

/** Writes bytes[start, end) to their place. */
export function writePart(fd: number, bytes: Buffer, start: number, end: number, position: number): number {
  return end === start ? 0 : Math.min(0, pwrite(fd, bytes, start, end - start, position + start));
}

/** Where the file system has no holes, zeros are written. */
function makeHole(fd: number, bytes: Buffer, start: number, end: number, position: number): number {
  return punchHole(fd, position + start, end - start) < 0 ? writePart(fd, bytes, start, end, position) : 0;
}

const manyZeros = 1024 * 1024;

/** Makes a range of a file zeros, as a hole where there are holes. */
export function clearRange(fd: number, position: number, length: number): number {
  if (punchHole(fd, position, length) === 0) return 0;
  const bytes = Buffer.alloc(Math.min(length, manyZeros));
  for (let done = 0; done < length; done += bytes.length) {
    const result = writePart(fd, bytes, 0, Math.min(bytes.length, length - done), position + done);
    if (result < 0) return result;
  }
  return 0;
}
