import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { freeListen } from './free-listen.ts';

test('the address is named only when another one than the preferred has to be taken', async (t) => {
  const taken = createServer().listen({ host: '127.0.0.1', port: 0 });
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const found = (await freeListen(`127.0.0.1:${port}`)) as string;
  assert.match(found, /^127\.0\.0\.1:\d+$/);
  assert.ok(Number(found.split(':')[1]) > port);
  taken.close();
  await once(taken, 'close');
  assert.equal(await freeListen(`127.0.0.1:${port}`), undefined);
  t.diagnostic(found);
});
