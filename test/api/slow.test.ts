/**
 * Clients that are slow, or say nothing, are let go, and keep nobody else from being served. With HOLDFAST_API_SLOW=1 by the daemon's own timeouts,
 * which takes 40 seconds; else by ones of one or two.
 */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { basePath } from '../../src/api/contract/operations.ts';
import { startTestServer, type TestServer } from './api-server.ts';

const real = process.env.HOLDFAST_API_SLOW === '1';
const patience = { headersTimeout: 1_500, requestTimeout: 2_000, keepAliveTimeout: 1_000, connectionsCheckingInterval: 100 };
const server = (t: TestContext): Promise<TestServer> => startTestServer(t, real ? {} : { server: { patience } });
const byteEveryMs = real ? 1_000 : 50;

/** What a connection is answered until it is closed, when something is sent at once and then a part every so often, without end. */
function trickle(t: TestContext, port: number, head: string, part: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(head));
    const timer = setInterval(() => socket.writable && socket.write(part), byteEveryMs);
    t.after(() => socket.destroy());
    let said = '';
    socket.on('data', (data) => {
      said += data;
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearInterval(timer);
      resolve(said);
    });
  });
}

test('headers, bodies and chunks that come byte by byte are not waited for, and answers that last are not cut', async (t) => {
  const { port, tokens, problems, ask, plane } = await server(t);
  const authorization = `Host: localhost\r\nAuthorization: Bearer ${tokens.admin}\r\n`;
  const post = `POST ${basePath}/jobs HTTP/1.1\r\n${authorization}Content-Type: application/json\r\n`;
  const following = follow(t, port, `GET ${basePath}/events HTTP/1.1\r\n${authorization}\r\n`);
  await following.until('event: reset');
  const slow = await Promise.all([
    trickle(t, port, 'GET / HTTP/1.1\r\nHost: localhost\r\nX: ', 'x'),
    trickle(t, port, `${post}Content-Length: 1000\r\n\r\n{`, ' '),
    trickle(t, port, `${post}Transfer-Encoding: chunked\r\n\r\n`, '1\r\n \r\n'),
  ]);
  for (const said of slow) assert.match(said, /^(?:HTTP\/1\.1 408 |$)/);
  assert.deepEqual(problems, [], 'what clients do is no defect');
  assert.equal((await ask(`${basePath}/project`)).status, 200);
  // It has outlived the timeouts of requests.
  plane.start({ kind: 'usage' }, 'after-all-timeouts');
  await following.until('after-all-timeouts');
});

/** A connection that stays: resolves when a text has come, fails when it is closed before. */
function follow(t: TestContext, port: number, head: string): { until(text: string): Promise<void> } {
  const socket = connect(port, '127.0.0.1', () => socket.write(head));
  t.after(() => socket.destroy());
  let [said, isClosed] = ['', false];
  let heard = () => {};
  socket.on('data', (data) => {
    said += data;
    heard();
  });
  socket
    .on('error', () => {})
    .on('close', () => {
      isClosed = true;
      heard();
    });
  return {
    async until(text) {
      while (!said.includes(text)) {
        assert.equal(isClosed, false, `closed after ${said}`);
        await new Promise<void>((resolve) => {
          heard = resolve;
        });
      }
    },
  };
}

test('1,000 connections that say nothing are closed; by its socket the daemon is there all the while', async (t) => {
  const { port, folder, ask } = await server(t);
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  const closed = Array.from({ length: 1_000 }, () => {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => {}).resume();
    return new Promise<void>((resolve) => socket.once('close', () => resolve()));
  });
  const local = await ask(`${basePath}/project`, { token: null, socketPath: join(folder, 'api.sock') });
  assert.equal(local.status, 200);
  await Promise.all(closed);
  assert.equal((await ask(`${basePath}/project`)).status, 200);
});

test('a connection that is kept alive for nothing is closed', async (t) => {
  const { port, tokens } = await server(t);
  const said = await trickle(
    t,
    port,
    `GET ${basePath}/project HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${tokens.admin}\r\n\r\n`,
    '',
  );
  assert.match(said, /^HTTP\/1\.1 200 /);
});
