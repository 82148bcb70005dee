import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { addressOf } from './origin.ts';

const behind = { local: false, hosts: undefined, behindProxy: true };
const asked = (remoteAddress: string, forwarded?: string) =>
  ({ socket: { remoteAddress }, headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded } }) as unknown as IncomingMessage;

test('limits are counted by the address, and of IPv6 by the network, however it is written', () => {
  const direct = (address: string) => addressOf(asked(address), { ...behind, behindProxy: false });
  assert.equal(direct('192.0.2.7'), '192.0.2.7');
  assert.equal(direct('::ffff:192.0.2.7'), '192.0.2.7');
  const network = '2001:db8:0:0::/64';
  for (const one of ['2001:db8::1', '2001:db8::2', '2001:db8::5:1', '2001:DB8:0:0:1:2:3:4', '2001:0db8::ffff:0:0:1'])
    assert.equal(direct(one), network, one);
  assert.equal(direct('2001:db8:0:1::1'), '2001:db8:0:1::/64');
  assert.equal(direct('::1'), '0:0:0:0::/64');
  assert.equal(direct('fe80::1%eth0'), 'fe80:0:0:0::/64');
});

test('of a proxy the last address counts, without its port; a header that nobody was asked for says nothing', () => {
  const forwarded = (text: string) => addressOf(asked('127.0.0.1', text), behind);
  assert.equal(forwarded('198.51.100.1, 192.0.2.7'), '192.0.2.7');
  assert.equal(forwarded('192.0.2.7:50001'), '192.0.2.7');
  assert.equal(forwarded('[2001:db8::1]:50001'), '2001:db8:0:0::/64');
  assert.equal(forwarded('unknown'), 'unknown');
  assert.equal(forwarded('x'.repeat(1_000)).length, 64);
  assert.equal(forwarded(''), '127.0.0.1');
  assert.equal(addressOf(asked('127.0.0.1', '192.0.2.7'), { ...behind, behindProxy: false }), '127.0.0.1');
});
