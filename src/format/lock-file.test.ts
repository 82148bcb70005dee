import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { anyText, fc } from '../../test/properties.ts';
import { HoldfastError } from '../model/errors.ts';
import { decodeLock, encodeLock } from './lock-file.ts';

/** A lock that restic 0.19.1 held, with another host's name. */
const vector = readFileSync(new URL('../../test/vectors/fixtures/lock-restic-0.19.1.json', import.meta.url));

test("restic's lock is read, and reproduced", () => {
  const lock = decodeLock(vector, 'n');
  const time = '2026-11-22T18:34:14.783452633-03:30';
  assert.deepEqual(lock, { time, exclusive: false, hostname: 'lockhost', username: 'root', pid: 27650, uid: 0, gid: 0 });
  assert.equal(encodeLock(lock).toString(), vector.toString());
});

test('any lock survives', () => {
  const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  const fields = {
    time: fc.constant('2026-11-22T18:34:14Z'),
    exclusive: fc.boolean(),
    hostname: anyText(),
    username: fc.string(),
    pid: fc.nat(),
    uid: uint32,
    gid: uint32,
  };
  const lock = fc.record(fields, { noNullPrototype: true });
  fc.assert(fc.property(lock, (value) => assert.deepEqual(decodeLock(encodeLock(value), 'n'), value)));
});

test('what is not a lock is damaged', () => {
  for (const text of ['', '[]', '{"exclusive":1}', '{"time":"x"}', '{"pid":-1}', '{"hostname":{}}']) {
    assert.throws(
      () => decodeLock(Buffer.from(text), 'n'),
      (error) => error instanceof HoldfastError && error.code === 'damaged',
    );
  }
});
