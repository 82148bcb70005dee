import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

function setUp(t: TestContext, notifications: string) {
  const folder = scratch(t);
  writeFileSync(join(folder, 'holdfast.yaml'), `project: shop\nvolumes: { data: }\n${notifications}`);
  return { folder, holdfast: commandLine(folder) };
}

test('a test goes through each, and what came back is said', async (t) => {
  const bodies: string[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    bodies.push(body);
    response.writeHead(request.url === '/good' ? 200 : 404, { connection: 'close' }).end('\u001b[31mhello');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { holdfast } = setUp(
    t,
    `notifications:
  good: { kind: webhook, url: "${url}/good" }
  bad: { kind: webhook, url: "${url}/bad" }
  chat: { kind: slack, urlFrom: { environment: NOT_THERE } }
  tool: { kind: command, run: [/bin/true] }
`,
  );
  const both = await holdfast('notify', 'test', 'good', 'tool');
  assert.equal(both.exit, exitCodes.done, both.stderr);
  assert.match(both.stdout, /^good \(webhook\): 200 OK: \[31mhello$/m);
  assert.match(both.stdout, /^tool \(command\): exit code 0$/m);
  assert.match(JSON.parse(bodies[0] ?? '').text, /This is a test by `holdfast notify test`: messages of the project shop arrive by `good`/);

  const all = await holdfast('notify', 'test', '--json');
  assert.equal(all.exit, exitCodes.failed);
  const said = all.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const byName = Object.fromEntries(said.map((one) => [one.notification, one]));
  assert.deepEqual(byName.chat, {
    notification: 'chat',
    kind: 'slack',
    delivered: false,
    answer: 'the environment variable NOT_THERE is empty or not there',
  });
  assert.match(byName.bad.answer, /answered 404 Not Found/);
  assert.deepEqual([byName.good.delivered, byName.tool.delivered], [true, true]);
  const errors = all.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).error);
  assert.deepEqual(
    errors.map(({ code }) => code),
    ['notification-failed', 'notification-failed'],
  );

  const before = bodies.length;
  const dry = await holdfast('notify', 'test', '--dry-run');
  assert.match(dry.stdout, /^chat \(slack\): would send "\[shop\] a test of notifications"$/m);
  assert.deepEqual([dry.exit, bodies.length], [exitCodes.done, before]);
});

test('what cannot be tried is a mistake', async (t) => {
  const { holdfast } = setUp(t, 'notifications: { tool: { kind: command, run: [/bin/true] } }\n');
  for (const words of [['notify'], ['notify', 'send'], ['notify', 'test', 'tol']] as const)
    assert.equal((await holdfast(...words)).exit, exitCodes.usage, words.join(' '));
  assert.match((await holdfast('notify', 'test', 'tol')).stderr, /there is no notification "tol" in .*\n→ use one of tool/);
  const none = setUp(t, '');
  assert.match((await none.holdfast('notify', 'test')).stderr, /there are no `notifications`/);
});
