import assert from 'node:assert/strict';
import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { requireOrdinaryUser, requirePeer } from '../../../test/peers.ts';
import { fc, runs } from '../../../test/properties.ts';
import { openScratch } from '../../../test/scratch-directory.ts';
import { type RawString, rawFromText } from '../../model/raw-bytes.ts';
import { mkdirAt } from './posix-change.ts';
import {
  EEXIST,
  EINVAL,
  ELOOP,
  ENAMETOOLONG,
  ENOENT,
  ENOTDIR,
  EXDEV,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
} from './posix-constants.ts';
import { pwrite, read } from './posix-io.ts';
import { listDirectory } from './posix-list.ts';
import {
  close,
  openAt,
  openBeneath,
  openBeneathByComponent,
  openBeneathByKernel,
  openDirectoryAt,
  openDirectoryRoot,
  openForReading,
} from './posix-open.ts';
import { Stat, statFd } from './posix-stat.ts';

const raw = rawFromText;

function contentOf(fd: number): string {
  assert.ok(fd >= 0, `no descriptor: ${fd}`);
  const buffer = Buffer.alloc(100);
  const length = read(fd, buffer, 0, buffer.length);
  close(fd);
  return buffer.toString('utf8', 0, length);
}

function typeOf(fd: number): number {
  assert.ok(fd >= 0, `no descriptor: ${fd}`);
  const stat = new Stat();
  assert.equal(statFd(fd, stat), 0);
  close(fd);
  return stat.mode & S_IFMT;
}

const ways = { 'with openat2': openBeneathByKernel, 'component by component': openBeneathByComponent, 'as chosen': openBeneath };

for (const [way, open] of Object.entries(ways)) {
  test(`beneath a root, ${way}: what is there`, (t) => {
    const { folder, root } = openScratch(t);
    mkdirSync(join(folder, 'a', 'b'), { recursive: true });
    writeFileSync(join(folder, 'a', 'b', 'file'), 'inside');
    assert.equal(contentOf(open(root, raw('a/b/file'), O_RDONLY)), 'inside');
    assert.equal(contentOf(open(root, raw('./a//b/./file'), O_RDONLY)), 'inside');
    for (const path of ['', '.', 'a', 'a/b/', 'a/b/.']) assert.equal(typeOf(open(root, raw(path), O_RDONLY)), S_IFDIR, path);
    assert.equal(open(root, raw('a/none/file'), O_RDONLY), -ENOENT);
    assert.equal(open(root, raw('a/b/file/'), O_RDONLY), -ENOTDIR);
    assert.equal(open(root, raw('a/b/file/x'), O_RDONLY), -ENOTDIR);
    const fd = open(root, raw('a/new'), O_WRONLY | O_CREAT | O_EXCL, 0o640);
    assert.equal(pwrite(fd, Buffer.from('made'), 0, 4, 0), 4);
    close(fd);
    assert.equal(readFileSync(join(folder, 'a', 'new'), 'utf8'), 'made');
    assert.equal(statSync(join(folder, 'a', 'new')).mode & 0o777, 0o640 & ~process.umask());
    assert.equal(open(root, raw('a/new'), O_WRONLY | O_CREAT | O_EXCL, 0o640), -EEXIST);
  });

  test(`beneath a root, ${way}: no way out`, (t) => {
    const { folder, root } = openScratch(t);
    mkdirSync(join(folder, 'a'));
    writeFileSync(join(folder, 'secret'), 'secret');
    symlinkSync('/etc', join(folder, 'absolute'));
    symlinkSync('../..', join(folder, 'a', 'relative'));
    symlinkSync('a', join(folder, 'inside'));
    symlinkSync('secret', join(folder, 'last'));
    symlinkSync('/proc/self/root', join(folder, 'magic'));
    for (const path of ['absolute/passwd', 'a/relative/etc', 'inside/x', 'magic/etc/passwd']) {
      assert.equal(open(root, raw(path), O_RDONLY), -ELOOP, path);
    }
    assert.equal(open(root, raw('last'), O_RDONLY), -ELOOP);
    assert.equal(open(root, raw('last'), O_WRONLY | O_CREAT, 0o600), -ELOOP);
    assert.equal(open(root, raw('absolute'), O_RDONLY | O_DIRECTORY), -ENOTDIR);
    assert.equal(open(root, raw('absolute/'), O_RDONLY), -ELOOP);
    for (const path of ['..', '../x', 'a/..', 'a/../..', 'a/../secret', '/etc/passwd', '/']) {
      assert.equal(open(root, raw(path), O_RDONLY), -EXDEV, path);
    }
    assert.equal(open(root, 'secret\0x' as RawString, O_RDONLY), -EINVAL);
    assert.equal(open(root, '\u012e\u012e/etc' as RawString, O_RDONLY), -EINVAL, 'cut to bytes, this would be ../etc');
    assert.equal(typeOf(open(root, raw('last'), O_PATH)), S_IFLNK, 'with O_PATH the symlink itself');
  });

  test(`beneath a root, ${way}: paths longer than the kernel takes at once`, (t) => {
    const { folder, root } = openScratch(t);
    const { path, bottom } = dig(root, 45, 'd'.repeat(200));
    const file = openAt(bottom, raw('file'), O_WRONLY | O_CREAT, 0o600);
    pwrite(file, Buffer.from('deep'), 0, 4, 0);
    close(file);
    close(bottom);
    const before = openDescriptors();
    assert.ok(path.length > 8192);
    assert.equal(contentOf(open(root, raw(`${path}/file`), O_RDONLY)), 'deep');
    assert.equal(contentOf(open(root, raw(`${path.replaceAll('/', '///')}/file`), O_RDONLY)), 'deep');
    assert.equal(typeOf(open(root, raw(`${path}/`), O_RDONLY)), S_IFDIR);
    symlinkSync('/', join(folder, 'out'));
    assert.equal(open(root, raw(`out/${path}/file`), O_RDONLY), -ELOOP);
    assert.equal(open(root, raw('x'.repeat(5000)), O_RDONLY), -ENAMETOOLONG);
    assert.equal(open(root, raw(`${path}/none`), O_RDONLY), -ENOENT);
    assert.equal(openDescriptors(), before);
  });
}

/** Makes `depth` directories in one another. Returns their path and a descriptor of the lowest. */
function dig(root: number, depth: number, name: string): { path: string; bottom: number } {
  let bottom = openDirectoryRootAgain(root);
  for (let level = 0; level < depth; level++) {
    assert.equal(mkdirAt(bottom, raw(name), 0o700), 0);
    const next = openDirectoryAt(bottom, raw(name));
    assert.ok(next >= 0);
    close(bottom);
    bottom = next;
  }
  return { path: Array<string>(depth).fill(name).join('/'), bottom };
}

const openDirectoryRootAgain = (root: number): number => openBeneath(root, raw(''), O_RDONLY | O_DIRECTORY);

test('both ways of resolving agree, and leak no descriptor', (t) => {
  const { folder, root } = openScratch(t);
  mkdirSync(join(folder, 'dir', 'dir'), { recursive: true });
  writeFileSync(join(folder, 'dir', 'file'), '');
  writeFileSync(join(folder, 'file'), '');
  symlinkSync('dir', join(folder, 'link'));
  symlinkSync('../file', join(folder, 'dir', 'link'));
  const before = openDescriptors();
  const component = fc.constantFrom('dir', 'file', 'link', 'none', '.', '..', '', 'dir', 'dir');
  fc.assert(
    fc.property(fc.array(component, { maxLength: 5 }), fc.constantFrom(0, O_DIRECTORY, O_PATH), (components, flags) => {
      const path = raw(components.join('/'));
      const results = [openBeneathByKernel(root, path, flags), openBeneathByComponent(root, path, flags)];
      const types = results.map((result) => (result >= 0 ? typeOf(result) : result));
      assert.equal(types[0], types[1], `${path}: ${results}`);
    }),
    { numRuns: runs(2000) },
  );
  assert.equal(openDescriptors(), before);
});

function openDescriptors(): number {
  const fd = openDirectoryRoot(raw('/proc/self/fd'));
  const listing = listDirectory(fd);
  close(fd);
  assert.ok(typeof listing === 'object');
  return listing.names.length;
}

test('where openat2 is forbidden, the other way is chosen', (t) => {
  const strace = requirePeer(t, 'strace');
  if (strace === undefined) return;
  const { folder } = openScratch(t);
  mkdirSync(join(folder, 'a'));
  writeFileSync(join(folder, 'a', 'file'), '');
  symlinkSync('a', join(folder, 'link'));
  const program = `
    import { openBeneath, openDirectoryRoot } from ${JSON.stringify(join(import.meta.dirname, 'posix-open.ts'))};
    const root = openDirectoryRoot(${JSON.stringify(folder)});
    console.log(openBeneath(root, 'a/file', 0) > 0, openBeneath(root, 'link/file', 0));`;
  for (const error of ['ENOSYS', 'EPERM']) {
    const options: string[] = ['-f', '-qqq', '-o', '/dev/null', '-e', 'trace=openat2', '-e', `inject=openat2:error=${error}`];
    const node: string[] = [process.execPath, '--input-type=module', '-e', program];
    const run: SpawnSyncReturns<string> = spawnSync(strace, [...options, ...node], { encoding: 'utf8', timeout: 30_000 });
    assert.equal(run.stdout, `true ${-ELOOP}\n`, run.stderr);
  }
});

test('names that would leave their directory are refused', (t) => {
  const { root } = openScratch(t);
  for (const name of ['', '.', '..', '/', 'a/b', '../x', 'a\0b', '\u012f'])
    assert.equal(openAt(root, name as RawString, O_RDONLY), -EINVAL, name);
  assert.equal(openAt(root, raw('x'.repeat(256)), O_RDONLY), -ENAMETOOLONG);
  assert.equal(openAt(root, raw('x'.repeat(5000)), O_RDONLY), -ENAMETOOLONG);
});

test('a symlink is never opened for what it points to', (t) => {
  const { folder, root } = openScratch(t);
  writeFileSync(join(folder, 'file'), '');
  symlinkSync('file', join(folder, 'link'));
  symlinkSync('.', join(folder, 'here'));
  assert.equal(openAt(root, raw('link'), O_RDONLY), -ELOOP);
  assert.equal(openForReading(root, raw('link')), -ELOOP);
  assert.equal(openDirectoryAt(root, raw('here')), -ENOTDIR);
});

test('a FIFO opened for reading does not hang', (t) => {
  const { folder, root } = openScratch(t);
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  assert.equal(typeOf(openForReading(root, raw('pipe'))), S_IFIFO);
});

test('reading leaves the access time alone', (t) => {
  const { folder, root } = openScratch(t);
  const file = join(folder, 'file');
  writeFileSync(file, 'content');
  // So old that relatime, too, would set it.
  utimesSync(file, 1_000_000, 2_000_000);
  assert.equal(contentOf(openForReading(root, raw('file'))), 'content');
  assert.equal(statSync(file).atimeMs, 1_000_000_000);
});

test("where the kernel forbids O_NOATIME (another user's file), it is read all the same", (t) => {
  if (!requireOrdinaryUser(t)) return;
  const etc = openDirectoryRoot(raw('/etc'));
  t.after(() => close(etc));
  assert.ok(contentOf(openForReading(etc, raw('passwd'))).startsWith('root:'));
});

test("a file under a server's lease is read once the lease is given back", async (t) => {
  const { folder, root } = openScratch(t);
  writeFileSync(join(folder, 'leased'), 'leased');
  // F_SETLEASE (1024) with F_WRLCK (1); the signal that asks for the lease ends the process, which gives it back.
  const program = `
    import { openDirectoryRoot, openAt } from ${JSON.stringify(join(import.meta.dirname, 'posix-open.ts'))};
    import { call3 } from ${JSON.stringify(join(import.meta.dirname, 'posix-syscall.ts'))};
    const fd = openAt(openDirectoryRoot(${JSON.stringify(folder)}), 'leased', 2);
    console.log(call3(process.arch === 'arm64' ? 25 : 72, fd, 1024, 1));
    setTimeout(() => {}, 20_000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => holder.kill('SIGKILL'));
  const [answer] = await once(holder.stdout, 'data');
  assert.equal(String(answer), '0\n');
  assert.equal(contentOf(openForReading(root, raw('leased'))), 'leased');
});

test('a root is opened where symlinks lead', (t) => {
  const { folder } = openScratch(t);
  const other = mkdtempSync(join(folder, 'real-'));
  writeFileSync(join(other, 'file'), 'found');
  symlinkSync(other, join(folder, 'link'));
  const root = openDirectoryRoot(raw(join(folder, 'link')));
  assert.equal(contentOf(openForReading(root, raw('file'))), 'found');
  close(root);
  assert.equal(openDirectoryRoot(raw(join(other, 'file'))), -ENOTDIR);
  assert.equal(openDirectoryRoot(raw(join(folder, 'none'))), -ENOENT);
  assert.ok(existsSync(other));
});

test('a root may have a path longer than the kernel takes at once', (t) => {
  const { folder, root } = openScratch(t);
  const { path, bottom } = dig(root, 25, 'e'.repeat(250));
  assert.equal(mkdirAt(bottom, raw('goal'), 0o700), 0);
  close(bottom);
  const before = openDescriptors();
  const deep = openDirectoryRoot(raw(`${folder}/${path}`));
  assert.deepEqual(listDirectory(deep), { names: ['goal'], types: [4] });
  close(deep);
  assert.equal(openDirectoryRoot(raw(`${folder}/${path}/none`)), -ENOENT);
  assert.equal(openDescriptors(), before);
});
