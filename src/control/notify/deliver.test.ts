import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { scratch } from '../../../test/peers.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Destination, NotificationConfiguration } from '../configuration/configuration.ts';
import { deliver, ping } from './deliver.ts';
import { messageOf, type News } from './message.ts';

type Seen = { method: string; url: string; headers: IncomingMessage['headers']; body: string };

/** A server that does as `answer` says, and what it has seen. */
async function serve(t: TestContext, answer: (response: ServerResponse, seen: Seen) => void): Promise<{ port: number; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const one = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
    seen.push(one);
    answer(response, one);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, seen };
}

const notification = (destination: Destination, timeoutMs = 5_000): NotificationConfiguration => ({
  name: 'n',
  destination,
  on: ['broken'],
  volumes: undefined,
  criticality: undefined,
  quiet: undefined,
  digest: { cron: '0 8 * * *', timeZone: undefined },
  timeoutMs,
});
const nasty = 'it "broke"\r\nBcc: <evil@example.com> & {{text}} \u202eabc [log in](https://evil.example)';
const news: News = {
  id: '1',
  atMs: 0,
  event: 'broken',
  subject: { kind: 'volume', name: 'data' },
  kind: 'rpo-breached',
  message: nasty,
  remedy: 'do',
};
const message = messageOf('shop', [news], { id: 'shop-1', atMs: 0, dropped: 0 });
const settings = (environment: NodeJS.ProcessEnv = {}) => ({ directory: '/', environment, signal: new AbortController().signal });
const secretUrl = { kind: 'environment', variable: 'HOOK' } as const;
const plain = (port: number, path = '/hook') => ({ kind: 'plain', url: `http://127.0.0.1:${port}${path}` }) as const;
const webhook = (port: number, timeoutMs?: number) =>
  notification({ kind: 'webhook', url: plain(port), token: undefined, body: undefined, contentType: 'application/json' }, timeoutMs);

async function failureOf(work: Promise<string>): Promise<HoldfastError> {
  const error = await work.then(
    (answer) => assert.fail(`it answered ${answer}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof HoldfastError, String(error));
  assert.equal(error.code, 'notification-failed');
  return error;
}

test('each kind posts what its service takes', async (t) => {
  const { port, seen } = await serve(t, (response) => response.end('ok'));
  const environment = { HOOK: `http://127.0.0.1:${port}/services/T0/verysecret`, TOKEN: 'tokenvalue' };
  const token = { kind: 'environment', variable: 'TOKEN' } as const;
  const destinations: Destination[] = [
    { kind: 'webhook', url: plain(port), token, body: undefined, contentType: 'application/json' },
    { kind: 'slack', url: secretUrl },
    { kind: 'discord', url: secretUrl },
    { kind: 'teams', url: secretUrl },
    { kind: 'ntfy', url: plain(port, ''), topic: 'backups', token },
    { kind: 'gotify', url: plain(port, '/gotify/'), token },
  ];
  for (const destination of destinations)
    assert.equal(await deliver(notification(destination), message, settings(environment)), '200 OK: ok');
  const [hook, slack, discord, teams, ntfy, gotify] = seen.map((one) => ({ ...one, document: JSON.parse(one.body) }));
  assert.equal(hook?.document.alerts[0].message, nasty);
  assert.equal(hook?.headers.authorization, 'Bearer tokenvalue');
  assert.equal(hook?.headers['idempotency-key'], 'shop-1');
  assert.match(slack?.document.text, /^\*\[shop\] broken: volume data: it "broke" Bcc: &lt;evil@example.com&gt; &amp; /);
  assert.equal(slack?.url, '/services/T0/verysecret');
  assert.deepEqual(discord?.document.allowed_mentions, { parse: [] });
  assert.equal(teams?.document.attachments[0].content.body[0].color, 'attention');
  for (const markdown of [discord?.document.content, teams?.document.attachments[0].content.body[1].text])
    assert.match(markdown, /\\\[log in\\\]\(https/);
  assert.deepEqual([ntfy?.url, ntfy?.document.topic, ntfy?.document.priority], ['/', 'backups', 5]);
  assert.deepEqual([gotify?.url, gotify?.headers['x-gotify-key']], ['/gotify/message', 'tokenvalue']);
  assert.ok(!message.title.includes('\n') && !message.title.includes('\u202e'));
});

test('what a server answers is bounded, and without secrets', async (t) => {
  const { port } = await serve(t, (response, { url }) => {
    response.writeHead(503, { 'retry-after': '120' });
    response.write(`no such hook ${url} ${url.slice(13, 23)} \u001b[31m`);
    // More than anybody reads: without a bound, it would be read for ever.
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
    };
    response.on('drain', more);
    more();
  });
  const environment = { HOOK: `http://127.0.0.1:${port}/services/T0/verysecret?key=hidden` };
  const error = await failureOf(deliver(notification({ kind: 'slack', url: secretUrl }), message, settings(environment)));
  assert.match(error.message, /^127\.0\.0\.1:\d+ answered 503 Service Unavailable: no such hook \*\*\* \*\*\* {2}\[31m ?x+…$/);
  assert.equal(error.retryAfterMs, 120_000);
  assert.ok(error.message.length < 400);
});

test('no part of a secret is shown, wherever what is said is cut', async (t) => {
  let before = 0;
  const { port } = await serve(t, (response, { headers }) => {
    response.writeHead(403).end(`${'-'.repeat(before)}${headers['x-gotify-key']}`);
  });
  const secret = 'QWERTZUIOPASDFGHJKL';
  const gotify = notification({ kind: 'gotify', url: plain(port, ''), token: { kind: 'environment', variable: 'TOKEN' } });
  for (before = 175; before < 205; before++) {
    const { message: said } = await failureOf(deliver(gotify, message, settings({ TOKEN: secret })));
    assert.doesNotMatch(said, /[QWERTZ]{2}/, String(before));
  }
});

test('a server that hangs, or is not there, costs no more than the timeout', async (t) => {
  const silent = await serve(t, () => undefined);
  assert.match((await failureOf(deliver(webhook(silent.port, 150), message, settings()))).message, /did not answer within 0.15 s/);
  const stalling = await serve(t, (response) => response.write('begun'));
  assert.match((await failureOf(deliver(webhook(stalling.port, 150), message, settings()))).message, /did not answer within 0.15 s/);
  const { port } = await serve(t, (response) => response.destroy());
  assert.match((await failureOf(deliver(webhook(port), message, settings()))).message, /cannot be reached/);
  assert.match((await failureOf(deliver(webhook(1), message, settings()))).message, /127\.0\.0\.1:1 cannot be reached|bad port/);
});

test('redirections are followed on the same host only, with the message', async (t) => {
  const other = await serve(t, (response) => response.end());
  const { port, seen } = await serve(t, (response, { url, headers }) => {
    const location = {
      '/hook': '/next',
      '/away': `http://127.0.0.1:${other.port}/`,
      '/host': `http://localhost:${headers.host?.split(':')[1]}/next`,
      '/loop': '/loop',
    }[url];
    response.writeHead(location === undefined ? 204 : 307, location === undefined ? {} : { location }).end();
  });
  assert.equal(await deliver(webhook(port), message, settings()), '204 No Content');
  assert.deepEqual(
    seen.map(({ url, method, body }) => [url, method, body.length > 100]),
    [
      ['/hook', 'POST', true],
      ['/next', 'POST', true],
    ],
  );
  for (const path of ['/away', '/host', '/loop']) {
    const destination: Destination = {
      kind: 'webhook',
      url: plain(port, path),
      token: undefined,
      body: undefined,
      contentType: 'application/json',
    };
    assert.match(
      (await failureOf(deliver(notification(destination), message, settings()))).message,
      /leads elsewhere, which is not followed/,
    );
  }
  assert.equal(other.seen.length, 0);
});

test('a secret that is missing, or no URL, is told without its value', async (t) => {
  const slack = notification({ kind: 'slack', url: secretUrl });
  assert.match((await failureOf(deliver(slack, message, settings()))).message, /the environment variable HOOK is empty or not there/);
  for (const HOOK of ['verysecret', 'file:///verysecret', 'http://u:verysecret@127.0.0.1/'])
    assert.ok(!(await failureOf(deliver(slack, message, settings({ HOOK })))).message.includes('verysecret'));
  const file = join(scratch(t), 'url');
  const fromFile = notification({ kind: 'slack', url: { kind: 'file', path: file } });
  assert.match((await failureOf(deliver(fromFile, message, settings()))).message, /url cannot be read/);
  const { port } = await serve(t, (response) => response.end());
  writeFileSync(file, `http://127.0.0.1:${port}/x\n`);
  assert.equal(await deliver(fromFile, message, settings()), '200 OK');
});

test('pings go where the API has them', async (t) => {
  const { port, seen } = await serve(t, (response) => response.end('OK'));
  const watcher = notification({ kind: 'healthchecks', url: secretUrl, watch: { what: 'backup', repository: undefined }, everyMs: 1 });
  const environment = { HOOK: `http://127.0.0.1:${port}/ping/uuid/` };
  await ping(watcher, { suffix: '/start', body: 'b', rid: 'r' }, settings(environment));
  await ping(watcher, { suffix: '/3', body: 'b' }, settings(environment));
  await deliver(watcher, message, settings(environment));
  assert.deepEqual(
    seen.map(({ url }) => url),
    ['/ping/uuid/start?rid=r', '/ping/uuid/3', '/ping/uuid'],
  );
});

test('a command gets the message as JSON, and is killed with its children', async (t) => {
  const folder = scratch(t);
  const script = (name: string, text: string) => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(folder, name), 0o700);
    return join(folder, name);
  };
  const interrupted = new AbortController();
  const at = { ...settings({ PATH: process.env.PATH }), directory: folder };
  const run = (command: string[], timeoutMs?: number, signal = at.signal) =>
    deliver(notification({ kind: 'command', command }, timeoutMs), message, { ...at, signal });
  await run([script('save', 'cat > "$1"'), 'it; rm -rf $HOME']);
  assert.equal(JSON.parse(readFileSync(join(folder, 'it; rm -rf $HOME'), 'utf8')).alerts[0].message, nasty);
  await run(['/bin/true']);
  assert.match((await failureOf(run([script('fail', 'echo "no route" >&2; exit 7')]))).message, /ended with exit code 7: no route/);
  const secrets = { ...at, environment: { ...at.environment, HOOK_TOKEN: 'QWERTZUIOP' } };
  for (const padding of ['', '-'.repeat(295)]) {
    const echo = notification({ kind: 'command', command: [script('echo', `echo "$HOOK_TOKEN${padding}" >&2; exit 1`)] });
    const said = (await failureOf(deliver(echo, message, secrets))).message;
    assert.doesNotMatch(said.slice(said.indexOf('exit code')), /[QWERTZUIOP]{2}/);
  }
  assert.match((await failureOf(run([join(folder, 'missing')]))).message, /cannot be run: .*ENOENT/);
  assert.match((await failureOf(run(['/bin/sleep', '600'], 100))).message, /took longer than 0.1 s, and was killed/);
  const slow = failureOf(run([script('slow', 'sleep 600 & echo $! > child.part; mv child.part child; wait')], 60_000, interrupted.signal));
  while (!existsSync(join(folder, 'child'))) await setImmediate();
  interrupted.abort();
  assert.match((await slow).message, /was interrupted/);
  const child = Number(readFileSync(join(folder, 'child'), 'utf8'));
  const isOver = () => !existsSync(`/proc/${child}/stat`) || /\) [ZX] /.test(readFileSync(`/proc/${child}/stat`, 'utf8'));
  for (let look = 0; look < 5_000 && !isOver(); look++) await setImmediate();
  assert.ok(isOver(), 'the child runs on');
});
