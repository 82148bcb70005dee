import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import { openScratch } from '../../../test/scratch-directory.ts';
import { type RawString, rawFromText } from '../../model/raw-bytes.ts';
import { mknodAt, symlinkAt, unlinkAt } from './posix-change.ts';
import {
  DT_CHR,
  DT_DIR,
  DT_FIFO,
  DT_LNK,
  DT_REG,
  DT_SOCK,
  EBADF,
  EINVAL,
  ENOENT,
  ENOTDIR,
  O_PATH,
  O_RDONLY,
  S_IFREG,
} from './posix-constants.ts';
import { type DirectoryListing, listDirectory, readLinkAt } from './posix-list.ts';
import { close, openAt, openDirectoryAt, openDirectoryRoot } from './posix-open.ts';

const raw = rawFromText;

/** A `place` in memory makes a test with many files quick. */
function openScratchAt(t: TestContext, place: string): { folder: string; root: number } {
  const folder = mkdtempSync(join(place, 'holdfast-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return openScratch(t, folder);
}

const list = (fd: number): DirectoryListing => {
  const listing = listDirectory(fd);
  assert.ok(typeof listing === 'object', `${listing}`);
  return listing;
};

test('names with their types', async (t) => {
  const { folder, root } = openScratch(t);
  mkdirSync(join(folder, 'dir'));
  writeFileSync(join(folder, 'file'), '');
  symlinkSync('x', join(folder, 'link'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(folder, 'socket'), resolve));
  t.after(() => server.close());
  const { names, types } = list(root);
  const found = Object.fromEntries(names.map((name, index) => [name, types[index]]));
  assert.deepEqual(found, { dir: DT_DIR, file: DT_REG, link: DT_LNK, pipe: DT_FIFO, socket: DT_SOCK });
});

test('device nodes', (t) => {
  const dev = openDirectoryRoot(raw('/dev'));
  t.after(() => close(dev));
  const { names, types } = list(dev);
  assert.equal(types[names.indexOf(raw('null'))], DT_CHR);
});

test('names of any bytes and length, and nothing but them', (t) => {
  const { folder, root } = openScratch(t);
  const byte = fc.integer({ min: 1, max: 255 }).filter((value) => value !== 0x2f);
  const name = fc.oneof(
    fc.array(byte, { minLength: 1, maxLength: 20 }),
    fc.array(byte, { minLength: 240, maxLength: 255 }),
    fc.constantFrom([0x2e, 0x61], [0x2e, 0x2e, 0x2e], [0x2e, 0x2e, 0x61], [0x0a]),
  );
  const toRaw = (bytes: readonly number[]) => Buffer.from(bytes).toString('latin1') as RawString;
  const names = fc.uniqueArray(
    name.map(toRaw).filter((value) => value !== '.' && (value as string) !== '..'),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(names, (made) => {
      for (const one of made) assert.equal(mknodAt(root, one, S_IFREG | 0o600, 0), 0);
      const { names: found, types } = list(root);
      assert.deepEqual(found.toSorted(), made.toSorted());
      assert.ok(types.every((type) => type === DT_REG));
      const node = readdirSync(folder, { encoding: 'buffer' }).map((bytes) => bytes.toString('latin1'));
      assert.deepEqual(found.toSorted(), node.toSorted());
      for (const one of made) assert.equal(unlinkAt(root, one, false), 0);
    }),
    { numRuns: 50 },
  );
});

test('an empty directory, and listing twice', (t) => {
  const { folder, root } = openScratch(t);
  assert.deepEqual(list(root), { names: [], types: [] });
  writeFileSync(join(folder, 'file'), '');
  assert.deepEqual(list(root), { names: ['file'], types: [DT_REG] });
  assert.deepEqual(list(root), { names: ['file'], types: [DT_REG] });
});

test('a directory of 50,000 entries', (t) => {
  const { root: many } = openScratchAt(t, existsSync('/dev/shm') ? '/dev/shm' : tmpdir());
  const total = 50_000;
  for (let index = 0; index < total; index++) {
    assert.equal(mknodAt(many, raw(`entry-number-${index}`), S_IFREG | 0o600, 0), 0);
  }
  const start = process.cpuUsage();
  const { names, types } = list(many);
  const { user, system } = process.cpuUsage(start);
  assert.equal(names.length, total);
  assert.equal(types.length, total);
  assert.equal(new Set(names).size, total);
  assert.ok(user + system < 500_000, `${user + system} us of CPU`);
});

test('what cannot be listed', (t) => {
  const { folder, root } = openScratch(t);
  writeFileSync(join(folder, 'file'), '');
  const file = openAt(root, raw('file'), O_RDONLY);
  const path = openAt(root, raw('file'), O_PATH);
  t.after(() => [file, path].map(close));
  assert.equal(listDirectory(file), -ENOTDIR);
  assert.equal(listDirectory(path), -EBADF);
  assert.equal(listDirectory(-1), -EBADF);
  assert.equal(openDirectoryAt(root, raw('file')), -ENOTDIR);
});

test('targets of symlinks: any bytes, as long as can be', (t) => {
  const { folder, root } = openScratch(t);
  const targets = ['nowhere', '/absolute/../x', '\xff\x80\n', ' ', 'x'.repeat(4095)] as RawString[];
  for (const [index, target] of targets.entries()) {
    assert.equal(symlinkAt(target, root, raw(`link-${index}`)), 0);
    assert.equal(readLinkAt(root, raw(`link-${index}`)), target);
  }
  symlinkSync(Buffer.from([0xfe, 0xff]), join(folder, 'other'));
  assert.equal(readLinkAt(root, raw('other')), '\xfe\xff');
  writeFileSync(join(folder, 'file'), '');
  assert.equal(readLinkAt(root, raw('file')), -EINVAL);
  assert.equal(readLinkAt(root, raw('none')), -ENOENT);
});
