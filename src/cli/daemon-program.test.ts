import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { daemonProgram, optionsWithoutEffect } from './daemon-program.ts';

const plain = { json: false, quiet: false, verbose: false, color: true };

test('jobs get what up was told of passwords, the cache and Docker, wherever they work', () => {
  const global = {
    ...plain,
    passwordFile: 'key',
    cacheDir: '../cache',
    cache: false,
    dockerHost: 'tcp://engine:2376',
    config: 'other.yaml',
  };
  const { command, directory } = daemonProgram({ global, cwd: '/srv/shop', environment: {} }, '/state/holdfast.yaml', '/srv');
  assert.deepEqual(command.slice(2), [
    ...['--config', '/state/holdfast.yaml', '--password-file', '/srv/shop/key', '--cache-dir', '/srv/cache', '--no-cache'],
    ...['--docker-host', 'tcp://engine:2376'],
  ]);
  assert.equal(directory, '/srv');
  const none = daemonProgram({ global: plain, cwd: '/', environment: { A: 'b' } }, '/f', '/');
  assert.deepEqual([none.command.slice(2), none.environment], [['--config', '/f'], { A: 'b' }]);
});

test('the state folder of jobs is the one of the daemon', () => {
  const environment = { HOLDFAST_STATE_DIR: 'state' };
  const program = daemonProgram({ global: plain, cwd: '/', environment }, '/f', '/somewhere/else');
  assert.equal(program.environment.HOLDFAST_STATE_DIR, join(process.cwd(), 'state'));
});

test('what means nothing to a daemon is told of', () => {
  assert.deepEqual(optionsWithoutEffect(plain), []);
  const said = optionsWithoutEffect({ ...plain, repository: 'offsite', limitUpload: '1M', retryLock: '1h' });
  assert.deepEqual(
    said.map((sentence) => sentence.split(' ')[0]),
    ['--repository', '--retry-lock', '--limit-upload'],
  );
});
