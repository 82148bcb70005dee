import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StatusError } from './sftp-client.ts';
import { failureOf, lostConnection } from './sftp-failures.ts';

const ending = { program: 'ssh', location: 'sftp:host:x', trial: 'sftp host', greeted: false, status: 255, said: '', cause: undefined };
const roomy = { availableBytes: 1e9, inodesLeft: true, readOnly: false };

test('what ssh says when it ends decides whether to try again helps', () => {
  const cases = [
    ['Host key verification failed.', 'storage-denied'],
    ['No ED25519 host key is known for host and you have requested strict checking.', 'storage-denied'],
    ['me@host: Permission denied (publickey).', 'storage-denied'],
    ['command-line: line 0: Bad configuration option: x', 'usage'],
    ['subsystem request failed on channel 0', 'unsupported'],
    ['ssh: Could not resolve hostname host: Name or service not known', 'storage'],
    ['Connection closed by remote host', 'storage'],
    ['', 'storage'],
  ] as const;
  for (const [said, code] of cases) {
    const error = lostConnection({ ...ending, said });
    assert.equal(error.code, code, said);
    assert.ok(error.message.includes(said) && error.message.includes('sftp:host:x'));
    // Once the server has let us in, what was said before is no reason to give up.
    assert.equal(lostConnection({ ...ending, said, greeted: true }).code, 'storage');
  }
});

test('what a status means', () => {
  const cases = [
    [new StatusError(2, 'No such file'), undefined, 'file-missing'],
    [new StatusError(3, 'Permission denied'), undefined, 'storage-denied'],
    [new StatusError(8, ''), undefined, 'unsupported'],
    [new StatusError(4, 'Failure'), undefined, 'storage'],
    [new StatusError(4, 'Failure'), roomy, 'storage'],
    [new StatusError(4, 'Failure'), { ...roomy, availableBytes: 4096 }, 'storage-full'],
    [new StatusError(4, 'Failure'), { ...roomy, inodesLeft: false }, 'storage-full'],
    [new StatusError(4, 'No space left on device'), undefined, 'storage-full'],
    [new StatusError(4, 'Disk quota exceeded'), roomy, 'storage-full'],
    [new StatusError(4, 'Failure'), { ...roomy, readOnly: true }, 'storage-denied'],
    [new Error('anything else'), undefined, 'storage'],
  ] as const;
  for (const [error, room, code] of cases)
    assert.equal(failureOf(error, 'write', 'sftp:host:x/config', room).code, code, `${error.message} ${code}`);
});
