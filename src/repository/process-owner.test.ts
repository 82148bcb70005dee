import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { requireRoot } from '../../test/peers.ts';
import { processOwner } from './process-owner.ts';

const module = new URL('./process-owner.ts', import.meta.url);

test('this process has a host, a name and numbers', () => {
  const { hostname, username, uid, gid } = processOwner();
  assert.ok(hostname !== '' && username !== '');
  assert.deepEqual([uid, gid], [process.getuid?.(), process.getgid?.()]);
});

test('a user without an account, as in a container, has its number for a name', (t) => {
  if (!requireRoot(t)) return;
  // The module is loaded before the user is changed: the checkout may be out of reach for another.
  const script = `import { processOwner } from ${JSON.stringify(module.href)}; process.setgid(54321); process.setuid(54320); console.log(JSON.stringify(processOwner()));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
  const { username, uid, gid } = JSON.parse(stdout || `"${stderr}"`);
  assert.deepEqual([username, uid, gid], ['54320', 54_320, 54_321]);
});
