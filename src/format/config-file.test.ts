import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeConfig, encodeConfig } from './config-file.ts';

const config = { version: 2, id: 'ab'.repeat(32), chunkerPolynomial: 0x3da3358b4dc173n };

test("a configuration is restic's JSON, and reads back", () => {
  assert.equal(encodeConfig(config).toString(), `{"version":2,"id":"${'ab'.repeat(32)}","chunker_polynomial":"3da3358b4dc173"}`);
  for (const version of [1, 2]) assert.deepEqual(decodeConfig(encodeConfig({ ...config, version })), { ...config, version });
});

test('versions of the future are refused, and said to be that', () => {
  for (const version of [0, 3, 100])
    assert.throws(() => decodeConfig(encodeConfig({ ...config, version })), { code: 'unsupported-format' });
});

test('what is incomplete or nonsense is damage', () => {
  const good = JSON.parse(encodeConfig(config).toString());
  const wrong = [
    { version: '2' },
    { version: null },
    { id: 7 },
    { id: undefined },
    { chunker_polynomial: 'xyz' },
    { chunker_polynomial: '' },
    { chunker_polynomial: '0'.repeat(17) },
  ];
  for (const change of wrong) {
    assert.throws(() => decodeConfig(Buffer.from(JSON.stringify({ ...good, ...change }))), { code: 'damaged' }, JSON.stringify(change));
  }
  for (const text of ['', 'null', '[]', '{}']) assert.throws(() => decodeConfig(Buffer.from(text)), { code: 'damaged' }, text);
});
