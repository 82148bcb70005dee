import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { HoldfastError } from '../model/errors.ts';
import { createRestStorage } from './rest.ts';
import type { FileRef, Storage } from './storage.ts';

const name = 'ab'.repeat(32);
const pack: FileRef = { kind: 'data', name };

type Answer = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

type Served = { storage: Storage; url: string; requests: string[]; connections: () => number };

/** A storage whose server answers as a test says. */
async function served(t: TestContext, answer: Answer, options: Record<string, string> = {}): Promise<Served> {
  const requests: string[] = [];
  let connections = 0;
  const server = createServer((incoming, outgoing) => {
    requests.push(`${incoming.method} ${incoming.url}`);
    answer(incoming, outgoing);
  });
  server.on('connection', () => connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `rest:http://127.0.0.1:${(server.address() as AddressInfo).port}/below/`;
  const storage = createRestStorage({ url, options }, {});
  t.after(async () => {
    await storage.close?.();
    server.closeAllConnections();
    server.close();
  });
  return { storage, url, requests, connections: () => connections };
}

const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (incoming, outgoing) => {
    incoming.resume().on('end', () => outgoing.writeHead(code, headers).end());
  };

async function listed(storage: Storage): Promise<string[]> {
  const names: string[] = [];
  for await (const file of storage.list('index')) names.push(`${file.name} ${file.sizeBytes}`);
  return names;
}

test('what a status means', async (t) => {
  const expected = [
    [401, 'storage-denied'],
    [403, 'storage-denied'],
    [404, 'file-missing'],
    [507, 'storage-full'],
    [429, 'storage'],
    [500, 'storage'],
    [503, 'storage'],
    [301, 'storage'],
    [204, 'storage'],
  ] as const;
  for (const [code, means] of expected) {
    const { storage } = await served(t, status(code, { location: 'http://127.0.0.1:1/' }));
    await assert.rejects(storage.read(pack), { code: means, file: `${storage.location}data/${name}` });
    await assert.rejects(storage.sizeOf(pack), { code: means });
    // A file that is written cannot be missing.
    if (code !== 204) await assert.rejects(storage.write(pack, [Buffer.from('x')]), { code: code === 404 ? 'storage' : means });
  }
});

test('only 2xx means stored', async (t) => {
  for (const code of [100, 200, 201, 204]) {
    if (code === 100) continue;
    await (await served(t, status(code))).storage.write(pack, [Buffer.from('x')]);
  }
  await assert.rejects((await served(t, status(302))).storage.write(pack, [Buffer.from('x')]), { code: 'storage' });
  await assert.rejects((await served(t, status(400))).storage.write(pack, [Buffer.from('x')]), { code: 'storage' });
});

test('how long a server asks to wait is passed on, in seconds or as a date, within reason', async (t) => {
  const waitOf = async (retryAfter: string) => {
    const { storage } = await served(t, status(503, { 'retry-after': retryAfter }));
    const error = await storage.read(pack).catch((reason: HoldfastError) => reason);
    return error instanceof HoldfastError ? error.retryAfterMs : assert.fail('read');
  };
  assert.equal(await waitOf('7'), 7000);
  assert.equal(await waitOf('999999999'), 3_600_000);
  assert.equal(await waitOf('soon'), undefined);
  const inAMinute = (await waitOf(new Date(Date.now() + 60_000).toUTCString())) as number;
  assert.ok(inAMinute > 50_000 && inAMinute <= 60_000, `${inAMinute}`);
  assert.equal(await waitOf(new Date(0).toUTCString()), 0);
});

test('a connection that is cut in the middle of a body is a failure of the storage, not damage, and never a short result', async (t) => {
  const { storage } = await served(t, (incoming, outgoing) => {
    const range = incoming.headers.range !== undefined;
    outgoing.writeHead(range ? 206 : 200, { 'content-length': '1000', ...(range ? { 'content-range': 'bytes 0-999/5000' } : {}) });
    outgoing.write(Buffer.alloc(400), () => outgoing.destroy());
  });
  await assert.rejects(storage.read(pack), { code: 'storage' });
  await assert.rejects(storage.read(pack, { offset: 0, length: 1000 }), { code: 'storage' });
  await assert.rejects(storage.read(pack, { offset: 0, length: 1000, into: Buffer.alloc(1000) }), { code: 'storage' });
  await assert.rejects(listed(storage), { code: 'storage' });
});

test('a file that is shorter than asked for is damage, however the server says it', async (t) => {
  const answers: Answer[] = [
    status(416, { 'content-range': 'bytes */50' }),
    (_, outgoing) => outgoing.writeHead(206, { 'content-range': 'bytes 10-49/50', 'content-length': '40' }).end(Buffer.alloc(40)),
    (_, outgoing) => outgoing.writeHead(200, { 'content-length': '50' }).end(Buffer.alloc(50)),
  ];
  for (const answer of answers)
    await assert.rejects((await served(t, answer)).storage.read(pack, { offset: 10, length: 100 }), { code: 'damaged' });
});

test('another part than was asked for is refused', async (t) => {
  const answers: Answer[] = [
    (_, outgoing) => outgoing.writeHead(206, { 'content-range': 'bytes 0-99/500', 'content-length': '100' }).end(Buffer.alloc(100)),
    (_, outgoing) => outgoing.writeHead(206, { 'content-range': 'bytes 10-109/500', 'content-length': '99' }).end(Buffer.alloc(99)),
    (_, outgoing) => outgoing.writeHead(206, { 'content-range': 'bytes 10-109/500' }).end(Buffer.alloc(101)),
    (_, outgoing) => outgoing.writeHead(206).end(Buffer.alloc(100)),
    (_, outgoing) => outgoing.writeHead(200, { 'content-length': '500' }).end(Buffer.alloc(500)),
  ];
  for (const answer of answers)
    await assert.rejects((await served(t, answer)).storage.read(pack, { offset: 10, length: 100 }), { code: 'storage' });
});

test('a server that falls silent does not hang us: before its answer, within it, or while it should take', async (t) => {
  const silences: Answer[] = [() => undefined, (_, outgoing) => void outgoing.writeHead(200, { 'content-length': '1000' }).write('x')];
  const silent = silences.map(async (answer) => {
    const { storage } = await served(t, answer, { timeout: '1s' });
    await assert.rejects(storage.read(pack), { code: 'storage', message: /no answer for 1 seconds/ });
  });
  const { storage } = await served(t, (incoming) => void incoming.pause(), { timeout: '1s' });
  await assert.rejects(storage.write(pack, [randomBytes(32 * 1024 * 1024)]), { code: 'storage', message: /no answer/ });
  await Promise.all(silent);
});

test('a body without end is given up', async (t) => {
  let sentBytes = 0;
  const { storage } = await served(t, (_, outgoing) => {
    const more = () => {
      while (!outgoing.destroyed && outgoing.write(Buffer.alloc(64 * 1024))) sentBytes += 64 * 1024;
    };
    outgoing.on('drain', more);
    more();
  });
  for (const kind of ['config', 'keys', 'locks'] as const)
    await assert.rejects(storage.read({ kind, name }), { code: 'storage', message: /more than/ });
  assert.ok(sentBytes < 64 * 1024 * 1024, `${sentBytes}`);
});

test('a slow body is waited for as long as it moves', async (t) => {
  const { storage } = await served(
    t,
    (_, outgoing) => {
      outgoing.writeHead(200, { 'content-length': '5' });
      let sent = 0;
      const drip = setInterval(() => {
        outgoing.write('x');
        if (++sent < 5) return;
        clearInterval(drip);
        outgoing.end();
      }, 300);
    },
    { timeout: '1s' },
  );
  assert.equal((await storage.read(pack)).toString(), 'xxxxx');
});

test('connections are used again, and no more are opened than allowed', async (t) => {
  let open = 0;
  let most = 0;
  const { storage, connections, requests } = await served(
    t,
    (incoming, outgoing) => {
      most = Math.max(most, ++open);
      incoming.resume().on('end', () =>
        setImmediate(() => {
          open--;
          outgoing.end('content');
        }),
      );
    },
    { connections: '3' },
  );
  for (let i = 0; i < 30; i++) await storage.read(pack);
  assert.ok(connections() <= 3, `${connections()} connections for 30 requests`);
  await Promise.all(Array.from({ length: 40 }, () => storage.read(pack)));
  assert.equal(requests.length, 70);
  assert.ok(most <= 3 && connections() <= 3, `${most} at a time, ${connections()} connections`);
});

test('listings: other names are left out, and what is no listing is never taken for a short one', async (t) => {
  const bodies: [string, number | undefined][] = [
    ['[]', 0],
    ['null', 0],
    [`[{"name":"${name}","size":3},{"name":"${name}-tmp-12","size":1},{"name":"README},{","size":2}]`, 1],
    [` [\n{"size":3,"name":"${name}"}]\n`, 1],
    ['', undefined],
    ['<html>[]</html>', undefined],
    [`[{"name":"${name}","size":3}`, undefined],
    [`[{"name":"${name}","size":-3}]`, undefined],
    [`["${name}"]`, undefined],
    [`[{"name":"${name}","size":3}] [`, undefined],
    ['{"error":"[]"}', undefined],
  ];
  for (const [body, files] of bodies) {
    const { storage } = await served(t, (_, outgoing) => outgoing.end(body));
    if (files === undefined) await assert.rejects(listed(storage), { code: 'storage' }, body);
    else assert.equal((await listed(storage)).length, files, body);
  }
});

test('a long listing arrives whole', async (t) => {
  const names = Array.from({ length: 20_000 }, () => randomBytes(32).toString('hex'));
  const { storage } = await served(t, (_, outgoing) => outgoing.end(JSON.stringify(names.map((each, i) => ({ name: each, size: i })))));
  assert.deepEqual(
    await listed(storage),
    names.map((each, i) => `${each} ${i}`),
  );
});

test("a folder that is not there is empty, but for rclone, whose 404 may be another failure's", async (t) => {
  assert.deepEqual(await listed((await served(t, status(404))).storage), []);
  await assert.rejects(listed((await served(t, status(404, { server: 'rclone/v1.60.1' }))).storage), { code: 'storage' });
});

test('a 404 is believed when the repository is there, and the server says it twice', async (t) => {
  /** Answers that a proxy gives while the server is away; then it is back. */
  let away = 0;
  const there = new Set(['config', `snapshots/${name}`]);
  const { storage, requests } = await served(t, (incoming, outgoing) => {
    const path = incoming.url?.replace('/below/', '') as string;
    const isAway = away-- > 0;
    if (!isAway && path === 'snapshots/') outgoing.end(JSON.stringify([{ name, size: 1 }]));
    else outgoing.writeHead(!isAway && there.has(path) ? 200 : 404, { 'content-length': '1' }).end(incoming.method === 'HEAD' ? '' : 'x');
  });
  const snapshot: FileRef = { kind: 'snapshots', name };
  const listedSnapshots = async () => {
    const names: string[] = [];
    for await (const file of storage.list('snapshots')) names.push(file.name);
    return names;
  };
  away = 1;
  assert.deepEqual(await listedSnapshots(), [], 'nothing was ever there');
  assert.equal(requests.length, 1);
  await storage.read({ kind: 'config', name: '' });
  for (const ask of [listedSnapshots, () => storage.read(snapshot), () => storage.sizeOf(snapshot)]) {
    away = 2;
    await assert.rejects(ask(), { code: 'storage', message: /404/ });
    away = 1;
    await ask();
  }
  requests.length = 0;
  await assert.rejects(storage.read(pack), { code: 'file-missing' });
  assert.deepEqual(requests, [`GET /below/data/${name}`, 'HEAD /below/config', `GET /below/data/${name}`]);
});

test('user and password are sent, and are in no message', async (t) => {
  const authorizations: (string | undefined)[] = [];
  const { url } = await served(t, (incoming, outgoing) => {
    authorizations.push(incoming.headers.authorization);
    outgoing.writeHead(500).end();
  });
  const withUser = url.replace('//', '//me:s%3Acret@');
  for (const [text, environment] of [
    [withUser, { RESTIC_REST_USERNAME: 'other' }],
    [url, { RESTIC_REST_USERNAME: 'me', RESTIC_REST_PASSWORD: 's:cret' }],
    [url.replace('//', '//me@'), { RESTIC_REST_PASSWORD: 's:cret' }],
  ] as const) {
    const storage = createRestStorage({ url: text }, environment);
    t.after(() => storage.close?.());
    assert.equal(storage.location, url);
    await assert.rejects(storage.read(pack), (error: HoldfastError) => !/cret/.test(`${error.stack}${error.message}${error.file}`));
  }
  assert.deepEqual(new Set(authorizations), new Set([`Basic ${Buffer.from('me:s:cret').toString('base64')}`]));
});

test('URLs and options that cannot be used are refused, without repeating the URL', () => {
  for (const url of ['rest:', 'rest:ftp://me:cret@host/', 'rest:https://me:cret@host/?a=b', 'rest:me:cret@host'])
    assert.throws(
      () => createRestStorage({ url }),
      (error: HoldfastError) => error.code === 'usage' && !/cret/.test(error.message),
    );
  for (const options of [
    { conections: '3' },
    { connections: '0' },
    { connections: 'x' },
    { timeout: '5' },
    { timeout: '1ms' },
    { ca: '/no/such/file' },
    { clientKey: '/x' },
  ])
    assert.throws(
      () => createRestStorage({ url: 'rest:http://host/', options: options as unknown as Record<string, string> }),
      (error) => error instanceof HoldfastError && error.code === 'usage',
    );
});
