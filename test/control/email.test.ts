/** E-mail, through a real SMTP server on loopback. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import type { Destination, NotificationConfiguration } from '../../src/control/configuration/configuration.ts';
import { deliver } from '../../src/control/notify/deliver.ts';
import { type Message, messageOf } from '../../src/control/notify/message.ts';
import { requirePeer, scratch } from '../peers.ts';
import { certificatesIn } from '../rclone-server.ts';

type Email = Extract<Destination, { kind: 'email' }>;
type Mail = { envelope: string[]; source: string; secure: boolean; user: string | undefined };

/** A server that takes mail of the user `holdfast` with the password `correct horse`. */
async function serve(t: TestContext, options: SMTPServerOptions): Promise<{ port: number; mails: Mail[] }> {
  const mails: Mail[] = [];
  const server = new SMTPServer({
    closeTimeout: 1,
    onAuth: ({ username, password }, _session, callback) =>
      username === 'holdfast' && password === 'correct horse' ? callback(null, { user: username }) : callback(new Error('Invalid login')),
    onRcptTo: ({ address }, _session, callback) => callback(address.startsWith('nobody') ? new Error('no such user') : undefined),
    onData: async (stream, { envelope, secure, user }, callback) => {
      let source = '';
      for await (const part of stream) source += part;
      mails.push({ envelope: envelope.rcptTo.map(({ address }) => address), source, secure, user: user as string | undefined });
      callback();
    },
    ...options,
  });
  // Clients that go away in the middle are what some tests are about.
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => new Promise<void>((resolve) => server.close(resolve)));
  return { port: (server.server.address() as AddressInfo).port, mails };
}

function setUp(t: TestContext) {
  const folder = scratch(t);
  const { ca, server, serverKey } = certificatesIn(folder);
  const password = join(folder, 'password');
  writeFileSync(password, 'correct horse\n');
  const tls = { key: readFileSync(serverKey), cert: readFileSync(server) };
  const send = (more: Partial<Email> & Pick<Email, 'port' | 'security'>, message: Message, timeoutMs = 5_000): Promise<string> => {
    const destination: Email = {
      kind: 'email',
      host: '127.0.0.1',
      ca,
      login: { user: 'holdfast', password: { kind: 'file', path: password } },
      from: 'Holdfast <holdfast@example.com>',
      to: ['ops@example.com', 'Boss <boss@example.com>'],
      ...more,
    };
    const notification: NotificationConfiguration = {
      name: 'mail',
      destination,
      on: ['broken'],
      volumes: undefined,
      criticality: undefined,
      quiet: undefined,
      digest: { cron: '0 8 * * *', timeZone: undefined },
      timeoutMs,
    };
    return deliver(notification, message, { directory: '/', environment: {}, signal: new AbortController().signal });
  };
  return { tls, send, password };
}

const messageAbout = (volume: string, message: string): Message =>
  messageOf('shop', [{ id: '1', atMs: 0, event: 'broken', subject: { kind: 'volume', name: volume }, kind: 'rpo-breached', message }], {
    id: 'shop-mail-1-1',
    atMs: 0,
    dropped: 0,
  });
const plainMessage = messageAbout('data', 'the newest snapshot is 3h old');

test('an e-mail arrives by TLS and by STARTTLS, with a login', async (t) => {
  if (!requirePeer(t, 'openssl')) return;
  const { tls, send } = setUp(t);
  for (const security of ['tls', 'starttls'] as const) {
    const { port, mails } = await serve(t, { ...tls, secure: security === 'tls' });
    assert.match(await send({ port, security }, plainMessage), /^250 /);
    const [mail] = mails;
    assert.deepEqual([mail?.envelope, mail?.secure, mail?.user], [['ops@example.com', 'boss@example.com'], true, 'holdfast']);
    assert.match(mail?.source ?? '', /^Subject: \[shop\] broken: volume data: the newest snapshot is 3h old\r$/m);
    assert.match(mail?.source ?? '', /^Auto-Submitted: auto-generated\r$/m);
    assert.match(mail?.source ?? '', /^Message-ID: <shop-mail-1-1@example.com>\r$/im);
  }
});

test('nothing that is told gets into the headers', async (t) => {
  if (!requirePeer(t, 'openssl')) return;
  const { tls, send } = setUp(t);
  const { port, mails } = await serve(t, { ...tls, secure: true });
  const evil = 'x\r\nBcc: evil@example.com\r\n\r\n<b>body</b>\r\n.\r\nMAIL FROM:<evil@example.com>\u2028\u0000';
  await send({ port, security: 'tls' }, messageAbout(evil, evil));
  assert.equal(mails.length, 1);
  const [headers = ''] = (mails[0]?.source ?? '').split('\r\n\r\n');
  assert.doesNotMatch(headers, /^(?:Bcc|MAIL FROM)/im);
  assert.deepEqual(mails[0]?.envelope, ['ops@example.com', 'boss@example.com']);
});

test('a server without what was asked for gets neither the message nor the password', async (t) => {
  if (!requirePeer(t, 'openssl')) return;
  const { tls, send, password } = setUp(t);
  const open = await serve(t, { ...tls, disabledCommands: ['STARTTLS'], allowInsecureAuth: true });
  await assert.rejects(send({ port: open.port, security: 'starttls' }, plainMessage), { code: 'notification-failed' });
  const unknown = await serve(t, { ...tls, secure: true });
  await assert.rejects(
    send({ port: unknown.port, security: 'tls', ca: undefined }, plainMessage),
    /did not take the e-mail: .*(?:certificate|self.signed)/i,
  );
  writeFileSync(password, 'wrong battery');
  await assert.rejects(send({ port: unknown.port, security: 'tls' }, plainMessage), (error: Error) => {
    assert.match(error.message, /Invalid login/);
    assert.ok(!error.message.includes('battery'));
    return true;
  });
  assert.deepEqual([...open.mails, ...unknown.mails], []);
});

test('addresses that are refused are named', async (t) => {
  if (!requirePeer(t, 'openssl')) return;
  const { tls, send } = setUp(t);
  const { port, mails } = await serve(t, { ...tls, secure: true });
  const to = ['ops@example.com', 'nobody@example.com'];
  assert.match(await send({ port, security: 'tls', to }, plainMessage), /^250 .*; but not for nobody@example.com$/);
  assert.deepEqual(mails[0]?.envelope, ['ops@example.com']);
  await assert.rejects(send({ port, security: 'tls', to: ['nobody@example.com'] }, plainMessage), /no such user/);
});

test('a server that says nothing costs no more than the timeout', async (t) => {
  if (!requirePeer(t, 'openssl')) return;
  const { send } = setUp(t);
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.after(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  for (const security of ['none', 'tls'] as const)
    await assert.rejects(send({ port, security, login: undefined }, plainMessage, 200), /did not take the e-mail/);
});
