/** Repositories on servers: rclone's, on loopback, behind a proxy that adds latency. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

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

const key = { id: 'bench', secret: 'bench-secret' } as const;
const patienceMs = 10_000;

/** Reads `rest:20`. @throws Error that says what is expected. */
export function parseLink(text: string): Link {
  const [name, delay = ''] = text.split(':');
  const server = serverNames.find((known) => known === name);
  if (server === undefined || !/^\d+$/.test(delay)) throw new Error(`--network: expected SERVER:MILLISECONDS, got ${JSON.stringify(text)}`);
  return { server, delayMs: Number(delay) };
}

/** rclone with `serve s3`: Debian's stable one is too old for it. */
export function findRclone(checkout: string): string | undefined {
  const newest = join(checkout, '.cache', 'peers', 'usr', 'bin', 'rclone');
  return existsSync(newest) ? newest : undefined;
}

/** Starts server and proxy over an empty `folder`. */
export async function openNetwork({ server, delayMs }: Link, rclone: string, folder: string): Promise<Network> {
  mkdirSync(join(folder, 'bucket'), { recursive: true });
  const port = await freePort();
  const address = ['--addr', `127.0.0.1:${port}`, '--config', '/dev/null'];
  const args = server === 'rest' ? ['serve', 'restic', ...address] : ['serve', 's3', ...address, '--auth-key', `${key.id},${key.secret}`];
  const children: ChildProcess[] = [spawn(rclone, [...args, folder], { stdio: 'ignore' })];
  const proxy = spawn(process.execPath, [join(import.meta.dirname, 'delay-proxy.ts'), String(port), String(delayMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(proxy);
  const [said] = (await once(proxy.stdout, 'data')) as [Buffer];
  const proxyPort = Number(said.toString());
  await untilAnswered(port);
  return {
    repositoryOf: (peer) =>
      server === 'rest' ? `rest:http://127.0.0.1:${proxyPort}/${peer}/` : `s3:http://127.0.0.1:${proxyPort}/bucket/${peer}`,
    environment: {
      AWS_ACCESS_KEY_ID: key.id,
      AWS_SECRET_ACCESS_KEY: key.secret,
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    },
    async close() {
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map((child) => child.exitCode === null && child.signalCode === null && once(child, 'exit')));
    },
  };
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
