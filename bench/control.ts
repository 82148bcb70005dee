import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { holdfastJson, holdfastProgram } from '../test/programs.ts';
import { measure } from './measure.ts';
import { noiseFrom } from './random.ts';
import { median, renderTable } from './report.ts';

export type ControlBench = {
  /** Of 1,000 volumes. */
  scale: number;
  repeat: number;
  scratch: string;
  markdown: boolean;
  record: (line: object) => void;
  say: (line: string) => void;
};

const [volumeCount, runs, requestsPerSecond, loadSeconds, idleSeconds] = [1_000, 10, 100, 20, 60];
/** Two that take some time, and all others of a file each. */
const [largeCount, largeBytes, uploadPerSecond] = [2, 384 * 1024 ** 2, '40M'];
const paths = [
  'status',
  'volumes?limit=100',
  'volumes/volume-7',
  'objectives',
  'repositories',
  'snapshots?limit=50',
  'snapshots?volume=volume-7',
  'restore-points?limit=5',
  'jobs?limit=20',
  'alerts?limit=20',
];

/** What a daemon with 1,000 volumes and 10,000 snapshots takes to start, to answer, and to do nothing. Returns a table. */
export async function runControl({ scale, repeat, scratch, markdown, record, say }: ControlBench): Promise<string> {
  if (isBundleOld()) say('dist/ is older than the sources: the TypeScript is measured, which takes more of everything (`npm run build`)');
  const environment = { HOLDFAST_STATE_DIR: join(scratch, 's') };
  const volumes = makeProject(scratch, Math.max(5, Math.round(volumeCount * scale)));
  holdfastJson(scratch, ['init'], { environment });
  const small = volumes.slice(largeCount);
  for (let i = 0; i < runs; i++) holdfastJson(scratch, ['backup', ...small], { environment });
  say(`${volumes.length} volumes, ${runs * small.length} snapshots`);

  const first = await startDaemon(scratch, environment);
  await first.stop();
  const starts: number[] = [];
  for (let i = 0; i < repeat; i++) {
    const daemon = await startDaemon(scratch, environment);
    starts.push(daemon.startedMs);
    await daemon.stop();
  }
  const daemon = await startDaemon(scratch, environment);
  try {
    await daemon.quiet();
    const idle = await usageOver(daemon.pid, idleSeconds);
    const statuses: number[] = [];
    for (let i = 0; i < repeat + 2; i++)
      statuses.push(1_000 * (await measure({ argv: [holdfastProgram, '--json', 'status'], directory: scratch, environment })).wallSeconds);
    const scrapes: number[] = [];
    for (let i = 0; i < repeat + 2; i++) scrapes.push(await timed(daemon, '/metrics'));
    for (const volume of volumes.slice(0, largeCount)) await daemon.start(volume);
    const ticks = ticksOf(daemon.pid);
    const { latencies, errors, running } = await load(daemon);
    const busyMs = (10 * (ticksOf(daemon.pid) - ticks)) / latencies.length;
    const [p50, p99, worst] = [0.5, 0.99, 1].map((part) => latencies[Math.ceil(part * latencies.length) - 1] ?? 0);
    record({ first: first.startedMs, starts, statuses, scrapes, idle, p50, p99, worst, busyMs, errors, running });
    const ms = (value: number | undefined) => `${(value ?? 0).toFixed(0)} ms`;
    const rows = [
      ['start until it serves, nothing known', ms(first.startedMs), ''],
      ['start until it serves', ms(median(starts)), '2,000 ms'],
      ['`holdfast status --json`, the whole process', ms(median(statuses)), '300 ms'],
      ['`GET /metrics`', ms(median(scrapes)), '100 ms'],
      [`API, ${requestsPerSecond} requests a second, ${running} backups running: median`, ms(p50), ''],
      ['the same: 99th percentile', ms(p99), '50 ms'],
      ['the same: worst', ms(worst), ''],
      ['the same: processor time of the daemon, a request', `${busyMs.toFixed(1)} ms`, ''],
      ['idle: resident memory', `${(idle.bytes / 1e6).toFixed(0)} MB`, '120 MB'],
      ['idle: of it not of files, which others share', `${(idle.anonymousBytes / 1e6).toFixed(0)} MB`, ''],
      [`idle: processor over ${idleSeconds} s`, `${idle.percent.toFixed(2)}%`, '0.5%'],
    ];
    if (errors > 0) say(`${errors} requests failed`);
    return renderTable(['what', 'measured', 'limit'], rows, markdown ? 'markdown' : 'terminal');
  } finally {
    await daemon.stop();
  }
}

/** Returns the names of the volumes, the large ones first. */
function makeProject(scratch: string, count: number): string[] {
  const noise = noiseFrom('control');
  const names = Array.from({ length: count + largeCount }, (_, i) => (i < largeCount ? `large-${i}` : `volume-${i}`));
  for (const [i, name] of names.entries()) {
    mkdirSync(join(scratch, 'v', name), { recursive: true });
    writeFileSync(join(scratch, 'v', name, 'file'), i < largeCount ? noise(largeBytes) : `of ${name}`);
  }
  const none = '{ enabled: false }';
  writeFileSync(
    join(scratch, 'holdfast.yaml'),
    `project: bench
volumes:
${names.map((name) => `  ${name}: { source: { directory: ./v/${name} } }\n`).join('')}
repositories: { local: { url: ./repository, passwordFile: ./holdfast.key } }
schedules: { yearly: { cron: "0 0 1 1 *", volumes: [volume-${largeCount}] } }
maintenance: { forget: ${none}, check: ${none}, usage: ${none} }
drills: ${none}
daemon: { listen: ./api.sock, limits: { upload: ${uploadPerSecond} } }
`,
  );
  return names;
}

type BenchDaemon = {
  pid: number;
  socket: string;
  agent: Agent;
  /** From the start of the process until it answers what is known. */
  startedMs: number;
  /** Resolves when no process of it is left but itself. */
  quiet(): Promise<void>;
  start(volume: string): Promise<void>;
  stop(): Promise<void>;
};

async function startDaemon(scratch: string, environment: Readonly<Record<string, string>>): Promise<BenchDaemon> {
  const began = performance.now();
  const child = spawn(holdfastProgram, ['--directory', scratch, '--json', 'up'], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(child, 'close');
  let complaint = '';
  child.stderr.on('data', (part: Buffer) => {
    complaint = (complaint + part).slice(-2_000);
  });
  const pid = child.pid as number;
  const daemon = { pid, socket: join(scratch, 'api.sock'), agent: new Agent({ keepAlive: true, maxSockets: 32 }), startedMs: 0 };
  const known = async () => (await get(daemon, '/api/v1/volumes/volume-7')).body.includes('"newest":{');
  while (!(await known().catch(() => false))) {
    if (child.exitCode !== null) throw new Error(`holdfast up: ${complaint}`);
    await sleep(10);
  }
  return {
    ...daemon,
    startedMs: performance.now() - began,
    async quiet() {
      while (childrenOf(pid) > 0) await sleep(200);
    },
    async start(volume) {
      const spec = { kind: 'backup', repository: 'local', class: 'manual', volumes: [volume] };
      const { status, body } = await get(daemon, '/api/v1/jobs', JSON.stringify({ spec }));
      if (status !== 201) throw new Error(`a backup of ${volume} did not start: ${body}`);
    },
    async stop() {
      daemon.agent.destroy();
      child.kill('SIGTERM');
      await ended;
    },
  };
}

type Served = Pick<BenchDaemon, 'socket' | 'agent'>;

/** A POST when there is a body. */
function get({ socket, agent }: Served, path: string, body?: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
    const asked = request({ socketPath: socket, agent, path, method: body === undefined ? 'GET' : 'POST', headers }, async (response) => {
      try {
        const parts: Buffer[] = [];
        for await (const part of response) parts.push(part as Buffer);
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString('utf8') });
      } catch (error) {
        reject(error);
      }
    });
    asked.once('error', reject);
    asked.end(body);
  });
}

async function timed(daemon: Served, path: string): Promise<number> {
  const began = performance.now();
  const { status, body } = await get(daemon, path);
  if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
  return performance.now() - began;
}

/** Requests at a fixed rate, whether the ones before are answered or not; latencies in milliseconds, the shortest first. */
async function load(daemon: Served): Promise<{ latencies: number[]; errors: number; running: number }> {
  const latencies: number[] = [];
  const counts = { errors: 0, running: 0 };
  const under: Promise<void>[] = [];
  const began = performance.now();
  for (let i = 0; i < loadSeconds * requestsPerSecond; i++) {
    const dueMs = began + (i * 1_000) / requestsPerSecond;
    if (performance.now() < dueMs) await sleep(dueMs - performance.now());
    const path = `/api/v1/${paths[i % paths.length]}`;
    under.push(
      timed(daemon, path).then(
        (ms) => void latencies.push(ms),
        () => void counts.errors++,
      ),
    );
    if (i === (loadSeconds * requestsPerSecond) / 2) {
      const { body } = await get(daemon, '/api/v1/jobs?state=running');
      counts.running = (JSON.parse(body) as { items: unknown[] }).items.length;
    }
  }
  await Promise.all(under);
  return { latencies: latencies.sort((a, b) => a - b), ...counts };
}

/** How many processes a process has started that are still there (proc(5)). */
const childrenOf = (pid: number): number =>
  globSync(`/proc/${pid}/task/*/children`).reduce((sum, file) => sum + readFileSync(file, 'utf8').split(' ').filter(Boolean).length, 0);

/** Of the kernel's ticks, which are hundredths of a second on Linux. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

async function usageOver(pid: number, seconds: number): Promise<{ bytes: number; anonymousBytes: number; percent: number }> {
  const before = ticksOf(pid);
  await sleep(seconds * 1_000);
  const memory = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const of = (name: string) => 1_024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(memory)?.[1]);
  return { bytes: of('Rss'), anonymousBytes: of('Anonymous'), percent: (ticksOf(pid) - before) / seconds };
}

/** Whether the program runs from its sources, as it does in a checkout that was changed since it was built. */
function isBundleOld(): boolean {
  const root = join(import.meta.dirname, '..');
  const builtMs = statSync(join(root, 'dist', 'program', 'main.js'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return [join(root, 'package.json'), ...globSync(join(root, 'src', '**'))].some((file) => statSync(file).mtimeMs >= builtMs);
}
