import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { requireOrdinaryUser, requireRoot } from '../../../test/peers.ts';
import { openScratch } from '../../../test/scratch-directory.ts';
import { type RawString, rawFromText } from '../../model/raw-bytes.ts';
import {
  chmodAt,
  chmodFd,
  chmodThroughDescriptor,
  chownAt,
  chownFd,
  linkAt,
  mkdirAt,
  mknodAt,
  renameAt,
  setUmask,
  symlinkAt,
  unlinkAt,
  utimensAt,
  utimensFd,
} from './posix-change.ts';
import {
  EEXIST,
  EINVAL,
  EISDIR,
  ENOENT,
  ENOTEMPTY,
  ENOTSUP,
  EPERM,
  O_RDONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFREG,
  S_IFSOCK,
  UTIME_OMIT,
} from './posix-constants.ts';
import { close, openAt, openDirectoryRoot } from './posix-open.ts';
import { makeDevice, Stat, statAt } from './posix-stat.ts';

const raw = rawFromText;

function lookAt(dirFd: number, name: RawString): Stat {
  const stat = new Stat();
  assert.equal(statAt(dirFd, name, stat), 0);
  return stat;
}

test('directories, symlinks, hard links, renaming, removing', (t) => {
  const { folder, root } = openScratch(t);
  assert.equal(mkdirAt(root, raw('dir'), 0o700), 0);
  assert.equal(mkdirAt(root, raw('dir'), 0o700), -EEXIST);
  const dir = openAt(root, raw('dir'), O_RDONLY);
  t.after(() => close(dir));
  writeFileSync(join(folder, 'file'), 'content');
  assert.equal(linkAt(root, raw('file'), dir, raw('same')), 0);
  assert.equal(lookAt(dir, raw('same')).inode, lookAt(root, raw('file')).inode);
  assert.equal(lookAt(root, raw('file')).links, 2);
  assert.equal(symlinkAt(raw('../file'), dir, raw('link')), 0);
  assert.equal(readlinkSync(join(folder, 'dir', 'link')), '../file');
  assert.equal(linkAt(dir, raw('link'), root, raw('link too')), 0, 'a hard link to the symlink itself');
  assert.ok(lstatSync(join(folder, 'link too')).isSymbolicLink());
  writeFileSync(join(folder, 'target'), 'old');
  assert.equal(renameAt(dir, raw('same'), root, raw('target')), 0);
  assert.equal(readFileSync(join(folder, 'target'), 'utf8'), 'content');
  assert.equal(unlinkAt(root, raw('dir'), true), -ENOTEMPTY);
  assert.equal(unlinkAt(root, raw('dir'), false), -EISDIR);
  assert.equal(unlinkAt(dir, raw('link'), false), 0);
  assert.equal(unlinkAt(root, raw('dir'), true), 0);
  assert.equal(unlinkAt(root, raw('dir'), true), -ENOENT);
  assert.equal(readFileSync(join(folder, 'file'), 'utf8'), 'content');
});

test('names that would lead elsewhere are refused by all', (t) => {
  const { root } = openScratch(t);
  const bad = raw('../escape');
  const good = raw('good');
  const results = {
    mkdir: mkdirAt(root, bad, 0o700),
    symlink: symlinkAt(good, root, bad),
    linkFrom: linkAt(root, bad, root, good),
    linkTo: linkAt(root, good, root, bad),
    mknod: mknodAt(root, bad, S_IFIFO | 0o600, 0),
    unlink: unlinkAt(root, bad, false),
    rmdir: unlinkAt(root, raw('..'), true),
    renameFrom: renameAt(root, bad, root, good),
    renameTo: renameAt(root, good, root, bad),
    chown: chownAt(root, bad, -1, -1),
    chmod: chmodAt(root, raw('..'), 0o777),
    chmodSlow: chmodThroughDescriptor(root, raw('..'), 0o777),
    utimens: utimensAt(root, raw('.'), 0, 0, 0, 0),
    targetWithNul: symlinkAt('a\0b' as RawString, root, good),
  };
  for (const [what, result] of Object.entries(results)) assert.equal(result, -EINVAL, what);
});

test('FIFOs, sockets and empty files', (t) => {
  const { folder, root } = openScratch(t);
  const before = setUmask(0o077);
  t.after(() => setUmask(before));
  assert.equal(mknodAt(root, raw('pipe'), S_IFIFO | 0o666, 0), 0);
  assert.equal(lstatSync(join(folder, 'pipe')).mode, S_IFIFO | 0o600);
  assert.equal(setUmask(0), 0o077);
  assert.equal(mknodAt(root, raw('socket'), S_IFSOCK | 0o666, 0), 0);
  assert.equal(mknodAt(root, raw('empty'), S_IFREG | 0o666, 0), 0);
  assert.equal(lstatSync(join(folder, 'socket')).mode, S_IFSOCK | 0o666);
  assert.equal(lstatSync(join(folder, 'empty')).mode, S_IFREG | 0o666);
});

test('device nodes', (t) => {
  const { root } = openScratch(t);
  assert.equal(mknodAt(root, raw('beyond'), S_IFBLK | 0o600, 2 ** 32), -EINVAL);
  assert.equal(mknodAt(root, raw('beyond'), S_IFBLK | 0o600, 2n ** 63n), -EINVAL);
  if (!requireRoot(t)) return;
  for (const [major, minor] of [
    [1, 3],
    [259, 70_000],
    [511, 0xfffff],
  ] as const) {
    for (const type of [S_IFCHR, S_IFBLK]) {
      const name = raw(`${type}-${major}`);
      assert.equal(mknodAt(root, name, type | 0o600, makeDevice(major, minor)), 0);
      assert.equal(lookAt(root, name).rdev, makeDevice(major, minor));
    }
  }
});

for (const [way, chmod] of Object.entries({ 'as chosen': chmodAt, 'through a descriptor': chmodThroughDescriptor })) {
  test(`permissions, ${way}, never those behind a symlink`, (t) => {
    const { folder, root } = openScratch(t);
    writeFileSync(join(folder, 'file'), '', { mode: 0o600 });
    mkdirSync(join(folder, 'dir'));
    symlinkSync('file', join(folder, 'link'));
    mknodAt(root, raw('pipe'), S_IFIFO | 0o600, 0);
    assert.equal(chmod(root, raw('file'), 0o6751), 0);
    assert.equal(statSync(join(folder, 'file')).mode & 0o7777, 0o6751);
    assert.equal(chmod(root, raw('dir'), 0o1000), 0);
    assert.equal(statSync(join(folder, 'dir')).mode & 0o7777, 0o1000);
    assert.equal(chmod(root, raw('pipe'), 0o640), 0);
    assert.equal(statSync(join(folder, 'pipe')).mode & 0o7777, 0o640);
    assert.equal(chmod(root, raw('link'), 0o777), -ENOTSUP);
    assert.equal(statSync(join(folder, 'file')).mode & 0o7777, 0o6751);
    assert.equal(chmod(root, raw('none'), 0o777), -ENOENT);
  });
}

test('permissions of an open file', (t) => {
  const { folder, root } = openScratch(t);
  writeFileSync(join(folder, 'file'), '');
  const fd = openAt(root, raw('file'), O_RDONLY);
  t.after(() => close(fd));
  assert.equal(chmodFd(fd, 0o4711), 0);
  assert.equal(statSync(join(folder, 'file')).mode & 0o7777, 0o4711);
});

test('owners, of a symlink its own', (t) => {
  if (!requireRoot(t)) return;
  const { folder, root } = openScratch(t);
  writeFileSync(join(folder, 'file'), '');
  symlinkSync('file', join(folder, 'link'));
  const great = 4_000_000_000;
  assert.equal(chownAt(root, raw('link'), great, 1001), 0);
  const fd = openAt(root, raw('file'), O_RDONLY);
  t.after(() => close(fd));
  assert.equal(chownFd(fd, 1002, -1), 0);
  const owners = (name: string) => {
    const { uid, gid } = lookAt(root, raw(name));
    return [uid, gid];
  };
  assert.deepEqual(owners('link'), [great, 1001]);
  assert.deepEqual(owners('file'), [1002, 0]);
});

test('an ordinary user gives nothing away', (t) => {
  if (!requireOrdinaryUser(t)) return;
  const { folder, root } = openScratch(t);
  writeFileSync(join(folder, 'file'), '');
  assert.equal(chownAt(root, raw('file'), 0, 0), -EPERM);
  assert.equal(mknodAt(root, raw('device'), S_IFCHR | 0o600, makeDevice(1, 3)), -EPERM);
  const etc = openDirectoryRoot(raw('/etc'));
  t.after(() => close(etc));
  assert.equal(chmodAt(etc, raw('passwd'), 0o666), -EPERM);
});

test('times, of a symlink its own', (t) => {
  const { folder, root } = openScratch(t);
  writeFileSync(join(folder, 'file'), '');
  symlinkSync('file', join(folder, 'link'));
  assert.equal(utimensAt(root, raw('link'), 1, 2, 3, 4), 0);
  const fd = openAt(root, raw('file'), O_RDONLY);
  t.after(() => close(fd));
  assert.equal(utimensFd(fd, -5, 6, 5_000_000_000, 999_999_999), 0);
  const times = (name: string) => {
    const { atimeSec, atimeNsec, mtimeSec, mtimeNsec } = lookAt(root, raw(name));
    return [atimeSec, atimeNsec, mtimeSec, mtimeNsec];
  };
  assert.deepEqual(times('link'), [1, 2, 3, 4]);
  assert.deepEqual(times('file'), [-5, 6, 5_000_000_000, 999_999_999]);
  assert.equal(utimensAt(root, raw('file'), 0, UTIME_OMIT, 7, 8), 0);
  assert.deepEqual(times('file'), [-5, 6, 7, 8]);
  assert.equal(utimensAt(root, raw('file'), 0, 1_000_000_000, 0, 0), -EINVAL);
});
