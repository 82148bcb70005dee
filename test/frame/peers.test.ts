import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, type TestContext, test } from 'node:test';
import { peer, requirePeer, requireRestic, resticVersions, scratch } from '../peers.ts';

const { CI, HOLDFAST_RESTIC, PATH } = process.env;

beforeEach(() => {
  delete process.env.CI;
});
afterEach(() => {
  for (const [name, value] of Object.entries({ CI, HOLDFAST_RESTIC, PATH })) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

/** A test that only notes why it was skipped. */
function onlooker() {
  const reasons: string[] = [];
  return { context: { skip: (reason: string) => reasons.push(reason) } as unknown as TestContext, reasons };
}

test('a missing peer skips with the way to get it, and fails in CI', () => {
  process.env.PATH = '';
  const { context, reasons } = onlooker();
  assert.equal(requirePeer(context, 'rsync'), undefined);
  assert.match(reasons.join(), /apt-get install rsync/);
  process.env.CI = 'true';
  assert.throws(() => requirePeer(context, 'rsync'), /rsync is not installed/);
});

test('a missing newest restic skips with the way to get it, and fails in CI', () => {
  process.env.HOLDFAST_RESTIC = '/nonexistent/restic';
  const { context, reasons } = onlooker();
  assert.equal(requireRestic(context, 'newest'), undefined);
  assert.match(reasons.join(), /newest-peers\.sh/);
  process.env.CI = 'true';
  assert.throws(() => requireRestic(context, 'newest'), /newest restic is not at hand/);
});

test('peers are found in PATH, and restic with its version', (t) => {
  const folder = scratch(t);
  const fake = join(folder, 'restic');
  writeFileSync(fake, '#!/bin/sh\necho "restic 0.99.1 compiled with go1 on linux/amd64"\n');
  chmodSync(fake, 0o755);
  writeFileSync(join(folder, 'zstd'), 'not executable');
  process.env.PATH = `${folder}:/usr/bin:/bin`;
  process.env.HOLDFAST_RESTIC = fake;
  assert.equal(peer('restic'), fake);
  assert.notEqual(peer('zstd'), join(folder, 'zstd'));
  assert.deepEqual(resticVersions(), [
    { name: 'stock', path: fake, version: '0.99.1' },
    { name: 'newest', path: fake, version: '0.99.1' },
  ]);
});

test('scratch removes what is hard to remove', async (t) => {
  let folder = '';
  await t.test('fill it', (inner) => {
    folder = scratch(inner);
    mkdirSync(join(folder, 'closed', 'inside'), { recursive: true });
    chmodSync(join(folder, 'closed'), 0);
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0x0a])]), '');
    const name = 'd'.repeat(255);
    execFileSync('sh', ['-c', `i=0; while [ $i -lt 20 ]; do mkdir ${name} && cd -P ${name} || exit 1; i=$((i+1)); done`], { cwd: folder });
    assert.ok(existsSync(folder));
  });
  assert.equal(existsSync(folder), false);
});
