import assert from 'node:assert/strict';
import { appendFileSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { copyInEffect, takePlace } from '../../src/cli/daemon-place.ts';
import { run } from '../../src/cli/run.ts';
import { writeCopyInEffect } from '../../src/control/configuration/copy-in-effect.ts';
import { exitCodes } from '../../src/model/errors.ts';
import { scratch } from '../peers.ts';

const commandLineAt =
  (cwd: string, environment: NodeJS.ProcessEnv) =>
  async (...argv: string[]) => {
    let [stdout, stderr] = ['', ''];
    const exit = await run(argv, {
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      environment,
      cwd,
      signal: new AbortController().signal,
    });
    return { exit, stdout, stderr };
  };

test('tokens are made, listed without their secrets, and revoked', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  const holdfast = commandLineAt(folder, { HOLDFAST_STATE_DIR: join(folder, 'state') });
  assert.equal((await holdfast('init', '--volume', 'data=data')).exit, exitCodes.done);
  const dry = await holdfast('token', 'create', '--name', 'ci', '--role', 'operator', '--dry-run');
  assert.deepEqual([dry.exit, dry.stdout], [exitCodes.done, 'would make a token ci of the role operator\n']);
  assert.equal((await holdfast('token', 'list')).exit, exitCodes.done);
  assert.equal(existsSync(join(folder, 'state')), false);
  const made = await holdfast('token', 'create', '--name', 'ci', '--role', 'operator', '--expires', '90d');
  assert.match(made.stdout, /^holdfast_[\w-]{43}\n$/);
  const listed = await holdfast('token', 'list', '--json');
  const { createdMs, expiresMs, ...rest } = JSON.parse(listed.stdout);
  assert.deepEqual(rest, { name: 'ci', role: 'operator', expired: false });
  assert.equal(expiresMs - createdMs, 90 * 86_400_000);
  for (const wrong of [
    ['create', '--name', 'ci', '--role', 'admin'],
    ['create', '--name', 'a b', '--role', 'admin'],
    ['create', '--name', 'socket', '--role', 'admin'],
    ['create', '--name', 'x', '--role', 'root'],
    ['create', '--name', 'x', '--role', 'admin', '--expires', 'soon'],
    ['create', '--name', 'x', '--role', 'admin', '--expires', '200000y'],
    ['revoke'],
    ['steal'],
  ])
    assert.equal((await holdfast('token', ...wrong)).exit, exitCodes.usage, wrong.join(' '));
  assert.equal((await holdfast('token', 'revoke', 'ci', '--dry-run')).exit, exitCodes.done);
  assert.equal((await holdfast('token', 'revoke', 'ci')).exit, exitCodes.done);
  assert.equal((await holdfast('token', 'list', '--json')).stdout, '');
  assert.equal((await holdfast('token', 'revoke', 'ci')).exit, exitCodes.failed);
});

test('a token that is made is shown, and one that is revoked is gone, though the state cannot take note of it; that is left as it is', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  const holdfast = commandLineAt(folder, { HOLDFAST_STATE_DIR: join(folder, 'state') });
  await holdfast('init', '--volume', 'data=data');
  await holdfast('token', 'create', '--name', 'first', '--role', 'viewer');
  const [state] = globSync(join(folder, 'state/daemon/*/state.sqlite')) as [string];
  const newer = new DatabaseSync(state);
  newer.exec('PRAGMA user_version = 1000');
  newer.close();
  const made = await holdfast('token', 'create', '--name', 'second', '--role', 'viewer');
  assert.equal(made.exit, exitCodes.done);
  assert.match(made.stdout, /^holdfast_[\w-]{43}\n$/);
  assert.match(made.stderr, /the audit log does not tell of it/);
  const revoked = await holdfast('token', 'revoke', 'first');
  assert.deepEqual([revoked.exit, revoked.stdout], [exitCodes.done, 'revoked the token first\n']);
  const left = readdirSync(dirname(state)).filter((name) => name.startsWith('state.sqlite.damaged'));
  assert.deepEqual(left, []);
});

test('of a damaged file of tokens it is said what to do, and it is left as it is', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  const holdfast = commandLineAt(folder, { HOLDFAST_STATE_DIR: join(folder, 'state') });
  await holdfast('init', '--volume', 'data=data');
  await holdfast('token', 'create', '--name', 'ci', '--role', 'viewer');
  const [file] = globSync(join(folder, 'state/daemon/*/api.sqlite')) as [string];
  const garbage = 'no database at all, but long enough to be looked at';
  writeFileSync(file, garbage);
  const listed = await holdfast('token', 'list');
  assert.equal(listed.exit, exitCodes.failed);
  assert.match(listed.stderr, /^error: the file of tokens is damaged: .*api\.sqlite\n {2}because: .*\n→ restart `holdfast up`/);
  assert.equal(readFileSync(file, 'utf8'), garbage);
});

test('a token can be revoked while holdfast.yaml has mistakes', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  const environment = { HOLDFAST_STATE_DIR: join(folder, 'state') };
  const holdfast = commandLineAt(folder, environment);
  await holdfast('init', '--volume', 'data=data');
  await holdfast('token', 'create', '--name', 'ci', '--role', 'admin');
  const file = join(folder, 'holdfast.yaml');
  const [place] = globSync(join(folder, 'state/daemon/*')) as [string];
  const leave = takePlace(place);
  t.after(leave);
  await writeCopyInEffect(copyInEffect(place), readFileSync(file, 'utf8'), file);
  appendFileSync(file, 'colour: blue\n');
  const revoked = await holdfast('token', 'revoke', 'ci');
  assert.deepEqual([revoked.exit, revoked.stdout], [exitCodes.done, 'revoked the token ci\n']);
});

test('without a daemon, jobs says so and what to do; a token is not sent in the clear', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  const state = { HOLDFAST_STATE_DIR: join(folder, 'state') };
  await commandLineAt(folder, state)('init', '--volume', 'data=data');
  const none = await commandLineAt(folder, state)('jobs');
  assert.equal(none.exit, exitCodes.failed);
  assert.match(none.stderr, /no daemon of this project runs on this host\n→ start it with `holdfast up`/);
  const gone = await commandLineAt(folder, { ...state, HOLDFAST_TOKEN: 'secret-token' })('jobs', '--server', 'http://127.0.0.1:1');
  assert.match(gone.stderr, /the daemon at http:\/\/127.0.0.1:1 cannot be reached/);
  const clear = await commandLineAt(folder, { ...state, HOLDFAST_TOKEN: 'secret-token' })('jobs', '--server', 'http://backup.example');
  assert.equal(clear.exit, exitCodes.usage);
  assert.match(clear.stderr, /in the clear/);
  for (const { stderr } of [none, gone, clear]) assert.equal(stderr.includes('secret-token'), false);
});
