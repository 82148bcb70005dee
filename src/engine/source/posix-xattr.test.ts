import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { requireOrdinaryUser, requirePeer, requireRoot } from '../../../test/peers.ts';
import { fc, runs } from '../../../test/properties.ts';
import { openScratch } from '../../../test/scratch-directory.ts';
import type { ExtendedAttribute } from '../../model/node.ts';
import { type RawString, rawFromText } from '../../model/raw-bytes.ts';
import { mkdirAt } from './posix-change.ts';
import { EACCES, EBADF, EINVAL, ENODATA, ENOENT, ENOTSUP, EPERM, ERANGE, O_CREAT, O_PATH, O_RDONLY, O_RDWR } from './posix-constants.ts';
import { close, openAt, openDirectoryAt, openDirectoryRoot } from './posix-open.ts';
import {
  attributeCallsAreThere,
  listByAttributeCalls,
  listThroughProc,
  listXattrsAt,
  listXattrsFd,
  removeByAttributeCalls,
  removeThroughProc,
  removeXattrAt,
  removeXattrFd,
  setByAttributeCalls,
  setThroughProc,
  setXattrAt,
  setXattrFd,
} from './posix-xattr.ts';

const raw = rawFromText;

function values(listed: ExtendedAttribute[] | number): Record<string, string | undefined> {
  assert.ok(Array.isArray(listed), `errno ${listed}`);
  return Object.fromEntries(listed.map(({ name, value }) => [name, value?.toString('latin1')]));
}

function byDescriptor(dirFd: number, name: RawString, work: (fd: number) => number): number {
  const fd = openAt(dirFd, name, O_RDONLY);
  try {
    return work(fd);
  } finally {
    close(fd);
  }
}

type Way = { set: typeof setXattrAt; list: (dirFd: number, name: RawString) => ExtendedAttribute[] | number; remove: typeof removeXattrAt };
const ways: Record<string, Way> = {
  'as chosen': { set: setXattrAt, list: listXattrsAt, remove: removeXattrAt },
  'through /proc': { set: setThroughProc, list: listThroughProc, remove: removeThroughProc },
  'by descriptor': {
    set: (dirFd, name, attribute, value) => byDescriptor(dirFd, name, (fd) => setXattrFd(fd, attribute, value)),
    list: (dirFd, name) => {
      const fd = openAt(dirFd, name, O_RDONLY);
      const listed = listXattrsFd(fd);
      close(fd);
      return listed;
    },
    remove: (dirFd, name, attribute) => byDescriptor(dirFd, name, (fd) => removeXattrFd(fd, attribute)),
  },
};
if (attributeCallsAreThere()) {
  ways['with the calls of Linux 6.13'] = { set: setByAttributeCalls, list: listByAttributeCalls, remove: removeByAttributeCalls };
}

for (const [way, { set, list, remove }] of Object.entries(ways)) {
  test(`attributes of any value, ${way}`, (t) => {
    const { root } = openScratch(t);
    const name = 'file \n\xff' as RawString;
    close(openAt(root, name, O_RDWR | O_CREAT, 0o600));
    assert.deepEqual(list(root, name), []);
    const attributes = fc.dictionary(fc.stringMatching(/^user\.[a-zä€]{1,20}$/), fc.uint8Array({ maxLength: 300 }), { maxKeys: 5 });
    const property = fc.property(attributes, (given) => {
      for (const [attribute, value] of Object.entries(given)) assert.equal(set(root, name, attribute, value), 0);
      const expected = Object.fromEntries(Object.entries(given).map(([key, value]) => [key, Buffer.from(value).toString('latin1')]));
      assert.deepEqual(values(list(root, name)), expected);
      for (const attribute of Object.keys(given)) assert.equal(remove(root, name, attribute), 0);
      assert.deepEqual(list(root, name), []);
    });
    fc.assert(property, { numRuns: runs(60) });
  });

  test(`as other programs see them, ${way}`, (t) => {
    const [setfattr, getfattr] = [requirePeer(t, 'setfattr'), requirePeer(t, 'getfattr')];
    if (setfattr === undefined || getfattr === undefined) return;
    const { folder, root } = openScratch(t);
    const file = join(folder, 'file');
    writeFileSync(file, '');
    execFileSync(setfattr, ['-n', 'user.other', '-v', '0x00ff10', file]);
    execFileSync(setfattr, ['-n', 'user.empty', file]);
    assert.deepEqual(values(list(root, raw('file'))), { 'user.other': '\0\xff\x10', 'user.empty': '' });
    assert.equal(set(root, raw('file'), 'user.other', Buffer.from('new')), 0);
    assert.match(execFileSync(getfattr, ['-d', '--absolute-names', file], { encoding: 'utf8' }), /user\.other="new"/);
  });

  test(`what is refused, ${way}`, (t) => {
    const { folder, root } = openScratch(t);
    writeFileSync(join(folder, 'file'), '');
    const name = raw('file');
    assert.equal(remove(root, name, 'user.none'), -ENODATA);
    assert.equal(set(root, name, 'nonsense', Buffer.from('')), -ENOTSUP);
    assert.equal(set(root, name, `user.${'x'.repeat(251)}`, Buffer.from('')), -ERANGE);
    assert.equal(set(root, name, 'user.a\0b', Buffer.from('')), -EINVAL);
    assert.equal(set(root, name, '', Buffer.from('')), -EINVAL);
  });
}

test('names that are missing or would lead elsewhere', (t) => {
  const { root } = openScratch(t);
  for (const list of [listXattrsAt, listThroughProc]) {
    assert.equal(list(root, raw('none')), -ENOENT);
    assert.equal(list(root, raw('..')), -EINVAL);
    assert.equal(list(root, raw('a/b')), -EINVAL);
  }
  assert.equal(setXattrAt(root, raw('../x'), 'user.a', Buffer.from('')), -EINVAL);
  assert.equal(setThroughProc(root, raw('../x'), 'user.a', Buffer.from('')), -EINVAL);
  assert.equal(listXattrsFd(-1), -EBADF);
});

test('a symlink is not followed', (t) => {
  const { folder, root } = openScratch(t);
  writeFileSync(join(folder, 'file'), '');
  symlinkSync('file', join(folder, 'link'));
  assert.equal(setXattrAt(root, raw('file'), 'user.of', Buffer.from('file')), 0);
  for (const list of [listXattrsAt, listThroughProc]) assert.deepEqual(list(root, raw('link')), []);
  for (const set of [setXattrAt, setThroughProc]) assert.equal(set(root, raw('link'), 'user.of', Buffer.from('link')), -EPERM);
  assert.deepEqual(values(listXattrsAt(root, raw('file'))), { 'user.of': 'file' });
});

test("root's attributes, of a symlink too", (t) => {
  if (!requireRoot(t)) return;
  const { folder, root } = openScratch(t);
  writeFileSync(join(folder, 'file'), '');
  symlinkSync('file', join(folder, 'link'));
  for (const { set, list, remove } of [ways['as chosen'], ways['through /proc']] as Way[]) {
    assert.equal(set(root, raw('link'), 'trusted.of', Buffer.from('link')), 0);
    assert.deepEqual(values(list(root, raw('link'))), { 'trusted.of': 'link' });
    assert.deepEqual(list(root, raw('file')), []);
    assert.equal(remove(root, raw('link'), 'trusted.of'), 0);
    assert.deepEqual(list(root, raw('link')), []);
  }
});

test('ACLs and capabilities are attributes', (t) => {
  const [setfacl, getfacl] = [requirePeer(t, 'setfacl'), requirePeer(t, 'getfacl')];
  if (setfacl === undefined || getfacl === undefined) return;
  const { folder, root } = openScratch(t);
  for (const name of ['with', 'without']) writeFileSync(join(folder, name), '', { mode: 0o640 });
  execFileSync(setfacl, ['-m', 'u:1234:rw,g:77:r', join(folder, 'with')]);
  const listed = listXattrsAt(root, raw('with')) as ExtendedAttribute[];
  assert.deepEqual(
    listed.map(({ name }) => name),
    ['system.posix_acl_access'],
  );
  assert.equal(setXattrAt(root, raw('without'), 'system.posix_acl_access', listed[0]?.value as Buffer), 0);
  const acl = (name: string) => execFileSync(getfacl, ['-cn', join(folder, name)], { encoding: 'utf8', stdio: 'pipe' });
  assert.match(acl('without'), /user:1234:rw-/);
  assert.equal(acl('without'), acl('with'));
});

test('file capabilities', (t) => {
  if (!requireRoot(t)) return;
  const [setcap, getcap] = [requirePeer(t, 'setcap'), requirePeer(t, 'getcap')];
  if (setcap === undefined || getcap === undefined) return;
  const { folder, root } = openScratch(t);
  for (const name of ['with', 'without']) writeFileSync(join(folder, name), '');
  execFileSync(setcap, ['cap_net_raw+ep', join(folder, 'with')]);
  const listed = listXattrsAt(root, raw('with')) as ExtendedAttribute[];
  assert.equal(listed[0]?.name, 'security.capability');
  assert.equal(setXattrAt(root, raw('without'), 'security.capability', listed[0]?.value as Buffer), 0);
  assert.match(execFileSync(getcap, [join(folder, 'without')], { encoding: 'utf8' }), /cap_net_raw/);
});

test('below a path that is longer than the kernel takes at once', (t) => {
  const { root } = openScratch(t);
  const name = raw('d'.repeat(250));
  let bottom = root;
  for (let level = 0; level < 20; level++) {
    assert.equal(mkdirAt(bottom, name, 0o700), 0);
    const next = openDirectoryAt(bottom, name);
    t.after(() => close(next));
    bottom = next;
  }
  close(openAt(bottom, raw('file'), O_RDWR | O_CREAT, 0o600));
  for (const { set, list } of Object.values(ways)) {
    assert.equal(set(bottom, raw('file'), 'user.deep', Buffer.from('deep')), 0);
    assert.deepEqual(values(list(bottom, raw('file'))), { 'user.deep': 'deep' });
  }
});

test('a file system without attributes has none', (t) => {
  const proc = openDirectoryRoot(raw('/proc'));
  t.after(() => close(proc));
  assert.deepEqual(listXattrsAt(proc, raw('version')), []);
  assert.deepEqual(listThroughProc(proc, raw('version')), []);
  const path = openAt(proc, raw('version'), O_PATH);
  assert.equal(listXattrsFd(path), -EBADF);
  close(path);
});

test('an attribute that cannot be read is told, and left out', (t) => {
  if (!requireOrdinaryUser(t)) return;
  const { folder, root } = openScratch(t);
  writeFileSync(join(folder, 'file'), '');
  assert.equal(setXattrAt(root, raw('file'), 'user.a', Buffer.from('a')), 0);
  const setfacl = requirePeer(t, 'setfacl');
  if (setfacl === undefined) return;
  execFileSync(setfacl, ['-m', 'u:0:r', join(folder, 'file')]);
  // Listing needs no permission for the file; reading a user's attribute does, an ACL doesn't.
  chmodSync(join(folder, 'file'), 0);
  for (const list of [listXattrsAt, listThroughProc]) {
    const told: (string | number)[] = [];
    const listed = list(root, raw('file'), (attribute, errno) => told.push(attribute, errno));
    assert.deepEqual(Object.keys(values(listed)), ['system.posix_acl_access']);
    assert.deepEqual(told, ['user.a', -EACCES]);
  }
});

test('the greatest value', (t) => {
  const { root } = openScratch(t);
  // tmpfs and XFS hold 64 KiB, ext4 about a block.
  const shm = openDirectoryRoot(raw('/dev/shm'));
  const dir = shm < 0 ? root : shm;
  t.after(() => close(shm));
  const value = Buffer.alloc(65_536, 7);
  const name = raw(`holdfast-${process.pid}`);
  close(openAt(dir, name, O_RDWR | O_CREAT, 0o600));
  t.after(() => execFileSync('rm', ['-f', `/dev/shm/${name}`]));
  const set = setXattrAt(dir, name, 'user.great', value);
  if (set < 0) return t.skip('no file system here holds an attribute of 64 KiB');
  assert.deepEqual(listXattrsAt(dir, name), [{ name: 'user.great', value }]);
  assert.deepEqual(listThroughProc(dir, name), [{ name: 'user.great', value }]);
});
