/** Repositories on servers on loopback, behind a proxy that adds latency: rclone's REST server, and Ceph's S3. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { serveS3 } from '../test/s3-server.ts';

export const serverNames = ['rest', 's3'] as const;
export type ServerName = (typeof serverNames)[number];

/** A way to a repository: what kind of server, and how long a round trip to it takes. */
export type Link = { server: ServerName; delayMs: number };

/** How a corpus is called whose repositories are at the end of a link. */
export const corpusOver = (corpus: string, { server, delayMs }: Link): string => `${corpus}, ${server} ${delayMs} ms`;
export const isOverNetwork = (corpus: string): boolean => corpus.includes(', ');

export type Network = {
  /** URL of a peer's repository, as restic and Holdfast take it. */
  repositoryOf(peer: string): string;
  /** What the clients need beside. */
  environment: Readonly<Record<string, string>>;
  close(): Promise<void>;
};

const patienceMs = 10_000;

/** Reads `rest:20`. @throws Error that says what is expected. */
export function parseLink(text: string): Link {
  const [name, delay = ''] = text.split(':');
  const server = serverNames.find((known) => known === name);
  if (server === undefined || !/^\d+$/.test(delay)) throw new Error(`--network: expected SERVER:MILLISECONDS, got ${JSON.stringify(text)}`);
  return { server, delayMs: Number(delay) };
}

/** What keeps a server: how to reach it, and what clients need. */
type Server = { port: number; environment: Readonly<Record<string, string>>; close: () => Promise<unknown> };

/** Starts server and proxy; `folder` is empty. @throws Error when the server's programs are missing. */
export async function openNetwork({ server, delayMs }: Link, folder: string): Promise<Network> {
  mkdirSync(folder, { recursive: true });
  const { port, environment, close } = await (server === 'rest' ? serveRest(folder) : serveCeph());
  const proxy = spawn(process.execPath, [join(import.meta.dirname, 'delay-proxy.ts'), String(port), String(delayMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(proxy.stdout, 'data')) as [Buffer];
  const address = `http://127.0.0.1:${Number(said.toString())}`;
  return {
    repositoryOf: (peer) => (server === 'rest' ? `rest:${address}/${peer}/` : `s3:${address}/${peer}`),
    environment,
    async close() {
      await end(proxy);
      await close();
    },
  };
}

async function serveRest(folder: string): Promise<Server> {
  const port = await freePort();
  const rclone = spawn('rclone', ['serve', 'restic', '--addr', `127.0.0.1:${port}`, '--config', '/dev/null', folder], { stdio: 'ignore' });
  // Told by whoever waits for it to answer.
  rclone.on('error', () => undefined);
  await untilAnswered(port);
  return { port, environment: {}, close: () => end(rclone) };
}

async function serveCeph(): Promise<Server> {
  const ends: (() => unknown)[] = [];
  const { endpoint, owner } = await serveS3({ after: (last) => void ends.push(last as () => unknown) });
  const environment = {
    ...owner.environment,
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  };
  return { port: Number(new URL(endpoint).port), environment, close: () => Promise.all(ends.map((last) => last())) };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

async function untilAnswered(port: number): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    try {
      await fetch(`http://127.0.0.1:${port}/`);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`the server on port ${port} does not answer`, { cause: error });
      await setTimeout(20);
    }
  }
}
