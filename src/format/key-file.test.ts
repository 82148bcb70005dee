import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createKeyFile, openKeyFile, parseKeyFile, passwordCost, randomKeyCost, randomSealKey } from './key-file.ts';

const cheap = { N: 2, r: 8, p: 1 };
const owner = { username: 'someone', hostname: 'somewhere' };
const now = new Date('2024-05-06T07:08:09.123Z');

test('the password opens the key, and no other does', async () => {
  const master = randomSealKey();
  const written = await createKeyFile(Buffer.from('secret'), master, cheap, owner, now);
  const file = parseKeyFile(Buffer.from(JSON.stringify(written)));
  assert.deepEqual(await openKeyFile(file, Buffer.from('secret')), master);
  for (const wrong of ['', 'Secret', 'secret\n', 'secre']) assert.equal(await openKeyFile(file, Buffer.from(wrong)), undefined);
});

test("it holds restic's fields, and the password nowhere", async () => {
  const text = JSON.stringify(await createKeyFile(Buffer.from('secret'), randomSealKey(), cheap, owner, now));
  assert.deepEqual(Object.keys(JSON.parse(text)).sort(), ['N', 'created', 'data', 'hostname', 'kdf', 'p', 'r', 'salt', 'username']);
  assert.equal(JSON.parse(text).created, '2024-05-06T07:08:09.123Z');
  assert.equal(Buffer.from(JSON.parse(text).salt, 'base64').length, 64);
  assert.ok(!text.includes('secret'));
});

test('two keys of one password have nothing in common', async () => {
  const master = randomSealKey();
  const [a, b] = await Promise.all([1, 2].map(() => createKeyFile(Buffer.from('secret'), master, cheap, owner, now)));
  assert.notEqual(a?.salt, b?.salt);
  assert.notEqual(a?.data, b?.data);
});

test('a key whose sealed part was changed does not open', async () => {
  const file = await createKeyFile(Buffer.from('secret'), randomSealKey(), cheap, owner, now);
  const data = Buffer.from(file.data, 'base64');
  data[20] = (data[20] as number) ^ 1;
  assert.equal(await openKeyFile({ ...file, data: data.toString('base64') }, Buffer.from('secret')), undefined);
  assert.equal(await openKeyFile({ ...file, data: '' }, Buffer.from('secret')), undefined);
  assert.equal(await openKeyFile({ ...file, p: 2 }, Buffer.from('secret')), undefined);
});

test('the costs that Holdfast itself asks for are within its bounds', async () => {
  const good = await createKeyFile(Buffer.from('x'), randomSealKey(), cheap, owner, now);
  for (const cost of [passwordCost, randomKeyCost, { N: 32768, r: 8, p: 5 }, { N: 2 ** 20, r: 8, p: 1 }]) {
    assert.ok(parseKeyFile(Buffer.from(JSON.stringify({ ...good, ...cost }))));
  }
});

test('absurd costs and missing fields are damage, found before any work is done', async () => {
  const good = await createKeyFile(Buffer.from('x'), randomSealKey(), cheap, owner, now);
  const wrong = [
    { N: 2 ** 30 },
    { N: 3 },
    { N: 0 },
    { N: -2 },
    { N: 1.5 },
    { r: 2 ** 30 },
    { p: 2 ** 31 },
    { p: 1e9 },
    { N: '2' },
    { kdf: 'md5' },
    { salt: undefined },
    { data: 7 },
  ];
  for (const change of wrong) {
    assert.throws(() => parseKeyFile(Buffer.from(JSON.stringify({ ...good, ...change }))), { code: 'damaged' }, JSON.stringify(change));
  }
  for (const text of ['', 'null', '[]', '7']) assert.throws(() => parseKeyFile(Buffer.from(text)), { code: 'damaged' });
});
