/** A file that this process writes through mapped memory. */
import { closeSync, openSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { loadKoffi } from '../src/engine/source/posix-syscall.ts';

const [protReadWrite, mapShared] = [3, 1];
export const pageBytes = 4096;

export type MappedFile = {
  /** Fills its only page. */
  write(byte: number): void;
  ctime(): bigint;
};

/** Makes `file` in an existing folder. */
export function mappedFile(t: TestContext, folder: string): MappedFile {
  const path = join(folder, 'file');
  writeFileSync(path, Buffer.alloc(pageBytes));
  const library = loadKoffi().load(null);
  const mmap = library.func('void *mmap(void *, size_t, int, int, int, int64)');
  const munmap = library.func('int munmap(void *, size_t)');
  const memset = library.func('void *memset(void *, int, size_t)');
  const fd = openSync(path, 'r+');
  const address = mmap(null, pageBytes, protReadWrite, mapShared, fd, 0);
  closeSync(fd);
  t.after(() => munmap(address, pageBytes));
  return { write: (byte) => void memset(address, byte, pageBytes), ctime: () => statSync(path, { bigint: true }).ctimeNs };
}

/** Until what is changed in a folder gets another time than `after`. */
export function awaitTick(folder: string, after: bigint): void {
  const path = join(folder, 'tick');
  do writeFileSync(path, '');
  while (statSync(path, { bigint: true }).ctimeNs <= after);
}
