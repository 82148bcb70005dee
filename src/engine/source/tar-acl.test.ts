import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aclFromText, aclText, modeOfAcl } from './tar-acl.ts';

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

test('the text of an ACL as other programs write it, and back', () => {
  const value = Buffer.concat([header, entry(1, 6), entry(2, 4, 7), entry(2, 4, 1234), entry(4, 5), entry(16, 7), entry(32, 0)]);
  for (const text of [
    aclText(value) as string,
    'user::rw-\nuser:7:r--\nuser:1234:r--\t#effective:r--\ngroup::r-x\nmask::rwx\nother::---\n',
    'other::---,mask::rwx,user:alice:r--:1234,group::r-x,user:bob:r--:7,user::rw-',
    'u::rw,u:1234:r,u:7:r,g::rx,m::rwx,o::-',
  ])
    assert.deepEqual(aclFromText(text), value, text);
  assert.deepEqual(aclFromText(''), Buffer.alloc(0));
  for (const text of ['user:alice:r--', 'user::rwz', 'all::rwx', 'user:4294967296:r--', 'user'])
    assert.equal(aclFromText(text), undefined, text);
});

test('the mode that goes with an ACL: the mask is the group, if there is one', () => {
  assert.equal(modeOfAcl(0o2777, Buffer.concat([header, entry(1, 6), entry(4, 5), entry(16, 2), entry(32, 1)])), 0o2621);
  assert.equal(modeOfAcl(0o777, Buffer.concat([header, entry(1, 6), entry(4, 5), entry(32, 1)])), 0o651);
});
