/** Many clients at once, while real backups run. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { createClient } from '../../src/api/client.ts';
import { basePath } from '../../src/api/contract/operations.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';
import { startTestServer } from './api-server.ts';

const followers = 100;
const pollers = 100;
/** Of all pollers together. */
const askedPerSecond = 100;
const forMs = Number(process.env.HOLDFAST_API_LOAD_SECONDS ?? 4) * 1_000;

const root = join(import.meta.dirname, '..', '..');

test('200 clients are served while two backups run', { timeout: 120_000 }, async (t) => {
  const project = scratch(t);
  for (const volume of ['one', 'two']) {
    mkdirSync(join(project, volume));
    for (let i = 0; i < 200; i++) writeFileSync(join(project, volume, `file-${i}`), Buffer.alloc(50_000, `${volume}${i}`));
  }
  const holdfast = commandLine(project);
  assert.equal((await holdfast('init', '--volume', 'one=one', '--volume', 'two=two')).exit, 0);
  const file = join(project, 'holdfast.yaml');
  writeFileSync(
    file,
    `${readFileSync(file, 'utf8')
      .replace(/^(schedules|drills|maintenance):/gm, 'x-$1:')
      .replace(/^x-.*\n(?: .*\n)*/gm, '')}
drills: { enabled: false }
maintenance: { forget: { enabled: false }, check: { enabled: false }, usage: { enabled: false } }
daemon: { listen: "127.0.0.1:0" }
`,
  );
  const program = {
    command: [process.execPath, join(root, 'src/cli/main.ts'), '--config', file],
    directory: project,
    environment: { PATH: process.env.PATH, HOLDFAST_STATE_DIR: join(project, 'state'), HOLDFAST_CACHE_DIR: join(project, 'cache') },
  };
  const server = await startTestServer(t, { project, program, evidence: [] });
  const ending = new AbortController();
  t.after(() => ending.abort());
  const client = createClient({ address: server.address, token: server.tokens.operator, signal: ending.signal });

  const seen = { events: 0, ended: new Set<string>() };
  const follow = async () => {
    for await (const { event, data } of client.follow('followEvents')) {
      seen.events++;
      const { id, state } = data as { id: string; state?: string };
      if (event === 'job' && state === 'succeeded') seen.ended.add(id);
    }
  };
  const following = Array.from({ length: followers }, () =>
    follow().catch((error: unknown) => assert.ok(ending.signal.aborted, String(error))),
  );
  const jobs: { id: string }[] = [];
  for (const volume of ['one', 'two'])
    jobs.push(await client.call('startJob', { body: { spec: { kind: 'backup', repository: 'local', volumes: [volume] } } }));

  const agent = new Agent({ keepAlive: true, maxSockets: pollers });
  const paths = ['/status', '/volumes', '/jobs?limit=20', '/snapshots', '/restore-points', '/repositories', '/project'].map(
    (path) => basePath + path,
  );
  const tookMs: number[] = [];
  const statuses = new Set<number | undefined>();
  const poll = (path: string) =>
    new Promise<void>((resolve, reject) => {
      const begunMs = performance.now();
      const asked = request(
        { host: '127.0.0.1', port: server.port, path, agent, headers: { Authorization: `Bearer ${server.tokens.viewer}` } },
        (response) => {
          statuses.add(response.statusCode);
          response.resume().on('end', () => {
            tookMs.push(performance.now() - begunMs);
            resolve();
          });
        },
      );
      asked.on('error', reject).end();
    });
  const before = process.memoryUsage().rss;
  const begunMs = performance.now();
  const isRunning = () => jobs.some(({ id }) => server.plane.jobs.get(id)?.endedMs === undefined);
  const polls: Promise<void>[] = [];
  // All pollers at once, then at the pace of the figure, at least until the backups have ended.
  for (let asked = 0; asked < pollers || isRunning() || performance.now() - begunMs < forMs; asked++) {
    polls.push(poll(paths[asked % paths.length] as string));
    const dueMs = asked < pollers ? 0 : begunMs + ((asked - pollers) * 1_000) / askedPerSecond - performance.now();
    if (dueMs > 0) await new Promise((resolve) => setTimeout(resolve, dueMs));
  }
  await Promise.all(polls);
  agent.destroy();
  for (const { id } of jobs) assert.equal(server.plane.jobs.get(id)?.state, 'succeeded', JSON.stringify(server.plane.jobs.get(id)));
  const finished = (await client.call('listJobs')).items.map(({ id }) => id);
  for (const { id } of jobs) assert.ok(finished.includes(id) && seen.ended.has(id));
  ending.abort();
  await Promise.all(following);

  const grownMiB = (process.memoryUsage().rss - before) / 2 ** 20;
  const sorted = tookMs.slice(pollers).sort((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1);
  t.diagnostic(`${sorted.length} requests: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms; ${seen.events} events; ${grownMiB.toFixed(0)} MiB more`);
  assert.deepEqual([...statuses], [200]);
  assert.ok(seen.events >= followers * 4, 'every follower is told');
  assert.ok(grownMiB < 150, 'memory is bounded');
  // The figure is for a machine that has nothing else to do; in all other runs, nothing may stand still.
  assert.ok(Number(at(0.99)) < (process.env.HOLDFAST_API_LOAD_SECONDS === undefined ? 20_000 : 50));
});
