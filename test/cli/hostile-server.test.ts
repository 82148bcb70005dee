/** A server that is none of ours, or somebody between: what it says must not move the cursor of who asks it. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { createClient } from '../../src/api/client.ts';
import { basePath } from '../../src/api/contract/operations.ts';
import { run } from '../../src/cli/run.ts';

const evil = '\u001b[2J\u001b]0;x\u0007\u202e';
const atMs = Date.now();
const mark = { repository: evil, id: evil, run: evil, timeMs: atMs, consistency: evil };
const reason = { kind: evil, condition: 'broken', message: evil, remedy: evil };
const spec = { kind: 'backup', repository: evil, volumes: [evil] };
const job = {
  ...{
    id: evil,
    spec,
    state: `failed${evil}`,
    priority: 1,
    startedBy: evil,
    schedule: evil,
    queuedMs: atMs,
    notBeforeMs: atMs,
    deadlineMs: 1,
  },
  ...{ attempt: 1, attempts: 1, startedMs: atMs, endedMs: atMs, error: { code: evil, message: evil, remedy: evil } },
  result: { snapshots: [], warnings: 0 },
};
const snapshot = {
  ...{
    ...mark,
    project: evil,
    volume: evil,
    class: evil,
    repaired: false,
    unreadable: 1,
    bytes: 1,
    files: 1,
    filesNew: 1,
    filesChanged: 1,
  },
  ...{ addedBytes: 1, addedPackedBytes: 1, durationMs: 1, tags: [evil] },
};
const volume = {
  ...{ volume: evil, criticality: evil, sensitive: false, condition: 'broken', reasons: [reason], newest: mark, newestGood: mark },
  ...{ rpo: { objectiveMs: 1, ageMs: 1 }, rto: { objectiveMs: 1, basis: evil }, size: { bytes: 1, files: 2 } },
  anomalies: [{ kind: evil, volume: evil, snapshot: evil, timeMs: atMs, message: evil }],
};
const repository = { repository: evil, condition: 'good', reasons: [reason], snapshots: 1 };
const line = (text: string) => ({ number: 1, atMs, line: text });
const answers: Record<string, unknown> = {
  '/status': { project: evil, atMs, condition: 'broken', volumes: [volume], repositories: [repository], reasons: [reason] },
  '/project': {
    project: evil,
    version: evil,
    startedMs: atMs,
    volumes: [evil],
    repositories: [evil],
    upcoming: [{ task: evil, spec, dueMs: atMs }],
  },
  '/jobs': { items: [job], ...job },
  '/jobs/j': job,
  '/jobs/j/cancel': job,
  '/jobs/j/log': { items: [line(JSON.stringify({ message: evil })), line(`{"x":"${evil}`), line('{"message":7}')] },
  '/snapshots': { items: [snapshot] },
};
const problem = { title: evil, status: 404, detail: evil, code: evil, remedy: evil, volume: evil, file: evil };

test('nothing that a server says reaches the terminal as a command', async (t) => {
  const server = createServer(({ url = '' }, response) => {
    const path = url.slice(basePath.length).replace(/\?.*/, '');
    if (path.endsWith('/events')) {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      const frame = (event: string, data: unknown) => `id: 1\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
      return response.end(frame('log', line(JSON.stringify({ message: evil }))) + frame('end', job));
    }
    const answer = answers[path];
    response.writeHead(answer === undefined ? 404 : 200, { 'Content-Type': 'application/json' });
    return response.end(JSON.stringify(answer ?? problem));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const commands = ['status', 'status --all', 'jobs', 'jobs start usage', 'jobs start usage --follow', 'jobs log j', 'jobs log j --follow'];
  for (const command of [...commands, 'jobs log nosuch', 'jobs cancel j', 'jobs cancel j --dry-run', 'snapshots']) {
    let said = '';
    const sink = { write: (text: string) => (said += text) };
    const { signal } = new AbortController();
    const environment = { HOLDFAST_TOKEN: 'holdfast_x' };
    await run([...command.split(' '), '--server', address], { stdout: sink, stderr: sink, environment, cwd: tmpdir(), signal });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
    assert.doesNotMatch(said, /[\u0000-\u0009\u000b-\u001f\u202e]|SyntaxError|TypeError/, command);
    assert.match(said, /x1b/, command);
  }
});

test('events without an end are given up before they fill the memory', { timeout: 60_000 }, async (t) => {
  let sent = 0;
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write('data: ');
    const part = Buffer.alloc(1024 * 1024, 'x');
    // It ends at 200 MiB, which a client that waits for the end of the line would have taken.
    const more = () => {
      while (sent < 200 && !response.destroyed) {
        sent++;
        if (!response.write(part)) return;
      }
      response.end();
    };
    response.on('drain', more);
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const client = createClient({ address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, token: 'holdfast_x' });
  await assert.rejects(client.follow('followEvents').next(), { code: 'daemon-unreachable' });
  assert.ok(sent < 200);
});
