import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { rawFromText } from '../../model/raw-bytes.ts';
import { makeDevice, Stat } from '../source/posix-stat.ts';
import { attributesUnchanged, contentUnchanged, nodeFromStat, sameInstant } from './nodes.ts';

function statOf(fields: Partial<Stat>): Stat {
  return Object.assign(new Stat(), {
    mode: 0o100644,
    size: 10,
    inode: 5,
    device: 7,
    links: 1,
    mtimeSec: 1_600_000_000,
    mtimeNsec: 5,
    ctimeSec: 1_600_000_001,
    ctimeNsec: 6,
    atimeSec: 1_600_000_002,
    atimeNsec: 7,
    ...fields,
  });
}
const nodeOf = (fields: Partial<Stat> = {}, withAtime = false) => nodeFromStat(rawFromText('name'), statOf(fields), withAtime);

test('size, links and device are recorded where restic records them, and nowhere else', () => {
  const recorded = (mode: number) => {
    const { type, size, links, device } = nodeOf({ mode, size: 10, links: 3, rdev: makeDevice(1, 3) });
    return [type, size, links, device];
  };
  assert.deepEqual(recorded(0o100644), ['file', 10, 3, 0]);
  assert.deepEqual(recorded(0o040755), ['dir', 0, 0, 0]);
  assert.deepEqual(recorded(0o120777), ['symlink', 0, 3, 0]);
  assert.deepEqual(recorded(0o010644), ['fifo', 0, 0, 0]);
  assert.deepEqual(recorded(0o020644), ['chardev', 0, 3, 259]);
  assert.deepEqual(recorded(0o060644), ['dev', 0, 3, 259]);
});

test('the access time is the modification time, unless it is asked for', () => {
  assert.equal(nodeOf().atime, nodeOf().mtime);
  assert.notEqual(nodeOf({}, true).atime, nodeOf({}, true).mtime);
});

test('an instant is the same in whatever zone it is written', () => {
  assert.ok(sameInstant('2024-01-01T00:00:00.5Z', '2024-01-01T05:45:00.5+05:45'));
  assert.ok(!sameInstant('2024-01-01T00:00:00.5Z', '2024-01-01T00:00:00.500000001Z'));
  assert.ok(!sameInstant('2024-01-01T00:00:00.5Z', 'nonsense'));
  assert.ok(sameInstant('nonsense', 'nonsense'));
});

const strict = { ignoreInode: false, ignoreCtime: false, force: false };
const parentOf = (fields: Partial<TreeNode> = {}): TreeNode => ({ ...nodeOf(), content: [] as BlobId[], ...fields });

test('content is unchanged when type, size, mtime, ctime and inode are', () => {
  assert.ok(contentUnchanged(nodeOf(), parentOf(), strict));
  assert.ok(!contentUnchanged(nodeOf(), undefined, strict));
  assert.ok(!contentUnchanged(nodeOf(), parentOf(), { ...strict, force: true }));
  for (const other of [{ size: 11 }, { mtime: '2001-01-01T00:00:00Z' }, { type: 'symlink' as const }, { content: undefined }]) {
    assert.ok(!contentUnchanged(nodeOf(), parentOf(other), { ...strict, ignoreCtime: true, ignoreInode: true }), JSON.stringify(other));
  }
  const otherCtime = parentOf({ ctime: '2001-01-01T00:00:00Z' });
  assert.ok(!contentUnchanged(nodeOf(), otherCtime, strict));
  assert.ok(contentUnchanged(nodeOf(), otherCtime, { ...strict, ignoreCtime: true }));
  const otherInode = parentOf({ inode: 6 });
  assert.ok(!contentUnchanged(nodeOf(), otherInode, strict));
  assert.ok(contentUnchanged(nodeOf(), otherInode, { ...strict, ignoreInode: true }));
  // A volume that is mounted anew gets another device number.
  assert.ok(contentUnchanged(nodeOf(), parentOf({ deviceId: 8 }), strict));
});

test('inodes beyond 2^53 are told apart', () => {
  const large = 2n ** 60n;
  assert.ok(contentUnchanged(nodeOf({ inode: large }), parentOf({ inode: large }), strict));
  assert.ok(!contentUnchanged(nodeOf({ inode: large }), parentOf({ inode: large + 1n }), strict));
});

test('attributes are unchanged only for the same inode of the same device with the same ctime, whatever is relaxed', () => {
  const relaxed = { ignoreInode: true, ignoreCtime: true, force: false };
  assert.ok(attributesUnchanged(nodeOf(), parentOf(), relaxed));
  assert.ok(!attributesUnchanged(nodeOf(), parentOf(), { ...relaxed, force: true }));
  for (const other of [{ inode: 6 }, { deviceId: 8 }, { ctime: '2001-01-01T00:00:00Z' }, { type: 'dir' as const }]) {
    assert.ok(!attributesUnchanged(nodeOf(), parentOf(other), relaxed), JSON.stringify(other));
  }
});
