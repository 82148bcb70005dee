import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { zeroChunkBytes } from '../../src/engine/restore/zero-chunk.ts';
import type { BlobId } from '../../src/model/ids.ts';
import { describeTree } from '../awkward-tree.ts';
import { requireOrdinaryUser, requireRoot } from '../peers.ts';
import { node } from '../tree-node.ts';
import { RestoreFixture, storeByHand } from './restore-support.ts';

test('100 GiB of holes with a little data take seconds, again and verified too', async (t) => {
  const fixture = new RestoreFixture(t);
  const chunks = (100 * 1024 ** 3) / zeroChunkBytes;
  await storeByHand(fixture, ({ data, tree }) => {
    const content = new Array<BlobId>(chunks).fill(data(Buffer.alloc(zeroChunkBytes)));
    content[chunks >> 1] = data('in the middle');
    return tree([node('sparse', { content })]);
  });
  const startedMs = performance.now();
  const first = await fixture.restore({ verify: true });
  assert.equal(first.result.verified, true);
  assert.equal((await fixture.restore()).result.bytesWritten, 0);
  const stat = lstatSync(join(fixture.target, 'sparse'));
  assert.equal(stat.size, (chunks - 1) * zeroChunkBytes + 'in the middle'.length);
  assert.ok(stat.blocks <= 64, `${stat.blocks} blocks`);
  assert.ok(performance.now() - startedMs < 60_000);
});

test('without sparse, zeros are written', async (t) => {
  const fixture = new RestoreFixture(t);
  await storeByHand(fixture, ({ data, tree }) => {
    const zeros = data(Buffer.alloc(zeroChunkBytes));
    return tree([node('one', { content: [zeros] }), node('two', { content: [zeros, zeros] })]);
  });
  await fixture.restore({ sparse: false });
  assert.ok(lstatSync(join(fixture.target, 'two')).blocks * 512 >= 2 * zeroChunkBytes);
  assert.ok(lstatSync(join(fixture.target, 'one')).blocks * 512 >= zeroChunkBytes);
});

test('paths longer than PATH_MAX, and more directories at once than descriptors are kept', async (t) => {
  const fixture = new RestoreFixture(t);
  const depth = 1300;
  const name = (level: number) => `level ${level} `.padEnd(40, '.');
  await storeByHand(fixture, ({ data, tree }) => {
    let inner = tree([node('deepest', { content: [data('deep')] })]);
    for (let level = depth; level > 0; level--) {
      inner = tree([node('beside', { content: [data(`beside ${level}`)] }), node(name(level), { type: 'dir', subtree: inner })]);
    }
    return inner;
  });
  const { problems, result } = await fixture.restore({ verify: true });
  assert.deepEqual(problems, []);
  assert.equal(result.verified, true);
  assert.equal(result.dirsTotal, depth + 1);
  assert.equal(describeTree(fixture.target).size, 2 * depth + 1);
  assert.equal((await fixture.restore()).result.filesRestored, 0);
});

test('a full target ends the restore; with room it is carried on', async (t) => {
  if (!requireRoot(t)) return;
  const fixture = new RestoreFixture(t);
  for (let i = 0; i < 40; i++) fixture.file(`file ${i}`, Buffer.alloc(100_000, i + 1));
  fixture.file('large', Buffer.alloc(3 * 1024 * 1024, 7));
  await fixture.create();
  await fixture.backUp();
  mkdirSync(fixture.target);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', fixture.target], { stdio: 'ignore' });
  } catch {
    t.skip('mounting is not allowed here');
    return;
  }
  try {
    await assert.rejects(fixture.restore(), { code: 'target-full' });
    execFileSync('mount', ['-o', 'remount,size=20m', fixture.target]);
    const { problems } = await fixture.restore({ verify: true });
    assert.deepEqual(problems, []);
    assert.ok(readFileSync(join(fixture.target, 'large')).equals(Buffer.alloc(3 * 1024 * 1024, 7)));
    execFileSync('mount', ['-o', 'remount,ro', fixture.target]);
    await assert.rejects(fixture.restore(), { code: 'target-unwritable' });
  } finally {
    execFileSync('umount', [fixture.target]);
  }
});

test('what is mounted inside the target is not deleted', async (t) => {
  if (!requireRoot(t)) return;
  const fixture = new RestoreFixture(t);
  fixture.file('file', 'content');
  await fixture.create();
  await fixture.backUp();
  const inside = join(fixture.target, 'mounted');
  mkdirSync(inside, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', inside], { stdio: 'ignore' });
  } catch {
    t.skip('mounting is not allowed here');
    return;
  }
  try {
    mkdirSync(join(inside, 'precious'));
    const { problems } = await fixture.restore({ delete: true });
    assert.deepEqual(
      problems.map(({ file, problem }) => [file, problem]),
      [['mounted', 'unwritable']],
    );
    assert.deepEqual(readdirSync(inside), ['precious']);
  } finally {
    execFileSync('umount', [inside]);
  }
});

test('an ordinary user gets the data, and is told once a kind what could not be set', async (t) => {
  if (!requireOrdinaryUser(t)) return;
  const fixture = new RestoreFixture(t);
  await storeByHand(fixture, ({ data, tree }) => {
    const others = { uid: 0, gid: 0, content: [data('content')] };
    return tree([
      node('a', others),
      node('b', { ...others, mode: 0o644 + 2 ** 23 }),
      node('device', { type: 'chardev', device: 259, mode: 2 ** 26 + 2 ** 21 + 0o600 }),
    ]);
  });
  const { result, events, problems } = await fixture.restore({ verify: true });
  assert.deepEqual(problems, []);
  assert.equal(result.warnings, 3);
  const warnings = events.filter((event) => event.event === 'warning').map(({ warning, count }) => [warning.replace(/ \(.*/, ''), count]);
  assert.deepEqual(warnings.sort(), [
    ['device node not made', 1],
    ['owner not set', 2],
  ]);
  assert.equal(readFileSync(join(fixture.target, 'b'), 'utf8'), 'content');
  assert.equal(lstatSync(join(fixture.target, 'b')).mode & 0o4000, 0, 'a file of another owner must not become setuid of this one');
});
