import { closeSync, openSync, readdirSync, utimesSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { randomFrom } from '../random.ts';

export const kibibyte = 1024;
export const mebibyte = 1024 * kibibyte;

/** Every regular file and symbolic link below `root`, as relative paths in byte order, whatever order the disk gives. */
export function listFiles(root: string): { files: string[]; symlinks: string[] } {
  const files: string[] = [];
  const symlinks: string[] = [];
  const walk = (directory: string): void => {
    for (const entry of readdirSync(join(root, directory), { withFileTypes: true })) {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile()) files.push(path);
      else if (entry.isSymbolicLink()) symlinks.push(path);
    }
  };
  walk('');
  return { files: files.sort(byteOrder), symlinks: symlinks.sort(byteOrder) };
}

const byteOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Writes `sizeBytes` that `next` makes, a part at a time, so that a large file needs little memory. */
export function writeStreaming(path: string, sizeBytes: number, next: (lengthBytes: number) => Uint8Array): void {
  const file = openSync(path, 'w');
  try {
    for (let done = 0; done < sizeBytes; ) {
      const part = next(Math.min(mebibyte, sizeBytes - done));
      writeWhole(file, part, done);
      done += part.length;
    }
  } finally {
    closeSync(file);
  }
}

/** Overwrites part of a file and leaves the rest as it is. */
export function overwrite(path: string, offset: number, bytes: Uint8Array): void {
  const file = openSync(path, 'r+');
  try {
    writeWhole(file, bytes, offset);
  } finally {
    closeSync(file);
  }
}

/** A write may stop short of the end; the rest follows. */
function writeWhole(file: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, bytes.length - done, offset + done);
  }
}

/**
 * Gives every file a modification time of its own in the two years before 2025-07-01, so that a corpus looks lived-in
 * and is the same on each machine. Directories keep the time of their making.
 */
export function ageFiles(root: string, seed: string): void {
  const random = randomFrom(`${seed}/times`);
  for (const path of listFiles(root).files) {
    const seconds = 1_751_328_000 - random.below(2 * 365 * 86_400);
    utimesSync(join(root, path), seconds, seconds);
  }
}
