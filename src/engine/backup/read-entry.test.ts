import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requireOrdinaryUser, scratch } from '../../../test/peers.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { type RawString, rawFromText } from '../../model/raw-bytes.ts';
import { mknodAt } from '../source/posix-change.ts';
import { Stat, statAt } from '../source/posix-stat.ts';
import { setXattrAt } from '../source/posix-xattr.ts';
import { nodeFromStat } from './nodes.ts';
import { createEntryReader } from './read-entry.ts';
import type { FileContent } from './read-file.ts';

const changes = { ignoreInode: false, ignoreCtime: false, force: false };
const blob = 'ab'.repeat(32) as BlobId;

type Happening = {
  /** What happens to the file while it is read. */
  meanwhile?: (path: string) => void;
  content?: FileContent | number;
  /** Whether the file is read piece by piece. */
  long?: boolean;
};

/** A folder with a file, and a reader of its entries that pretends to read content. */
function folderWithFile(t: TestContext, { meanwhile, content = { content: [blob], sizeBytes: 7 }, long = false }: Happening = {}) {
  const folder = scratch(t);
  const path = join(folder, 'file');
  writeFileSync(path, 'content');
  const fd = openSync(folder, 'r');
  t.after(() => closeSync(fd));
  const problems: string[] = [];
  const warnings: string[] = [];
  const counts: Record<string, number> = {};
  const entries = createEntryReader({
    reader: {
      readShort() {
        if (long) return undefined;
        meanwhile?.(path);
        return content;
      },
      async readLong() {
        meanwhile?.(path);
        return content;
      },
    },
    count: (name, add) => (counts[name] = (counts[name] ?? 0) + add),
    withAtime: false,
    changes,
    onProblem: (name, problem) => problems.push(`${name}: ${problem}`),
    onWarning: (warning) => warnings.push(warning),
  });
  const read = () => entries.readFile(fd, rawFromText('file'));
  return { folder, path, fd, problems, warnings, counts, entries, read };
}

test('a file that stays as it is', async (t) => {
  const { read, fd, problems, counts } = folderWithFile(t);
  setXattrAt(fd, rawFromText('file'), 'user.key', Buffer.from('value'));
  const node = await read();
  assert.deepEqual([node?.type, node?.size, node?.content], ['file', 7, [blob]]);
  assert.deepEqual(node?.extendedAttributes, [{ name: 'user.key', value: Buffer.from('value') }]);
  assert.deepEqual([problems, counts], [[], {}]);
});

const alterations: [string, (path: string) => void, FileContent][] = [
  ['grows', (path) => appendFileSync(path, 'more'), { content: [blob], sizeBytes: 11 }],
  ['shrinks', (path) => truncateSync(path, 3), { content: [blob], sizeBytes: 3 }],
  [
    'is written to, its size and mtime kept',
    (path) => {
      writeFileSync(path, 'CONTENT');
      utimesSync(path, 1, 1);
    },
    { content: [blob], sizeBytes: 7 },
  ],
  ['changes its mode', (path) => chmodSync(path, 0o600), { content: [blob], sizeBytes: 7 }],
  ['ends early without a trace', () => undefined, { content: [blob], sizeBytes: 6 }],
];
for (const [what, meanwhile, content] of alterations) {
  test(`a file that ${what} while it is read is saved as it was read, and said to have changed`, async (t) => {
    for (const long of [false, true]) {
      const { read, problems, counts } = folderWithFile(t, { meanwhile, content, long });
      const node = await read();
      assert.equal(node?.size, content.sizeBytes);
      assert.deepEqual(node?.content, [blob]);
      assert.deepEqual(problems, ['file: changed']);
      assert.deepEqual(counts, { changedWhileRead: 1 });
    }
  });
}

test('a file that is removed while it is read was read: it is saved, and said to have changed', async (t) => {
  const { read, problems } = folderWithFile(t, { meanwhile: (path) => rmSync(path) });
  assert.deepEqual((await read())?.content, [blob]);
  assert.deepEqual(problems, ['file: changed']);
});

test('a file that vanished before it was opened is reported and left out; that is no unreadable file', async (t) => {
  const { read, path, problems, counts } = folderWithFile(t);
  rmSync(path);
  assert.equal(await read(), undefined);
  assert.deepEqual([problems, counts], [['file: vanished'], { changedWhileRead: 1 }]);
});

test('a read that fails leaves the file out, counted as unreadable', async (t) => {
  const { read, problems, counts } = folderWithFile(t, { content: -5 });
  assert.equal(await read(), undefined);
  assert.deepEqual([problems, counts], [['file: unreadable'], { unreadable: 1 }]);
});

test('a file that may not be read is unreadable', async (t) => {
  if (!requireOrdinaryUser(t)) return;
  const { read, path, problems, counts } = folderWithFile(t);
  chmodSync(path, 0);
  assert.equal(await read(), undefined);
  assert.deepEqual([problems, counts], [['file: unreadable'], { unreadable: 1 }]);
});

const becomes: [string, (path: string, folder: string, fd: number) => void][] = [
  ['a symlink', (path) => symlinkSync('/etc/passwd', path)],
  ['a folder', (path) => mkdirSync(path)],
  ['a FIFO, which nobody writes to', (_path, _folder, fd) => void mknodAt(fd, 'file' as RawString, 0o010644, 0)],
  ['a socket', (_path, _folder, fd) => void mknodAt(fd, 'file' as RawString, 0o140644, 0)],
];
for (const [what, become] of becomes) {
  test(`a file that became ${what} is not followed, not waited for, and reported`, async (t) => {
    const { read, path, folder, fd, problems, counts } = folderWithFile(t);
    renameSync(path, join(folder, 'elsewhere'));
    become(path, folder, fd);
    assert.equal(await read(), undefined);
    assert.deepEqual(problems, ['file: type-changed']);
    assert.equal(counts.unreadable, 1);
    assert.equal(counts.changedWhileRead, 1);
  });
}

/** The node of an entry as a listing knows it. */
function listed(fd: number, name: string): TreeNode {
  const stat = new Stat();
  assert.equal(statAt(fd, rawFromText(name), stat), 0);
  return nodeFromStat(rawFromText(name), stat, false);
}

test("attributes are taken over from the parent while inode, device and ctime are the same, and read when they aren't", (t) => {
  const { fd, entries } = folderWithFile(t);
  setXattrAt(fd, rawFromText('file'), 'user.key', Buffer.from('new'));
  const parent = { ...listed(fd, 'file'), extendedAttributes: [{ name: 'user.key', value: Buffer.from('old') }] };
  const valueWith = (changed: Partial<TreeNode>) =>
    entries.complete(fd, listed(fd, 'file'), { ...parent, ...changed })?.extendedAttributes[0]?.value?.toString();
  assert.equal(valueWith({}), 'old');
  assert.equal(valueWith({ ctime: '2001-01-01T00:00:00Z' }), 'new');
  assert.equal(valueWith({ inode: 1 }), 'new');
  assert.equal(valueWith({ deviceId: 1 }), 'new');
  assert.equal(valueWith({ type: 'symlink' }), 'new');
  assert.equal(valueWith({ error: 'extended attributes could not be read (EIO)' }), 'new', 'they were not all there');
});

test('an entry that vanished before its link or attributes were read is left out', (t) => {
  const { fd, folder, path, entries, problems } = folderWithFile(t);
  symlinkSync('target', join(folder, 'link'));
  const [link, file] = [listed(fd, 'link'), listed(fd, 'file')];
  assert.equal(entries.complete(fd, link, undefined)?.linkTarget, 'target');
  rmSync(join(folder, 'link'));
  rmSync(path);
  assert.equal(entries.complete(fd, link, undefined), undefined);
  assert.equal(entries.complete(fd, file, undefined), undefined);
  assert.deepEqual(problems, ['link: vanished', 'file: vanished']);
});
