import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { closeServer, open } from './listening.ts';

test('a connection that cannot be taken is told of, and ends nothing', async (t) => {
  const server = createServer((_, response) => response.end('here'));
  t.after(() => closeServer(server));
  const problems: string[] = [];
  const listen = { kind: 'address', host: '127.0.0.1', port: 0, loopback: true } as const;
  const address = await open(server, listen, { secure: false, onProblem: (message) => problems.push(message) });
  // As node:net does when the system has no memory for it (accept(2), ENOMEM).
  server.emit('error', new Error('accept ENOMEM'));
  assert.deepEqual(problems, ['the API could not take a connection: accept ENOMEM']);
  assert.equal(await (await fetch(address)).text(), 'here');
});
