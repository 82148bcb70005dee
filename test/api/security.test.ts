/** What the API refuses, tried. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import { connect as tlsConnect } from 'node:tls';
import { openApiDatabase } from '../../src/api/auth/database.ts';
import { createTokens } from '../../src/api/auth/tokens.ts';
import { createClient } from '../../src/api/client.ts';
import { basePath } from '../../src/api/contract/operations.ts';
import { apiDatabaseFile, startServer } from '../../src/api/server.ts';
import type { ControlPlane } from '../../src/control/control-plane.ts';
import { type Answer, post, reads, snapshotId, startTestServer } from './api-server.ts';

const status = `${basePath}/status`;
const code = ({ body }: Answer) => (body as { code: string }).code;

test('tokens hold until they expire or are revoked, and their secrets are kept nowhere', async (t) => {
  let nowMs = Date.now();
  const { folder, ask, tokens } = await startTestServer(t, { server: { now: () => nowMs } });
  const database = openApiDatabase(apiDatabaseFile(folder));
  const table = createTokens(database);
  const token = table.create({ name: 'short', role: 'viewer', createdMs: nowMs, expiresMs: nowMs + 1_000 });
  assert.equal((await ask(status, { token })).status, 200);
  nowMs += 1_000;
  assert.equal((await ask(status, { token })).status, 401);
  assert.equal((await ask(status, { token: tokens.viewer })).status, 200);
  assert.equal(table.revoke('the-viewer'), true);
  assert.equal((await ask(status, { token: tokens.viewer })).status, 401);
  assert.throws(() => table.create({ name: 'short', role: 'admin', createdMs: 0 }), { code: 'usage' });
  database.close();
  for (const name of ['api.sqlite', 'api.sqlite-wal', 'state.sqlite', 'state.sqlite-wal']) {
    const file = join(folder, name);
    if (!existsSync(file)) continue;
    assert.equal(statSync(file).mode & 0o077, 0, name);
    for (const secret of [token, ...Object.values(tokens)]) assert.equal(readFileSync(file).includes(secret), false, name);
  }
});

test('wrong tokens lock an address out, longer and longer, and the audit log has it', async (t) => {
  let nowMs = Date.now();
  const { ask, plane, tokens } = await startTestServer(t, { server: { now: () => nowMs } });
  for (let i = 0; i < 5; i++) assert.equal((await ask(status, { token: 'holdfast_wrong' })).status, 401);
  const waits: number[] = [];
  for (let i = 0; i < 12; i++) {
    const locked = await ask(status, { token: 'holdfast_wrong' });
    assert.equal(locked.status, 429);
    waits.push(Number(locked.headers['retry-after']));
    nowMs += Number(locked.headers['retry-after']) * 1_000;
    await ask(status, { token: 'holdfast_wrong' });
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
  nowMs += 900_000;
  assert.equal((await ask(status)).status, 200);
  assert.equal((await ask(status, { token: 'holdfast_wrong' })).status, 401);
  assert.equal((await ask(status, { token: tokens.viewer })).status, 200, 'a right one has cleared it');
  const [entry] = plane.auditLog.list({ limit: 1 });
  assert.deepEqual([entry?.what, entry?.who], ['locked-out', '127.0.0.1']);
});

test('one address cannot ask without end', async (t) => {
  const nowMs = Date.now();
  const { ask } = await startTestServer(t, { server: { rate: { perSecond: 2, burst: 3 }, now: () => nowMs } });
  const statuses = [];
  for (let i = 0; i < 5; i++) statuses.push((await ask('/healthz', { token: null })).status);
  assert.deepEqual(statuses, [200, 200, 200, 429, 429]);
});

test('pages of other sites are refused, and names that lead here by DNS rebinding', async (t) => {
  const { ask, port } = await startTestServer(t);
  const tried: [headers: Record<string, string>, status: number][] = [
    [{ Host: 'evil.example' }, 403],
    [{ Host: `evil.example:${port}` }, 403],
    [{ Host: `127.0.0.1.evil.example:${port}` }, 403],
    [{ Host: `localhost:${port}` }, 200],
    [{ Host: '[::1]:1' }, 200],
    [{ Origin: 'https://evil.example' }, 403],
    [{ Origin: 'null' }, 403],
    [{ Origin: `http://127.0.0.1:${port}` }, 200],
    [{ 'Sec-Fetch-Site': 'cross-site' }, 403],
    [{ 'Sec-Fetch-Site': 'same-origin' }, 200],
  ];
  for (const path of [status, '/healthz'])
    for (const [headers, expected] of tried) assert.equal((await ask(path, { headers })).status, expected, JSON.stringify(headers));
  assert.equal(
    (await ask(status, { method: 'OPTIONS', headers: { Origin: 'https://evil.example' } })).headers['access-control-allow-origin'],
    undefined,
  );
});

test('the socket is for its user alone, and needs no token', async (t) => {
  const { folder, ask, stop } = await startTestServer(t);
  const socketPath = join(folder, 'api.sock');
  assert.equal(statSync(socketPath).mode & 0o777, 0o600);
  assert.equal(statSync(join(folder, 'address')).mode & 0o777, 0o600);
  assert.equal(readFileSync(join(folder, 'address'), 'utf8'), `unix:${socketPath}\n`);
  const audit = await ask(`${basePath}/audit-log`, { socketPath, token: null });
  assert.equal(audit.status, 200);
  assert.equal((await ask(status, { socketPath, token: null, headers: { Origin: 'https://evil.example' } })).status, 403);
  await stop();
  assert.equal(existsSync(socketPath), false);
  assert.equal(existsSync(join(folder, 'address')), false);
});

test('damaged tokens are put aside and told of: nobody gets in by them, and the daemon begins all the same', async (t) => {
  const { plane, folder, stop } = await startTestServer(t);
  await stop();
  for (const damage of ['no database at all'.repeat(1_000), 'pages']) {
    const file = apiDatabaseFile(folder);
    if (damage !== 'pages') writeFileSync(file, damage);
    else {
      const bytes = readFileSync(file);
      assert.ok(bytes.length >= 3 * 4_096);
      writeFileSync(file, bytes.fill(0xff, 4_096));
    }
    const problems: string[] = [];
    const server = await startServer(plane, { folder, onProblem: (message) => problems.push(message) });
    await server.stop();
    assert.equal(problems.length, 1);
    const kept = /the old file is (.*)$/.exec(problems[0] ?? '')?.[1] ?? '';
    assert.equal(existsSync(kept), true);
    const database = openApiDatabase(file);
    assert.deepEqual(createTokens(database).list(), []);
    database.close();
  }
});

test('a socket that somebody has is not taken away, also when he is too busy to answer', { timeout: 30_000 }, async (t) => {
  const { plane, folder } = await startTestServer(t);
  const path = join(folder, 'busy.sock');
  const busy = spawn(process.execPath, [
    '-e',
    `require('node:net').createServer().listen({ path: ${JSON.stringify(path)}, backlog: 1 }, () => {
      require('node:fs').writeSync(1, 'listens');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`,
  ]);
  t.after(() => busy.kill('SIGKILL'));
  await once(busy.stdout, 'data');
  const waiting: Socket[] = [];
  t.after(() => {
    for (const socket of waiting) socket.destroy();
  });
  // Until nobody else may wait for him.
  for (let code: string | undefined; code === undefined; ) {
    const socket = connect({ path });
    waiting.push(socket);
    code = await new Promise((resolve) =>
      socket.once('connect', () => resolve(undefined)).once('error', (error: NodeJS.ErrnoException) => resolve(error.code)),
    );
  }
  const configuration = plane.configuration();
  const daemon = { ...configuration.daemon, listen: path };
  const other = join(folder, 'other');
  mkdirSync(other);
  await assert.rejects(
    startServer({ ...plane, configuration: () => ({ ...configuration, daemon }) }, { folder: other, onProblem: () => undefined }),
    { code: 'configuration' },
  );
  assert.equal(existsSync(path), true);
});

test('bodies that are too large, no UTF-8, no JSON or not of the schema are refused', async (t) => {
  const { ask, plane } = await startTestServer(t, { execute: async () => 0 });
  const jobs = `${basePath}/jobs`;
  const json = { 'Content-Type': 'application/json' };
  const longestNames = Array.from({ length: 1_000 }, (_, i) => String(i).padEnd(200, 'x'));
  const tried: [asking: Parameters<typeof ask>[1], status: number][] = [
    [post(`{"spec":{"kind":"usage"},"x":"${'y'.repeat(270_000)}"}`), 413],
    [post({ spec: { kind: 'backup', repository: 'local', volumes: longestNames } }), 404],
    [{ method: 'POST', headers: { ...json, 'Transfer-Encoding': 'chunked', 'Content-Length': '' }, body: undefined }, 400],
    [{ method: 'POST', headers: json, body: Buffer.from([0x22, 0xff, 0xfe, 0x22]) }, 400],
    [post('{"spec":'), 400],
    [post('[]'), 400],
    [post({ spec: { kind: 'usage' } }, { 'Content-Type': 'text/plain' }), 400],
    [post({ spec: { kind: 'usage', more: 1 } }), 400],
    [post({ spec: { kind: 'backup', repository: '--password-command=sh' } }), 400],
    [post({ spec: { kind: 'backup', repository: 'local', volumes: ['../etc'] } }), 400],
    [post({ spec: { kind: 'backup', repository: 'local', tags: ['-x', 'a,b'] } }), 400],
    [post({ spec: { kind: 'backup', repository: 'nosuch' } }), 400],
    [post({ spec: { kind: 'backup', repository: 'local', volumes: ['nosuch'] } }), 404],
    [post({ spec: { kind: 'check', repository: 'local', part: 3, parts: 2 } }), 400],
    [post('{"__proto__":{"x":1},"spec":{"kind":"usage"}}'), 400],
  ];
  for (const [asking, expected] of tried) {
    const { 'Content-Length': _, ...headers } = asking?.headers ?? {};
    const answer = await ask(jobs, { ...asking, headers });
    assert.equal(answer.status, expected, `${JSON.stringify(asking).slice(0, 200)} ${answer.text}`);
    assert.equal(answer.headers['content-type'], 'application/problem+json');
  }
  assert.deepEqual(plane.jobs.list({}, { limit: 10 }), []);
});

test('no path leads out of a snapshot, and none is taken for an option', async (t) => {
  const asked: (readonly string[])[] = [];
  const read: ControlPlane['read'] = (words, signal) => {
    asked.push(words);
    return reads('')(words, signal);
  };
  const { ask } = await startTestServer(t, { read });
  const of = (path: string, what: string) => `${basePath}/snapshots/${snapshotId('a')}/${what}?path=${path}`;
  for (const what of ['files', 'content', `diff/${snapshotId('b')}`])
    for (const path of ['..', '../x', 'a/../../x', '%2e%2e%2fx', 'a%00b', '/..', 'x/..', 'y'.repeat(5_000)])
      assert.equal((await ask(of(path, what))).status, 400, `${what} ${path}`);
  for (const snapshot of ['..', '%2e%2e', 'latest', '-x', `${snapshotId('a')}:etc`, 'A'.repeat(64)])
    assert.ok([400, 404].includes((await ask(`${basePath}/snapshots/${snapshot}/content`)).status), String(snapshot));
  assert.equal(asked.length, 0);
  await ask(of('--output%3D/etc/passwd', 'content'));
  const [words = []] = asked;
  assert.ok(words.indexOf('--') < words.indexOf('--output=/etc/passwd') && words.includes('--'));
});

test('a download is a file and nothing else, whatever it is called', async (t) => {
  const { ask } = await startTestServer(t, { read: reads('<script>', 'x') });
  const name = 'a"\r\nSet-Cookie: x=1\r\n\u202Egnp.html';
  const { status: done, headers, text } = await ask(`${basePath}/snapshots/${snapshotId('a')}/content?path=${encodeURIComponent(name)}`);
  assert.deepEqual([done, text], [200, '<script>x']);
  assert.equal(headers['set-cookie'], undefined);
  assert.equal(headers['content-type'], 'application/octet-stream');
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.match(String(headers['content-security-policy']), /sandbox/);
  assert.match(String(headers['content-disposition']), /^attachment; filename="[\w .()+-]+"; filename\*=UTF-8''[\w%.~!-]+$/);
});

test('a download that fails on its way is broken off, and one that fails before is an error', async (t) => {
  let parts = 1;
  async function* failing(): AsyncGenerator<Buffer> {
    for (let i = 0; i < parts; i++) yield Buffer.alloc(100_000);
    throw new Error('the disk is gone at /secret/place');
  }
  const { ask, problems } = await startTestServer(t, { read: failing });
  const path = `${basePath}/snapshots/${snapshotId('a')}/content`;
  const late = await ask(path);
  assert.equal(late.brokenOff, true);
  parts = 0;
  const early = await ask(path);
  assert.deepEqual([early.status, code(early)], [500, 'internal']);
  assert.equal(early.text.includes('secret'), false);
  assert.equal(problems.length >= 1, true);
});

test('passwords of repositories are in no answer', async (t) => {
  const { ask } = await startTestServer(t);
  for (const path of ['/project', '/status', '/repositories', '/volumes', '/audit-log', '/jobs'])
    assert.equal((await ask(basePath + path)).text.includes('hunter2'), false, path);
});

test('a start with the same key is done once, for each token, and refused for another thing', async (t) => {
  const { ask, plane, tokens } = await startTestServer(t, { execute: async () => 0 });
  const path = `${basePath}/jobs`;
  const start = (kind: string, token: string) =>
    ask(path, {
      ...post({ spec: { kind, repository: kind === 'usage' ? undefined : 'local' } }, { 'Idempotency-Key': 'deploy-1' }),
      token,
    });
  const [first, again, other] = [
    await start('usage', tokens.operator),
    await start('usage', tokens.operator),
    await start('usage', tokens.admin),
  ];
  assert.deepEqual([first.status, again.status, other.status], [201, 201, 201]);
  assert.deepEqual(again.body, first.body);
  assert.equal(plane.jobs.list({}, { limit: 10 }).length, 2);
  const conflict = await start('forget', tokens.operator);
  assert.deepEqual([conflict.status, code(conflict)], [422, 'request-conflict']);
});

test('what has not changed is not sent again', async (t) => {
  const { ask } = await startTestServer(t);
  const first = await ask(`${basePath}/snapshots`);
  const etag = first.headers.etag as string;
  const second = await ask(`${basePath}/snapshots`, { headers: { 'If-None-Match': `"other", ${etag}` } });
  assert.deepEqual([second.status, second.text], [304, '']);
  assert.equal((await ask(`${basePath}/snapshots?limit=1`, { headers: { 'If-None-Match': etag } })).status, 200);
});

test('TLS: a renewed certificate is used without a restart, one that is bad is not', { timeout: 30_000 }, async (t) => {
  const { ask: _, plane, folder, stop } = await startTestServer(t);
  await stop();
  const [certificate, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  const make = (name: string) =>
    execFileSync(
      'openssl',
      [
        ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj'.split(' '),
        `/CN=${name}`,
        '-keyout',
        key,
        '-out',
        certificate,
      ],
      { stdio: 'ignore' },
    );
  make('first');
  const configuration = plane.configuration();
  const daemon = { ...configuration.daemon, tls: { certificate, key } };
  const problems: string[] = [];
  const server = await startServer(
    { ...plane, configuration: () => ({ ...configuration, daemon }) },
    { folder, onProblem: (message) => problems.push(message), certificateEveryMs: 20 },
  );
  t.after(() => server.stop());
  const { port, protocol } = new URL(server.address);
  assert.equal(protocol, 'https:');
  const served = () =>
    new Promise<string>((resolve, reject) => {
      const socket = tlsConnect({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      }).on('error', reject);
    });
  const until = async (holds: () => boolean | Promise<boolean>) => {
    while (!(await holds())) await immediate();
  };
  assert.equal(await served(), 'first');
  const { signal } = new AbortController();
  await assert.rejects(createClient({ address: server.address, token: 'none', signal }).call('getStatus'), {
    code: 'daemon-unreachable',
    remedy: /NODE_EXTRA_CA_CERTS/,
  });
  make('second');
  await until(async () => (await served()) === 'second');
  writeFileSync(certificate, 'no certificate');
  await until(() => problems.some((problem) => problem.includes('not used')));
  assert.equal(await served(), 'second');
});

test('without TLS it listens only on this host, or behind a proxy', async (t) => {
  const { plane, folder } = await startTestServer(t);
  const configuration = plane.configuration();
  const at = (more: object) => ({
    ...plane,
    configuration: () => ({ ...configuration, daemon: { ...configuration.daemon, listen: '0.0.0.0:0', ...more } }),
  });
  const other = join(folder, 'other');
  mkdirSync(other);
  await assert.rejects(startServer(at({}), { folder: other, onProblem: () => undefined }), { code: 'configuration' });
  const server = await startServer(at({ behindProxy: true }), { folder: other, onProblem: () => undefined });
  await server.stop();
});

test('who sends too slowly, or too much, before a request is there is let go', async (t) => {
  const { port, tokens, problems } = await startTestServer(t);
  const answerTo = (text: string) =>
    new Promise<string>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(text));
      let said = '';
      socket.on('data', (part) => (said += part)).on('close', () => resolve(said));
      socket.on('error', () => resolve(said));
    });
  assert.match(await answerTo(`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1.1 431/);
  assert.match(await answerTo('GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n'), /^HTTP\/1.1 40[03]/);
  assert.match(await answerTo('no HTTP at all\r\n\r\n'), /^HTTP\/1.1 400/);
  const head = `Host: localhost\r\nAuthorization: Bearer ${tokens.operator}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n`;
  for (let i = 0; i < 20; i++) {
    const socket = connect(port, '127.0.0.1');
    socket.end(`POST ${basePath}/jobs HTTP/1.1\r\n${head}\r\n{"spec"`);
    await new Promise((resolve) => socket.resume().once('close', resolve));
  }
  assert.deepEqual(problems, [], 'bodies that break off are no defects');
});
