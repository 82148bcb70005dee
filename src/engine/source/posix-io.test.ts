import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requirePeer, scratch } from '../../../test/peers.ts';
import { rawFromText } from '../../model/raw-bytes.ts';
import { EBADF, EINVAL, EISDIR, ENOSPC, ENXIO, O_CREAT, O_RDONLY, O_RDWR, O_WRONLY } from './posix-constants.ts';
import {
  dropFromCache,
  pread,
  punchHole,
  pwrite,
  read,
  seekData,
  seekHole,
  sync,
  syncData,
  syncFileSystem,
  truncate,
  willReadInOrder,
} from './posix-io.ts';
import { close, openAt, openDirectoryRoot } from './posix-open.ts';
import { Stat, statFd } from './posix-stat.ts';

const raw = rawFromText;

function openScratchFile(t: TestContext): { path: string; fd: number } {
  const folder = scratch(t);
  const root = openDirectoryRoot(raw(folder));
  const fd = openAt(root, raw('file'), O_RDWR | O_CREAT, 0o600);
  t.after(() => [root, fd].map(close));
  return { path: join(folder, 'file'), fd };
}

test('reading from the beginning on, and from positions', (t) => {
  const { path, fd } = openScratchFile(t);
  writeFileSync(path, 'abcdefghij');
  const buffer = Buffer.alloc(8, '-');
  assert.equal(read(fd, buffer, 2, 4), 4);
  assert.equal(buffer.toString(), '--abcd--');
  assert.equal(read(fd, buffer, 0, 8), 6);
  assert.equal(buffer.toString(), 'efghij--');
  assert.equal(read(fd, buffer, 0, 8), 0);
  assert.equal(pread(fd, buffer, 4, 4, 1), 4);
  assert.equal(buffer.toString(), 'efghbcde');
  assert.equal(pread(fd, buffer, 0, 8, 100), 0);
});

test('buffers of every kind', (t) => {
  const { path, fd } = openScratchFile(t);
  writeFileSync(path, 'abcdefgh');
  const whole = Buffer.alloc(32, '-');
  const kinds = [
    Buffer.alloc(8),
    Buffer.allocUnsafe(8),
    new Uint8Array(8),
    whole.subarray(16, 24),
    Buffer.from(new SharedArrayBuffer(8)),
    new Uint8Array(new ArrayBuffer(1008, { maxByteLength: 1 << 20 }), 1000),
  ];
  for (const [index, buffer] of kinds.entries()) {
    assert.equal(pread(fd, buffer, 1, 7, 0), 7);
    assert.equal(Buffer.from(buffer).toString('latin1', 1), 'abcdefg', `kind ${index}`);
  }
  assert.equal(whole.toString('latin1', 0, 16), '-'.repeat(16));
  assert.equal(whole.toString('latin1', 24), '-'.repeat(8));
});

test('memory outside of the buffer is never touched', (t) => {
  const { path, fd } = openScratchFile(t);
  writeFileSync(path, 'abcdefgh');
  const buffer = Buffer.alloc(16).subarray(0, 8);
  for (const [offset, length] of [
    [0, 9],
    [8, 1],
    [-1, 2],
    [0, -1],
    [Number.NaN, 1],
    [0, Number.NaN],
  ] as const) {
    assert.throws(() => pread(fd, buffer, offset, length, 0), RangeError);
    assert.throws(() => read(fd, buffer, offset, length), RangeError);
    assert.throws(() => pwrite(fd, buffer, offset, length, 0), RangeError);
  }
  const given = new Uint8Array(8);
  assert.equal(pread(fd, given, 0, 8, 0), 8);
  structuredClone(given, { transfer: [given.buffer] });
  assert.throws(() => pread(fd, given, 0, 8, 0), RangeError, 'the memory now belongs to another');
});

test('writing at positions, beyond 4 GiB too', (t) => {
  const { path, fd } = openScratchFile(t);
  assert.equal(pwrite(fd, Buffer.from('--abc--'), 2, 3, 4), 3);
  assert.deepEqual(readFileSync(path), Buffer.from('\0\0\0\0abc'));
  const far = 6 * 2 ** 30 + 5;
  assert.equal(pwrite(fd, Buffer.from('far'), 0, 3, far), 3);
  assert.equal(statSync(path).size, far + 3);
  const buffer = Buffer.alloc(10);
  assert.equal(pread(fd, buffer, 0, 10, far), 3);
  assert.equal(buffer.toString('latin1', 0, 3), 'far');
  assert.equal(pwrite(fd, buffer, 0, 0, 0), 0);
});

test('a write that the kernel cuts short or interrupts goes on where it was', (t) => {
  const strace = requirePeer(t, 'strace');
  if (strace === undefined) return;
  const { path } = openScratchFile(t);
  const program = `
    import { openAt, openDirectoryRoot } from ${JSON.stringify(join(import.meta.dirname, 'posix-open.ts'))};
    import { pwrite } from ${JSON.stringify(join(import.meta.dirname, 'posix-io.ts'))};
    const fd = openAt(openDirectoryRoot(${JSON.stringify(join(path, '..'))}), 'file', 1);
    console.log(pwrite(fd, Buffer.from('--abcdefgh--'), 2, 8, 1));`;
  // strace answers in the kernel's place, so that the bytes it claims as written are not in the file.
  for (const [pretence, expected] of [
    ['retval=3', '\0\0\0\0defgh'],
    ['error=EINTR', '\0abcdefgh'],
  ] as const) {
    writeFileSync(path, '');
    const options: string[] = ['-f', '-qqq', '-o', '/dev/null', '-P', path, '-e', `inject=pwrite64:${pretence}:when=1`];
    const run: SpawnSyncReturns<string> = spawnSync(strace, [...options, process.execPath, '--input-type=module', '-e', program], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    assert.equal(run.stdout, '8\n', run.stderr);
    assert.equal(readFileSync(path, 'latin1'), expected);
  }
});

test('a disk that is full says so', (t) => {
  const dev = openDirectoryRoot(raw('/dev'));
  const full = openAt(dev, raw('full'), O_WRONLY);
  t.after(() => [dev, full].map(close));
  assert.equal(pwrite(full, Buffer.alloc(10), 0, 10, 0), -ENOSPC);
});

test('holes are found, made and kept', (t) => {
  const { path, fd } = openScratchFile(t);
  const MiB = 2 ** 20;
  const far = 100 * 2 ** 30;
  assert.equal(truncate(fd, far), 0);
  assert.equal(seekData(fd, 0), -ENXIO);
  assert.equal(seekHole(fd, 5), 5);
  pwrite(fd, Buffer.alloc(MiB, 1), 0, MiB, 50 * 2 ** 30);
  assert.equal(seekData(fd, 0), 50 * 2 ** 30);
  assert.equal(seekHole(fd, 50 * 2 ** 30), 50 * 2 ** 30 + MiB);
  assert.equal(seekData(fd, 50 * 2 ** 30 + MiB), -ENXIO);
  assert.equal(seekHole(fd, far), -ENXIO);
  assert.ok(statSync(path).blocks * 512 < 2 * MiB);
  assert.equal(punchHole(fd, 50 * 2 ** 30, MiB / 2), 0);
  assert.equal(seekData(fd, 0), 50 * 2 ** 30 + MiB / 2);
  assert.equal(statSync(path).size, far);
  assert.equal(truncate(fd, 3), 0);
  assert.equal(statSync(path).size, 3);
});

test('flushing and advice', (t) => {
  const { path, fd } = openScratchFile(t);
  writeFileSync(path, 'content');
  for (const operation of [sync, syncData, syncFileSystem, willReadInOrder]) assert.equal(operation(fd), 0);
  assert.equal(dropFromCache(fd, 0, 0), 0);
  for (const operation of [sync, syncData, syncFileSystem, willReadInOrder]) assert.equal(operation(-1), -EBADF);
});

test('what cannot be read or written', (t) => {
  const { path, fd } = openScratchFile(t);
  const folder = openDirectoryRoot(raw(join(path, '..')));
  const readOnly = openAt(folder, raw('file'), O_RDONLY);
  t.after(() => [folder, readOnly].map(close));
  const buffer = Buffer.alloc(8);
  assert.equal(read(folder, buffer, 0, 8), -EISDIR);
  assert.equal(pwrite(readOnly, buffer, 0, 8, 0), -EBADF);
  assert.equal(truncate(readOnly, 1), -EINVAL);
  assert.equal(pread(fd, buffer, 0, 8, -1), -EINVAL);
  const stat = new Stat();
  assert.equal(statFd(fd, stat), 0);
  assert.equal(stat.size, 0);
});
