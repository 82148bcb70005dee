import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TreeNode } from '../../model/node.ts';
import { LinkGroups } from './links.ts';

const node = (type: string, links: number, inode: number, deviceId = 7) => ({ type, links, inode, deviceId }) as TreeNode;

test('files with a link count of more than one are one file when device and inode say so', () => {
  const groups = new LinkGroups();
  const group = groups.of(node('file', 2, 5));
  assert.ok(group);
  assert.equal(groups.of(node('file', 2, 5)), group);
  assert.notEqual(groups.of(node('file', 2, 6)), group);
  assert.notEqual(groups.of(node('file', 2, 5, 8)), group);
  assert.equal(groups.of(node('file', 1, 5)), undefined);
  assert.equal(groups.of(node('dir', 3, 5)), undefined);
});

test('FIFOs and devices without a link count are told by the inode, where there is one', () => {
  for (const type of ['fifo', 'dev', 'chardev']) {
    const groups = new LinkGroups();
    const group = groups.of(node(type, 0, 5));
    assert.ok(group);
    assert.equal(groups.of(node(type, 0, 5)), group);
    assert.notEqual(groups.of(node(type, 0, 6)), group);
    assert.equal(groups.of(node(type, 1, 5)), undefined);
    assert.equal(groups.of(node(type, 0, 0)), undefined);
    assert.equal(groups.of(node(type, 0, 5, 0)), undefined);
  }
  const groups = new LinkGroups();
  assert.notEqual(groups.of(node('fifo', 0, 5)), groups.of(node('chardev', 0, 5)));
  assert.equal(groups.of(node('file', 0, 5)), undefined);
});
