import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { fc } from '../../test/properties.ts';
import { createSeal } from './seal.ts';
import { openJson, parseRepositoryJson, sealJson } from './sealed-json.ts';

const seal = createSeal({ encrypt: randomBytes(32), macK: randomBytes(16), macR: randomBytes(16) });

test('JSON survives both versions; version 2 compresses it', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(1, 2), (value, version) => {
      const json = Buffer.from(JSON.stringify(value));
      const sealed = sealJson(seal, json, version);
      assert.deepEqual(openJson(seal, sealed), json);
    }),
  );
  const long = Buffer.from(JSON.stringify({ text: 'abc'.repeat(1000) }));
  assert.equal(seal.open(sealJson(seal, long, 2))[0], 2);
  assert.ok(sealJson(seal, long, 2).length < 200);
  assert.deepEqual(seal.open(sealJson(seal, long, 1)), long);
});

test('a list is JSON too; anything else is damage', () => {
  assert.equal(openJson(seal, seal.seal(Buffer.from('[1]'))).toString(), '[1]');
  for (const plain of ['', '1', 'text', '\x01{}', '\x02not zstd', '\x02']) {
    assert.throws(() => openJson(seal, seal.seal(Buffer.from(plain))), { code: 'damaged' }, JSON.stringify(plain));
  }
});

test('what another program compressed without saying how large it is', () => {
  const json = Buffer.from('{"a":[1,2,3]}');
  assert.deepEqual(openJson(seal, seal.seal(Buffer.concat([Buffer.from([2]), zstdCompressSync(json)]))), json);
});

test('text that is not JSON is damage, with what it should have been', () => {
  assert.throws(() => parseRepositoryJson(Buffer.from('{"a":'), 'a lock'), { code: 'damaged', message: 'a lock is not JSON' });
  assert.deepEqual(parseRepositoryJson(Buffer.from('{"a":"\u00e9"}'), 'a lock'), { a: '\u00e9' });
});
