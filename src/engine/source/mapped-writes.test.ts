import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { canSettle, settleMappedWrites } from './mapped-writes.ts';
import { loadKoffi } from './posix-syscall.ts';

const [protReadWrite, mapShared, pageBytes] = [3, 1, 4096];

/** A file of one page that is mapped. */
function mappedFile(t: TestContext): { folder: string; write(byte: number): void; ctime(): bigint } {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-mapped-'));
  const path = join(folder, 'file');
  writeFileSync(path, Buffer.alloc(pageBytes));
  const library = loadKoffi().load(null);
  const mmap = library.func('void *mmap(void *, size_t, int, int, int, int64)');
  const munmap = library.func('int munmap(void *, size_t)');
  const memset = library.func('void *memset(void *, int, size_t)');
  const fd = openSync(path, 'r+');
  const address = mmap(null, pageBytes, protReadWrite, mapShared, fd, 0);
  closeSync(fd);
  t.after(() => {
    munmap(address, pageBytes);
    rmSync(folder, { recursive: true });
  });
  return {
    folder,
    write: (byte) => void memset(address, byte, pageBytes),
    ctime: () => statSync(path, { bigint: true }).ctimeNs,
  };
}

/** Until files that are changed get another time than `path` has. */
function awaitTick(folder: string, after: bigint): void {
  const path = join(folder, 'tick');
  do writeFileSync(path, '');
  while (statSync(path, { bigint: true }).ctimeNs <= after);
}

test('what is written through mapped memory shows in times once it was settled, and not always before', async (t) => {
  const { folder, write, ctime } = mappedFile(t);
  if (!(await canSettle(folder))) return t.skip('the temporary folder is in memory');
  write(1);
  const first = ctime();
  awaitTick(folder, first);
  write(2);
  assert.equal(ctime(), first, 'a dirty page that is written again leaves no trace: the reason for all this');
  assert.equal(await settleMappedWrites([folder, folder]), true);
  const settled = ctime();
  awaitTick(folder, settled);
  write(3);
  assert.ok(ctime() > settled);
});

test('what is not there is left to who reads it; files in memory cannot be settled', async () => {
  assert.equal(await settleMappedWrites(['/no/such/folder']), true);
  assert.equal(await canSettle('/no/such/folder'), true);
  assert.equal(await canSettle('/dev/shm'), false);
});
