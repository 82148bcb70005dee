import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, statfsSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { requireRoot } from '../../../test/peers.ts';
import { fc, runs } from '../../../test/properties.ts';
import { openScratch } from '../../../test/scratch-directory.ts';
import { type RawString, rawFromText } from '../../model/raw-bytes.ts';
import { utimensAt } from './posix-change.ts';
import { EBADF, EINVAL, ENOENT, O_PATH, O_RDONLY } from './posix-constants.ts';
import { close, openAt, openDirectoryRoot } from './posix-open.ts';
import { type FileSystem, fileSystemOf, makeDevice, Stat, statAt, statFd } from './posix-stat.ts';

const raw = rawFromText;

/** What Node's own stat says, in this layer's form. */
function expected(path: string): Stat {
  const node = lstatSync(path, { bigint: true });
  const times = (ns: bigint) => {
    const nsec = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
    return [Number((ns - nsec) / 1_000_000_000n), Number(nsec)] as const;
  };
  const [mtimeSec, mtimeNsec] = times(node.mtimeNs);
  const [ctimeSec, ctimeNsec] = times(node.ctimeNs);
  const [atimeSec, atimeNsec] = times(node.atimeNs);
  return Object.assign(new Stat(), {
    mode: Number(node.mode),
    size: Number(node.size),
    ...{ mtimeSec, mtimeNsec, ctimeSec, ctimeNsec, atimeSec, atimeNsec },
    inode: Number(node.ino),
    device: Number(node.dev),
    rdev: Number(node.rdev),
    links: Number(node.nlink),
    uid: Number(node.uid),
    gid: Number(node.gid),
    blocks: Number(node.blocks),
  });
}

test('every field, as another implementation sees it', (t) => {
  const { folder, root } = openScratch(t);
  mkdirSync(join(folder, 'dir'), { mode: 0o750 });
  writeFileSync(join(folder, 'file'), 'x'.repeat(10_000));
  execFileSync('ln', [join(folder, 'file'), join(folder, 'other name')]);
  execFileSync('chmod', ['6711', join(folder, 'file')]);
  symlinkSync('nowhere', join(folder, 'dangling'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  const stat = new Stat();
  for (const name of ['dir', 'file', 'dangling', 'pipe']) {
    assert.equal(statAt(root, raw(name), stat), 0);
    assert.deepEqual(stat, expected(join(folder, name)), name);
    const fd = openAt(root, raw(name), O_PATH);
    assert.equal(statFd(fd, stat), 0);
    close(fd);
    assert.deepEqual(stat, expected(join(folder, name)), `${name}, by descriptor`);
  }
});

test('device nodes', (t) => {
  const dev = openDirectoryRoot(raw('/dev'));
  t.after(() => close(dev));
  const stat = new Stat();
  assert.equal(statAt(dev, raw('null'), stat), 0);
  assert.equal(stat.rdev, makeDevice(1, 3));
  assert.equal(stat.rdev, Number(lstatSync('/dev/null').rdev));
});

test('device numbers are encoded as the C library does', () => {
  // Values of glibc's makedev(major, minor).
  assert.equal(makeDevice(8, 1), 0x801);
  assert.equal(makeDevice(254, 0), 0xfe00);
  assert.equal(makeDevice(0xfff, 0xfffff), 0xffffffff);
  assert.equal(makeDevice(259, 0x12345), 0x12310345);
  assert.equal(makeDevice(0x1234, 0), 0x100000023400);
});

test('a device node with a large number, made by another program', (t) => {
  if (!requireRoot(t)) return;
  const { folder, root } = openScratch(t);
  execFileSync('mknod', [join(folder, 'block'), 'b', '259', '70000']);
  const stat = new Stat();
  assert.equal(statAt(root, raw('block'), stat), 0);
  assert.deepEqual(stat, expected(join(folder, 'block')));
  assert.equal(stat.rdev, makeDevice(259, 70_000));
});

test('sizes beyond 4 GiB', (t) => {
  const { folder, root } = openScratch(t);
  const sizeBytes = 5 * 2 ** 40 + 3;
  writeFileSync(join(folder, 'sparse'), '');
  truncateSync(join(folder, 'sparse'), sizeBytes);
  const stat = new Stat();
  assert.equal(statAt(root, raw('sparse'), stat), 0);
  assert.equal(stat.size, sizeBytes);
  assert.equal(stat.blocks, 0);
});

test('times to the nanosecond, before 1970 too', (t) => {
  const { folder, root } = openScratch(t);
  writeFileSync(join(folder, 'file'), '');
  const stat = new Stat();
  // What ext4 can hold: 1901 to 2446; the kernel cuts what a file system can't.
  const time = fc.tuple(fc.integer({ min: 1 - 2 ** 31, max: 2 ** 33 }), fc.integer({ min: 0, max: 999_999_999 }));
  const property = fc.property(time, time, ([atimeSec, atimeNsec], [mtimeSec, mtimeNsec]) => {
    assert.equal(utimensAt(root, raw('file'), atimeSec, atimeNsec, mtimeSec, mtimeNsec), 0);
    assert.equal(statAt(root, raw('file'), stat), 0);
    const { atimeSec: a, atimeNsec: b, mtimeSec: c, mtimeNsec: d } = stat;
    assert.deepEqual([a, b, c, d], [atimeSec, atimeNsec, mtimeSec, mtimeNsec]);
    assert.deepEqual(stat, expected(join(folder, 'file')));
  });
  fc.assert(property, {
    numRuns: runs(300),
    examples: [
      [
        [-1, 999_999_999],
        [1 - 2 ** 31, 1],
      ],
    ],
  });
});

test('a time before 1970 that another program set', (t) => {
  const { folder, root } = openScratch(t);
  writeFileSync(join(folder, 'file'), '');
  execFileSync('touch', ['-d', '1969-12-31T23:59:58.5Z', join(folder, 'file')]);
  const stat = new Stat();
  assert.equal(statAt(root, raw('file'), stat), 0);
  assert.deepEqual([stat.mtimeSec, stat.mtimeNsec], [-2, 500_000_000]);
});

test('names that are not UTF-8, hold newlines, or are as long as can be', (t) => {
  const { folder, root } = openScratch(t);
  const stat = new Stat();
  for (const name of [Buffer.from([0xff, 0x80, 0x0a, 0x01]), Buffer.from('two\nlines'), Buffer.alloc(255, 0xe9), Buffer.from(' ')]) {
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), name]), name);
    assert.equal(statAt(root, name.toString('latin1') as RawString, stat), 0);
    assert.equal(stat.size, name.length);
  }
});

test('what cannot be looked at', (t) => {
  const { root } = openScratch(t);
  const stat = new Stat();
  assert.equal(statAt(root, raw('none'), stat), -ENOENT);
  assert.equal(statAt(root, raw('..'), stat), -EINVAL);
  assert.equal(statFd(-1, stat), -EBADF);
});

test('the file system: size, room, kind', (t) => {
  const { folder, root } = openScratch(t);
  const found = fileSystemOf(root) as FileSystem;
  const node = statfsSync(folder);
  assert.equal(found.type, node.type);
  assert.equal(found.totalBytes, node.blocks * node.bsize);
  assert.ok(Math.abs(found.freeBytes - node.bavail * node.bsize) < 2 ** 30);
  const proc = openDirectoryRoot(raw('/proc'));
  t.after(() => close(proc));
  assert.equal((fileSystemOf(proc) as FileSystem).type, 0x9fa0);
  assert.equal(fileSystemOf(-1), -EBADF);
});

test('threads do not disturb one another', async (t) => {
  const { folder } = openScratch(t);
  const threads = 3;
  for (let index = 0; index < threads; index++) {
    mkdirSync(join(folder, `${index}`));
    for (let file = 0; file < 50; file++) writeFileSync(join(folder, `${index}`, `${index}-${file}`), 'x'.repeat(100 * index + file));
  }
  const source = `
    import { parentPort, workerData } from 'node:worker_threads';
    const { openDirectoryRoot, close } = await import(workerData.open);
    const { listDirectory } = await import(workerData.list);
    const { Stat, statAt } = await import(workerData.stat);
    const stat = new Stat();
    let wrong = 0;
    for (let round = 0; round < 100; round++) {
      const root = openDirectoryRoot(workerData.folder);
      const { names } = listDirectory(root);
      if (names.length !== 50) wrong++;
      for (const name of names) {
        const [index, file] = name.split('-').map(Number);
        if (statAt(root, name, stat) !== 0 || stat.size !== 100 * index + file || index !== workerData.index) wrong++;
        if (statAt(root, name + 'x', stat) !== ${-ENOENT}) wrong++;
      }
      close(root);
    }
    parentPort.postMessage(wrong);`;
  const file = (name: string) => new URL(`./${name}.ts`, import.meta.url).href;
  const run = (index: number) =>
    new Promise((resolve, reject) => {
      const files = { open: file('posix-open'), list: file('posix-list'), stat: file('posix-stat') };
      const workerData = { ...files, index, folder: join(folder, `${index}`) };
      const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { workerData });
      worker.once('message', resolve).once('error', reject);
    });
  assert.deepEqual(await Promise.all(Array.from({ length: threads }, (_, index) => run(index))), [0, 0, 0]);
});

test('a descriptor for reading can be looked at', (t) => {
  const { folder, root } = openScratch(t);
  writeFileSync(join(folder, 'file'), 'abc');
  const fd = openAt(root, raw('file'), O_RDONLY);
  t.after(() => close(fd));
  const stat = new Stat();
  assert.equal(statFd(fd, stat), 0);
  assert.equal(stat.size, 3);
});
