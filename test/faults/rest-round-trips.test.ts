/** How often a restore and a check wait for a server at the end of a long line. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { requirePeer, scratch } from '../peers.ts';
import { serveRestic } from '../rclone-server.ts';
import { createProject, ended, fillVolume, start } from './project.ts';

/** Long against what a busy machine takes between two requests: else those look as if they had waited for each other. */
const delayMs = 250;

type Line = {
  url: URL;
  delayMs: number;
  /** `ROUND METHOD PATH`: the round is one more than the highest of all answers that had arrived when the request was made. */
  asked: { round: number; what: string }[];
  /** Forgets what was asked. */
  begin(): void;
};

/** A proxy whose answers arrive `delayMs` later. */
async function layLine(t: TestContext, target: URL): Promise<Line> {
  let arrived = 0;
  const line: Line = {
    url: target,
    delayMs: 0,
    asked: [],
    begin() {
      arrived = 0;
      line.asked = [];
    },
  };
  const server = createServer((incoming, outgoing) => {
    const { method = '', url = '', headers } = incoming;
    const round = arrived + 1;
    line.asked.push({ round, what: `${method} ${url}` });
    const forwarded = request(new URL(url, target), { method, headers }, async (answer) => {
      const body = await Array.fromAsync(answer as AsyncIterable<Buffer>);
      await setTimeout(line.delayMs);
      arrived = Math.max(arrived, round);
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers).end(Buffer.concat(body));
    });
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  line.url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  return line;
}

test('a restore of a small repository waits six times for its server, a check seven times', async (t) => {
  if (!requirePeer(t, 'rclone')) return;
  const server = await serveRestic(t, scratch(t));
  const project = createProject(t, { repository: `rest:${server.url}repository/` });
  const line = await layLine(t, server.url);
  const caches = scratch(t);
  const run = async (...args: string[]) => {
    line.begin();
    const place = ['--repository', `rest:${line.url}repository/`, '--password-file', project.keyFile, '--cache-dir', caches];
    const { code, stderr } = await ended(start(project.folder, ['--json', ...place, ...args]));
    assert.equal(code, 0, stderr);
    return line.asked;
  };
  fillVolume(project.volume, 200_000, 'round trips');
  await run('backup');
  line.delayMs = delayMs;
  const limits = [
    // Key and configuration; lock; a look at it, and snapshots; index; content; the lock goes.
    { args: ['restore', '--to', join(scratch(t), 'to')], limit: 6 },
    // As above; index files, and a list of packs; packs, and trees beside them; the lock goes.
    { args: ['check', '--read-data'], limit: 7 },
  ];
  for (const { args, limit } of limits) {
    const asked = await run(...args);
    const rounds = Math.max(...asked.map(({ round }) => round));
    t.diagnostic(`${args[0]}: ${asked.length} requests, ${rounds} round trips`);
    assert.ok(rounds <= limit, `${args[0]}: ${rounds} round trips:\n${asked.map(({ round, what }) => `${round} ${what}`).join('\n')}`);
  }
});
