/** A daemon with its API on a free port, on a scratch folder, without child processes: what jobs and reading commands do is the test's. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders, type RequestOptions } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { openApiDatabase } from '../../src/api/auth/database.ts';
import { createTokens } from '../../src/api/auth/tokens.ts';
import { type Role, roles } from '../../src/api/contract/roles.ts';
import { apiDatabaseFile, type ServerOptions, startServer } from '../../src/api/server.ts';
import { systemClock } from '../../src/cli/system-clock.ts';
import type { Alert } from '../../src/control/alerts/alert.ts';
import { loadConfiguration } from '../../src/control/configuration/load.ts';
import type { ControlPlane } from '../../src/control/control-plane.ts';
import { createDaemon, type DaemonOptions } from '../../src/control/daemon.ts';
import { assess } from '../../src/control/objectives/assess.ts';
import { createEvidenceTable, type SnapshotEvidence } from '../../src/control/state/evidence-table.ts';
import { openState } from '../../src/control/state/state.ts';
import { scratch } from '../peers.ts';

export const snapshotId = (digit: string): string => digit.repeat(64);

export function evidenceOf(id: string, more: Partial<SnapshotEvidence> = {}): SnapshotEvidence {
  return {
    repository: 'local',
    id: snapshotId(id),
    project: 'shop',
    volume: 'database',
    run: `run-${id}`,
    timeMs: Date.now() - 60_000,
    class: 'scheduled',
    consistency: 'paused',
    repaired: false,
    unreadable: 0,
    bytes: 10,
    files: 1,
    filesNew: 1,
    filesChanged: 0,
    addedBytes: 10,
    addedPackedBytes: 10,
    durationMs: 5,
    downtimeMs: undefined,
    tags: [],
    ...more,
  };
}

/** Told of a minute ago, and still so. */
export const raisedAlert = (key: string, atMs = Date.now() - 60_000): Alert => ({
  id: `${key}@${atMs}`,
  key,
  kind: 'rpo-breached',
  subject: { kind: 'volume', name: 'database' },
  condition: 'broken',
  message: 'its newest good snapshot is too old',
  remedy: 'holdfast backup database',
  state: 'raised',
  worst: 'broken',
  raisedAs: 'broken',
  firstSeenMs: atMs,
  raisedMs: atMs,
  quietSinceMs: undefined,
  endedMs: undefined,
  acknowledged: undefined,
});

export type TestServer = {
  folder: string;
  port: number;
  address: string;
  plane: ControlPlane;
  tokens: Record<Role, string>;
  /** Problems that the server told of. */
  problems: string[];
  ask(path: string, options?: Asking): Promise<Answer>;
  stop(): Promise<void>;
};

export type Asking = {
  method?: string;
  token?: string | null;
  headers?: Record<string, string>;
  body?: string | Buffer;
  socketPath?: string;
};
export type Answer = { status: number; headers: IncomingHttpHeaders; text: string; body: unknown; brokenOff: boolean };

export type TestServerOptions = {
  read?: ControlPlane['read'];
  execute?: DaemonOptions['execute'];
  program?: DaemonOptions['program'];
  server?: Partial<ServerOptions>;
  daemon?: string;
  evidence?: SnapshotEvidence[];
  /** A project that is there already. */
  project?: string;
};

const configurationText = (daemon: string) => `project: shop
volumes:
  database: { source: { directory: ./database } }
  uploads: { source: { directory: ./uploads } }
repositories:
  local: { url: ./repository, passwordFile: ./key }
  offsite: { url: "rest:http://user:hunter2@localhost:1/", passwordFile: ./key }
schedules: {}
drills: { enabled: false }
maintenance: { forget: { enabled: false }, check: { enabled: false }, usage: { enabled: false } }
daemon: { listen: "127.0.0.1:0"${daemon} }
`;

export async function startTestServer(t: TestContext, options: TestServerOptions = {}): Promise<TestServer> {
  const folder = scratch(t);
  const file = join(options.project ?? folder, 'holdfast.yaml');
  if (options.project === undefined) {
    writeFileSync(file, configurationText(options.daemon ?? ''));
    writeFileSync(join(folder, 'key'), 'secret\n');
    for (const name of ['database', 'uploads']) mkdirSync(join(folder, name));
  }
  const configuration = await loadConfiguration(file);
  const state = openState(join(folder, 'state.sqlite'));
  createEvidenceTable(state).add(options.evidence ?? [evidenceOf('a'), evidenceOf('b', { volume: 'uploads' })]);
  const daemon = createDaemon({
    version: '0.0.0-test',
    configuration,
    state,
    folder,
    clock: systemClock,
    program: options.program ?? { command: ['/bin/false'], directory: folder, environment: {} },
    assess,
    ...(options.execute === undefined ? {} : { execute: options.execute }),
    ...(options.program === undefined ? { listSnapshots: keepEvidence } : {}),
  });
  const plane: ControlPlane = options.read === undefined ? daemon : { ...daemon, read: options.read };
  const database = openApiDatabase(apiDatabaseFile(folder));
  const table = createTokens(database);
  const tokens = Object.fromEntries(
    roles.map((role) => [role, table.create({ name: `the-${role}`, role, createdMs: 0 })]),
  ) as TestServer['tokens'];
  database.close();
  const problems: string[] = [];
  const server = await startServer(plane, {
    folder,
    onProblem: (message) => problems.push(message),
    rate: { perSecond: 100_000, burst: 100_000 },
    ...options.server,
  });
  const ending = new AbortController();
  const running = daemon.run(ending.signal);
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= (async () => {
      ending.abort();
      await server.stop();
      await running;
      state.close();
    })();
    return stopped;
  };
  t.after(stop);
  const port = server.address.startsWith('unix:') ? 0 : Number(new URL(server.address).port);
  const ask: TestServer['ask'] = (path, asking = {}) => {
    const token = asking.token === undefined ? tokens.admin : asking.token;
    return send({ host: '127.0.0.1', port, path, ...(asking.socketPath ? { socketPath: asking.socketPath } : {}) }, asking, token);
  };
  return { folder, port, address: server.address, plane, tokens, problems, ask, stop };
}

/** A listing that finds what is known. */
async function* keepEvidence(_repository: string, known: readonly string[]): AsyncGenerator<string> {
  yield JSON.stringify({ present: known });
}

export function send(where: RequestOptions, { method = 'GET', headers = {}, body }: Asking, token: string | null): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const authorization = token === null ? {} : { Authorization: `Bearer ${token}` };
    const length = body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) };
    const request = httpRequest({ agent: false, ...where, method, headers: { ...authorization, ...length, ...headers } }, (response) => {
      const parts: Buffer[] = [];
      const end = (brokenOff: boolean) => {
        const text = Buffer.concat(parts).toString('utf8');
        const isJson = /json/.test(response.headers['content-type'] ?? '');
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          body: isJson ? JSON.parse(text) : undefined,
          brokenOff,
        });
      };
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => end(false));
      response.on('error', () => end(true));
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET') return reject(error);
      resolve({ status: 0, headers: {}, text: '', body: undefined, brokenOff: true });
    });
    request.end(body);
  });
}

/** A reading command that writes this. */
export const reads = (...parts: (string | Buffer)[]): ControlPlane['read'] =>
  async function* () {
    for (const part of parts) yield Buffer.from(part);
  };

export const post = (value: unknown, headers: Record<string, string> = {}): Asking => ({
  method: 'POST',
  body: typeof value === 'string' ? value : JSON.stringify(value),
  headers: { 'Content-Type': 'application/json', ...headers },
});
