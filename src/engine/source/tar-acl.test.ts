import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aclText } from './tar-acl.ts';

const entry = (tag: number, permissions: number, id = 0xffffffff): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(tag, 0);
  bytes.writeUInt16LE(permissions, 2);
  bytes.writeUInt32LE(id, 4);
  return bytes;
};
const header = Buffer.from([2, 0, 0, 0]);

test('an ACL as text, with numbers for users and groups', () => {
  const value = Buffer.concat([header, entry(1, 6), entry(2, 4, 1234), entry(4, 5), entry(8, 2, 4321), entry(16, 7), entry(32, 0)]);
  assert.equal(aclText(value), 'user::rw-,user:1234:r--,group::r-x,group:4321:-w-,mask::rwx,other::---');
});

test('what is no ACL is left as it is', () => {
  for (const value of [
    Buffer.alloc(0),
    Buffer.from([3, 0, 0, 0]),
    Buffer.concat([header, Buffer.alloc(7)]),
    Buffer.concat([header, entry(64, 7)]),
  ]) {
    assert.equal(aclText(value), undefined);
  }
});
