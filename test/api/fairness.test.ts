/** What one caller, or one who shares an address with others, can take from them. */
import assert from 'node:assert/strict';
import { get, type IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import { openApiDatabase } from '../../src/api/auth/database.ts';
import { createTokens } from '../../src/api/auth/tokens.ts';
import { basePath } from '../../src/api/contract/operations.ts';
import { createPlaces } from '../../src/api/places.ts';
import { apiDatabaseFile } from '../../src/api/server.ts';
import { createTurns } from '../../src/api/turns.ts';
import type { ControlPlane } from '../../src/control/control-plane.ts';
import type { AlertTable } from '../../src/control/state/alert-table.ts';
import type { JobTable } from '../../src/control/state/job-table.ts';
import { evidenceOf, post, raisedAlert, snapshotId, startTestServer } from './api-server.ts';

/** A job that ends when it is told to. */
const untilAbort = (_job: unknown, _watch: unknown, signal: AbortSignal) =>
  new Promise<number>((resolve) => signal.addEventListener('abort', () => resolve(130), { once: true }));

const status = `${basePath}/status`;
const content = `${basePath}/snapshots/${snapshotId('a')}/content`;

test('wrong tokens and floods of one address do not keep those out who have a token', async (t) => {
  const nowMs = Date.now();
  const { ask, tokens } = await startTestServer(t, { server: { now: () => nowMs, rate: { perSecond: 1, burst: 20 } } });
  const wrong = [];
  for (let i = 0; i < 30; i++) wrong.push((await ask(status, { token: 'holdfast_wrong' })).status);
  assert.deepEqual([wrong[0], wrong.at(-1)], [401, 429]);
  assert.equal((await ask('/healthz', { token: null })).status, 429, 'the address has asked enough');
  assert.equal((await ask(status, { token: tokens.admin })).status, 200);
  const right = [];
  for (let i = 0; i < 30; i++) right.push((await ask(status, { token: tokens.viewer })).status);
  assert.deepEqual([right[0], right.at(-1)], [200, 429]);
  assert.equal((await ask(status, { token: tokens.admin })).status, 200, 'a token of its own has a limit of its own');
});

test('who goes away before the first event takes no place for ever', async (t) => {
  const { ask, port, tokens } = await startTestServer(t);
  const events = (token: string, headers: Record<string, string> = {}) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const path = `${basePath}/events`;
      get({ port, host: '127.0.0.1', path, agent: false, headers: { Authorization: `Bearer ${token}`, ...headers } }, resolve).on(
        'error',
        reject,
      );
    });
  const first = await events(tokens.viewer);
  const id = await new Promise<string>((resolve) =>
    first.once('data', (part: Buffer) => resolve(/^id: (\S+)/.exec(part.toString())?.[1] ?? '')),
  );
  first.destroy();
  for (let i = 0; i < 205; i++) {
    const request = get({
      port,
      host: '127.0.0.1',
      path: `${basePath}/events`,
      agent: false,
      headers: { Authorization: `Bearer ${tokens.viewer}`, 'Last-Event-ID': id },
    });
    request.on('error', () => undefined);
    await new Promise((resolve) => request.once('socket', (socket) => socket.once('connect', resolve)));
    // The request is out, and its answer on its way.
    await ask('/healthz', { token: null });
    request.destroy();
  }
  const again = await events(tokens.viewer, { 'Last-Event-ID': id });
  assert.equal(again.statusCode, 200);
  again.destroy();
});

test('of a follower who reads nothing and goes away, nothing is left', { timeout: 30_000 }, async (t) => {
  const { port, tokens, plane } = await startTestServer(t, { execute: untilAbort });
  const { id } = plane.start({ kind: 'usage' }, 'test');
  const lines = Array.from({ length: 400 }, () => ({ atMs: 0, line: 'x'.repeat(60_000) }));
  (plane.jobs as JobTable).log(id, lines);
  let [following, looked] = [0, 0];
  const { subscribe } = plane;
  plane.subscribe = (listener) => {
    const unsubscribe = subscribe(listener);
    following++;
    return () => {
      following--;
      unsubscribe();
    };
  };
  const request = get({
    port,
    host: '127.0.0.1',
    path: `${basePath}/jobs/${id}/events`,
    agent: false,
    headers: { Authorization: `Bearer ${tokens.operator}` },
  }).on('error', () => undefined);
  // Its answer is not read: what the server has sent fills all buffers on the way.
  await new Promise((resolve) => request.once('response', resolve));
  assert.equal(following, 1);
  while (looked++ < 1_000) await immediate();
  request.destroy();
  while (following > 0) await immediate();
});

test('a reader who has waited too long is told so, whether for his turn or for the answer', async (t) => {
  const deadlines: AbortController[] = [];
  t.mock.method(AbortSignal, 'timeout', () => {
    const controller = new AbortController();
    deadlines.push(controller);
    return controller.signal;
  });
  const read: ControlPlane['read'] = async function* (_words, signal) {
    yield Buffer.from('{"path":"one"}\n');
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  };
  const { ask, problems } = await startTestServer(t, { read });
  const asked = [0, 1].map(() => ask(`${basePath}/snapshots/${snapshotId('a')}/files`));
  while (deadlines.length < 2) await immediate();
  for (const controller of deadlines) controller.abort(new DOMException('too long', 'TimeoutError'));
  for (const { status: answered, body } of await Promise.all(asked)) {
    assert.equal(answered, 504);
    assert.equal((body as { code: string }).code, 'deadline');
  }
  assert.deepEqual(problems, []);
});

test('a reader whose daemon ends is told so', async (t) => {
  const begun = Promise.withResolvers<void>();
  // As a child process that was ended by the signal (node:child_process).
  const read: ControlPlane['read'] = async function* (_words, signal) {
    yield Buffer.from('{"path":"one"}\n');
    begun.resolve();
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError'))));
  };
  const { ask, stop, problems } = await startTestServer(t, { read });
  const asked = ask(`${basePath}/snapshots/${snapshotId('a')}/files`);
  await begun.promise;
  await stop();
  const { status: answered, body } = await asked;
  assert.deepEqual([answered, (body as { code: string }).code, problems], [503, 'interrupted', []]);
});

test('who may follow events is not told what others did', async (t) => {
  const { port, tokens, plane } = await startTestServer(t, { execute: async () => 0 });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { Authorization: `Bearer ${tokens.viewer}` };
    get({ port, host: '127.0.0.1', path: `${basePath}/events`, agent: false, headers }, resolve).on('error', reject);
  });
  let told = '';
  for await (const part of response) {
    if (told === '') {
      plane.auditLog.add({ atMs: 0, who: 'somebody', what: 'download', document: { path: 'private/name' } });
      plane.start({ kind: 'usage' }, 'test');
    }
    told += part;
    if (told.includes('event: job')) break;
  }
  assert.doesNotMatch(told, /private|event: audit/);
});

test('jobs are not started without end, and what is refused is in no history', async (t) => {
  let nowMs = Date.now();
  const { ask, tokens, plane } = await startTestServer(t, { execute: untilAbort, server: { now: () => nowMs } });
  const start = (token: string, spec: object = { kind: 'usage' }) => ask(`${basePath}/jobs`, { ...post({ spec }), token });
  const statuses = [];
  for (let i = 0; i < 202; i++) statuses.push((await start(tokens.operator)).status);
  assert.deepEqual([statuses[0], statuses[199], statuses[200], statuses[201]], [201, 201, 429, 429]);
  assert.equal((await start(tokens.admin)).status, 429, 'so many wait, whoever asked for them');
  const jobs = plane.jobs.list({}, { limit: 1_000 });
  assert.equal(jobs.length, 200);
  for (const { id } of jobs) plane.cancel(id);
  assert.equal((await start(tokens.operator)).status, 429, 'to cancel them makes no room for more');
  assert.equal((await start(tokens.admin)).status, 201);
  nowMs += 1_000;
  assert.equal((await start(tokens.operator)).status, 201);
  const twice = { kind: 'backup', repository: 'local', volumes: ['database', 'database'] };
  assert.equal((await start(tokens.admin, twice)).status, 400);
});

test('places and turns are shared', async () => {
  const places = createPlaces({ all: 4, each: 2 });
  const ends = Array.from({ length: 5 }, () => new AbortController());
  const take = (who: string, place: number) => places.take(who, (ends[place] as AbortController).signal);
  take('a', 0);
  take('a', 1);
  assert.throws(() => take('a', 2), { code: 'too-many-requests' });
  take('b', 2);
  take('c', 3);
  assert.throws(() => take('d', 4), { code: 'too-many-requests' });
  ends[0]?.abort();
  take('a', 4);
  ends[4]?.abort();
  for (let i = 0; i < 5; i++) places.take('d', AbortSignal.abort());
  places.take('b', new AbortController().signal);

  const turns = createTurns({ atOnce: 2, waiting: 4 });
  const { signal } = new AbortController();
  const endFirst = await turns.take('slow', signal);
  const order: string[] = [];
  const waits = [turns.take('slow', signal), turns.take('slow', signal)].map((turn) =>
    turn.then((end) => {
      order.push('slow');
      return end;
    }),
  );
  await assert.rejects(turns.take('slow', signal), { code: 'too-many-requests' });
  const endOther = await turns.take('other', signal);
  const gone = new AbortController();
  const left = turns.take('third', gone.signal);
  gone.abort();
  await assert.rejects(left);
  endOther();
  endOther();
  await immediate();
  assert.deepEqual(order, [], 'one has one turn');
  endFirst();
  (await (waits[0] as Promise<() => void>))();
  (await (waits[1] as Promise<() => void>))();
  await turns.take('third', signal);
});

test('a download that stands still keeps nobody else from reading, ends with its token, and only what is read is recorded', {
  timeout: 30_000,
}, async (t) => {
  let nowMs = Date.now();
  async function* endless(_words: readonly string[], signal: AbortSignal): AsyncGenerator<Buffer> {
    for (; !signal.aborted; await immediate()) yield Buffer.alloc(100_000);
  }
  const read: ControlPlane['read'] = (words, signal) => {
    if (words.includes('missing')) throw new Error('there is none');
    return words[0] === 'dump' ? endless(words, signal) : (async function* () {})();
  };
  const { ask, port, tokens, folder, plane } = await startTestServer(t, {
    read,
    evidence: [evidenceOf('a')],
    server: { now: () => nowMs },
  });
  const download = () =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { Authorization: `Bearer ${tokens['restore-only']}` };
      get({ port, host: '127.0.0.1', path: content, agent: false, headers }, resolve).on('error', reject);
    });
  const stalled = await download();
  const second = download().catch(() => undefined);
  assert.equal((await ask(`${basePath}/snapshots/${snapshotId('a')}/files`, { token: tokens.operator })).status, 200);
  for (let i = 0; i < 3; i++) await ask(`${content}?path=missing`, { token: tokens.admin });
  assert.deepEqual(
    plane.auditLog.list({ limit: 10 }).map(({ what, who }) => [what, who]),
    [['download', 'the-restore-only']],
  );
  const database = openApiDatabase(apiDatabaseFile(folder));
  createTokens(database).revoke('the-restore-only');
  database.close();
  nowMs += 10_000;
  const broken = new Promise((resolve) => stalled.once('error', resolve).once('aborted', resolve));
  stalled.resume();
  await broken;
  await second;
});

test('names of files that are longer than names can be, and cut a character in two, are names', async (t) => {
  const read: ControlPlane['read'] = async function* () {
    yield Buffer.from('x');
  };
  const { ask } = await startTestServer(t, { read });
  const name = `${'x'.repeat(254)}\u{1F600}`;
  const { status: done, headers } = await ask(`${content}?path=${encodeURIComponent(name)}`);
  assert.equal(done, 200);
  assert.match(String(headers['content-disposition']), /^attachment; filename="x+"; filename\*=UTF-8''x+%EF%BF%BD$/);
});

test('taking note again and again fills no log', async (t) => {
  const nowMs = Date.now();
  const { ask, tokens, plane } = await startTestServer(t, { server: { now: () => nowMs } });
  const alert = raisedAlert('volume database rpo');
  (plane.alerts as AlertTable).put([alert]);
  const path = `${basePath}/alerts/${encodeURIComponent(alert.id)}/acknowledge`;
  const statuses = new Set<number>();
  for (let i = 0; i < 210; i++) statuses.add((await ask(path, { ...post({}), token: tokens.operator })).status);
  assert.deepEqual([...statuses], [200, 429]);
  assert.equal(plane.auditLog.list({ limit: 1_000 }).length, 200);
  assert.equal((await ask(path, { ...post({}), token: tokens.admin })).status, 200);
});
