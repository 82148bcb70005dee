import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { groupName, userName } from './posix-accounts.ts';

/** Numbers and names in /etc/passwd or /etc/group; the first of several names counts. */
function local(file: string): Map<number, string> {
  const known = new Map<number, string>();
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [name, , id] = line.split(':');
    if (name && id && !name.startsWith('+') && !known.has(Number(id))) known.set(Number(id), name);
  }
  return known;
}

test('the users of this system', () => {
  const users = local('/etc/passwd');
  assert.equal(users.get(0), 'root');
  for (const [uid, name] of users) assert.equal(userName(uid), name);
  for (const [uid, name] of users) assert.equal(userName(uid), name, 'asked again');
});

test('the groups of this system', () => {
  for (const [gid, name] of local('/etc/group')) assert.equal(groupName(gid), name);
});

test('numbers that nobody has', () => {
  assert.equal(userName(3_987_654_321), '');
  assert.equal(groupName(3_987_654_321), '');
  assert.equal(groupName(3_987_654_321), '');
});
