import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { goModeFromStat } from '../../format/file-mode.ts';
import type { TreeNode } from '../../model/node.ts';
import { type RawString, rawFromText } from '../../model/raw-bytes.ts';
import type { Trees } from '../browse/trees-ahead.ts';
import { S_IFDIR, S_IFREG } from '../source/posix-constants.ts';
import type { TarEntry } from '../source/tar-entry.ts';
import { tarBytes } from '../source/tar-write.ts';
import { modeWithoutAcl } from './stream-entries.ts';
import { verifyStream } from './verify-stream.ts';

const pieces = [Buffer.from('first blob'), Buffer.from('second')];
const idOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const blobs = new Map(pieces.map((bytes) => [idOf(bytes), bytes.length]));

const node = (name: string, type: 'file' | 'dir', more: Partial<TreeNode> = {}): TreeNode =>
  ({
    ...{ name: rawFromText(name), type, mode: goModeFromStat((type === 'dir' ? S_IFDIR : S_IFREG) | 0o640) },
    ...{
      mtime: '2020-01-01T00:00:00.5Z',
      atime: '2020-01-01T00:00:00Z',
      ctime: '2020-01-01T00:00:00Z',
      uid: 1,
      gid: 2,
      user: '',
      group: '',
    },
    ...{ inode: 7, deviceId: 1, size: 16, links: 1, linkTarget: undefined, extendedAttributes: [], device: 0 },
    ...{
      content: type === 'file' ? [...blobs.keys()] : undefined,
      subtree: type === 'dir' ? 'inside' : undefined,
      error: '',
      unknown: undefined,
    },
    ...more,
  }) as TreeNode;
const trees: Record<string, TreeNode[]> = {
  root: [node('a', 'dir'), node('a.b', 'file'), node('z', 'file', { inode: 9, links: 2 })],
  inside: [node('file', 'file'), node('other name', 'file', { inode: 9, links: 2 })],
};
const fakeTrees = {
  index: {
    find: (id: string) => [...blobs.keys()].indexOf(id),
    plainLengthOf: (entry: number) => [...blobs.values()][entry] as number,
  },
  nodes: async (tree: string) => trees[tree] as TreeNode[],
  expect: () => undefined,
} as unknown as Trees;

const content = Buffer.concat(pieces);
type Change = Partial<{ mode: number; uid: number; mtimeSec: number; content: Buffer }>;

function entry(path: string, type: 'file' | 'dir', { content: bytes = content, ...change }: Change = {}): TarEntry {
  const metadata = { path: rawFromText(path), mode: 0o640, uid: 1, gid: 2, user: '', group: '', mtimeSec: 1_577_836_800, mtimeNsec: 0 };
  const all = { ...metadata, attributes: [], ...change };
  if (type === 'dir') return { ...all, type };
  return {
    ...all,
    type,
    sizeBytes: bytes.length,
    content: (async function* () {
      for (const byte of bytes) yield Buffer.of(byte);
    })(),
  };
}
const link = (path: string, target: string): TarEntry => {
  const { type: _, ...metadata } = entry(path, 'dir');
  return { ...metadata, type: 'link', target: rawFromText(target) } as TarEntry;
};

const good = () => [
  entry('', 'dir'),
  entry('a', 'dir'),
  entry('a/file', 'file'),
  entry('a/other name', 'file'),
  entry('a.b', 'file'),
  link('z', 'a/other name'),
];

async function differences(entries: TarEntry[], exactly = true): Promise<string[]> {
  const found: string[] = [];
  const stream = tarBytes(
    (async function* () {
      yield* entries;
    })(),
  );
  const root = { tree: 'root', node: node('', 'dir') } as never;
  const options = { trees: fakeTrees, root, place: '' as RawString, owners: {}, keepsAcls: false, exactly };
  await verifyStream(stream, { ...options, onDifference: (path, message) => found.push(`${path}: ${message}`) });
  return found;
}
const changed = (at: number, by: TarEntry) => good().map((each, i) => (i === at ? by : each));

test('what is as in the snapshot is let pass, times to the second', async () => {
  assert.deepEqual(await differences(good()), []);
});

test('each difference is told of, with its name', async () => {
  const of = async (entries: TarEntry[]) => (await differences(entries)).join('; ');
  assert.equal(await of(changed(2, entry('a/file', 'file', { uid: 5 }))), 'a/file: not as in the snapshot: owner');
  assert.equal(await of(changed(1, entry('a', 'dir', { mode: 0o777 }))), 'a: not as in the snapshot: mode');
  assert.equal(await of(changed(4, entry('a.b', 'file', { mtimeSec: 1 }))), 'a.b: not as in the snapshot: times');
  for (const wrong of ['first blobsecond!', 'first blobsecon', 'First blobsecond', 'first blob', '']) {
    assert.equal(
      await of(changed(2, entry('a/file', 'file', { content: Buffer.from(wrong) }))),
      'a/file: not as in the snapshot: content',
      wrong,
    );
  }
  assert.equal(await of(good().toSpliced(4, 1)), 'a.b: is not there');
  assert.equal(await of(good().slice(0, 2)), 'a/file: is not there; a/other name: is not there; a.b: is not there; z: is not there');
  assert.equal(await of(changed(4, entry('a.b', 'dir'))), 'a.b: not as in the snapshot: type');
  assert.match(await of(changed(5, entry('z', 'file'))), /^z: .* a file of its own/);
  assert.match(await of(changed(5, link('z', 'a/file'))), /^z: .* which file it is another name of/);
});

test('what is there beside it counts only where nothing else may be', async () => {
  const more = () => good().toSpliced(3, 0, entry('a/new', 'file'));
  assert.deepEqual(await differences(more(), false), []);
  assert.deepEqual(await differences(more()), ['a/new: is not in the snapshot']);
});

test('a stream that is cut proves nothing', async () => {
  const bytes: Uint8Array[] = [];
  for await (const piece of tarBytes(
    (async function* () {
      yield* good();
    })(),
  ))
    bytes.push(piece);
  const cut = (async function* () {
    yield Buffer.concat(bytes).subarray(0, 1500);
  })();
  const options = {
    trees: fakeTrees,
    root: { tree: 'root', node: undefined } as never,
    place: '' as RawString,
    owners: {},
    keepsAcls: false,
    exactly: true,
  };
  await assert.rejects(verifyStream(cut, { ...options, onDifference: () => undefined }), { code: 'archive-damaged' });
});

test('a mode without its ACL lets in nobody whom the ACL kept out', () => {
  const acl = (entries: [tag: number, bits: number][]) => {
    const value = Buffer.alloc(4 + 8 * entries.length);
    value.writeUInt32LE(2);
    for (const [i, [tag, bits]] of entries.entries()) {
      value.writeUInt16LE(tag, 4 + 8 * i);
      value.writeUInt16LE(bits, 6 + 8 * i);
    }
    return value;
  };
  // user::rw-, user:55:rwx, group::r--, mask::rwx, other::r--
  assert.equal(
    modeWithoutAcl(
      0o2674,
      acl([
        [1, 6],
        [2, 7],
        [4, 4],
        [16, 7],
        [32, 4],
      ]),
    ),
    0o2644,
  );
  assert.equal(
    modeWithoutAcl(
      0o640,
      acl([
        [1, 6],
        [4, 7],
        [16, 4],
        [32, 0],
      ]),
    ),
    0o640,
  );
  assert.equal(modeWithoutAcl(0o670, acl([])), 0o600);
});
