import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../../../test/peers.ts';
import { openOutputFile } from './output-file.ts';

const signal = new AbortController().signal;

async function* bytes() {
  yield Buffer.from('new');
}

test('a device, a pipe or a directory is refused, and stays what it is', async (t) => {
  const folder = scratch(t);
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  mkdirSync(join(folder, 'directory'));
  symlinkSync('/dev/null', join(folder, 'device'));
  for (const name of ['pipe', 'directory', 'device']) {
    const before = lstatSync(join(folder, name)).ino;
    await assert.rejects(openOutputFile(join(folder, name)), { code: 'target-unwritable', message: /is no regular file/ });
    assert.equal(lstatSync(join(folder, name)).ino, before);
  }
  assert.equal(readdirSync(folder).length, 3, 'nothing is left behind');
});

test('the file that a link names is left alone; the new one is for its user only', async (t) => {
  const folder = scratch(t);
  writeFileSync(join(folder, 'precious'), 'old');
  symlinkSync('precious', join(folder, 'output'));
  await (await openOutputFile(join(folder, 'output'))).write(bytes(), signal);
  assert.equal(readFileSync(join(folder, 'precious'), 'utf8'), 'old');
  assert.equal(readFileSync(join(folder, 'output'), 'utf8'), 'new');
  assert.equal(statSync(join(folder, 'output')).mode & 0o777, 0o600);
});
