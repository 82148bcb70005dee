/** `redis-data`: the dump of a real Redis, which listens on a Unix socket in the scratch folder only and ends with the demo. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type Random, randomFrom } from '../../bench/random.ts';
import { DemoFailure } from './holdfast.ts';
import { endWithDemo } from './programs.ts';
import { hex, sentence } from './texts.ts';

/** The longest path that fits into a Unix socket's address. */
const longestSocketPath = 107;
const startTimeoutMs = 10_000;

export type Redis = {
  /** Adds sessions and queued tasks and has them saved to dump.rdb. Returns the number of keys in the database. */
  fill(sessions: number, seed: string): Promise<number>;
  countKeys(): Promise<number>;
  stop(): Promise<void>;
};

export const fitsSocket = (folder: string): boolean => Buffer.byteLength(join(folder, 'redis.sock')) <= longestSocketPath;

/** Starts a Redis on the folder of its data. @throws DemoFailure when it does not come up. */
export async function startRedis(server: string, dataFolder: string, socketFolder: string): Promise<Redis> {
  const socketPath = join(socketFolder, 'redis.sock');
  const settings = [
    '--port',
    '0',
    '--unixsocket',
    socketPath,
    '--unixsocketperm',
    '700',
    '--dir',
    dataFolder,
    '--save',
    '',
    '--daemonize',
    'no',
  ];
  const child = endWithDemo(spawn(server, settings, { stdio: 'ignore', cwd: socketFolder }));
  const ended = once(child, 'exit');
  const socket = await connectWhenUp(socketPath, ended);
  const send = talk(socket);
  await waitUntilLoaded(send);
  const countKeys = async (): Promise<number> => (await send([['DBSIZE']]))[0] as number;
  return {
    countKeys,
    async fill(sessions, seed) {
      await send(commands(sessions, randomFrom(seed)));
      await send([['SAVE']]);
      return countKeys();
    },
    async stop() {
      socket.destroy();
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function connectWhenUp(path: string, ended: Promise<unknown>): Promise<Socket> {
  let hasEnded = false;
  ended.then(
    () => {
      hasEnded = true;
    },
    () => {
      hasEnded = true;
    },
  );
  for (const startedMs = performance.now(); performance.now() - startedMs < startTimeoutMs && !hasEnded; ) {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
      return socket;
    } catch {
      // Not listening yet: Redis offers nothing else to wait for.
      await setTimeout(20);
    }
  }
  throw new DemoFailure('redis-server is installed, but did not start');
}

/** While Redis reads its dump it answers anything but with an error that begins so. */
async function waitUntilLoaded(send: Send): Promise<void> {
  for (const startedMs = performance.now(); ; await setTimeout(20)) {
    try {
      await send([['PING']]);
      return;
    } catch (error) {
      const loading = error instanceof DemoFailure && error.message.includes('LOADING');
      if (!loading || performance.now() - startedMs > startTimeoutMs) throw error;
    }
  }
}

function commands(sessions: number, random: Random): string[][] {
  return Array.from({ length: sessions }, (_, number) => {
    if (number % 5 === 0)
      return ['LPUSH', `queue:${random.below(20)}`, JSON.stringify({ id: hex(random, 16), task: sentence(random, 30) })];
    return ['HSET', `session:${hex(random, 32)}`, 'user', sentence(random, 3), 'token', hex(random, 64), 'state', sentence(random, 90)];
  });
}

type Send = (commands: readonly string[][]) => Promise<(number | string)[]>;

/** The Redis protocol (RESP), as far as commands need it whose replies are one line: https://redis.io/docs/latest/develop/reference/protocol-spec/ */
function talk(socket: Socket): Send {
  return async (list) => {
    const request = list.map(
      (parts) => `*${parts.length}\r\n${parts.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`,
    );
    const replies = readReplies(socket, list.length);
    socket.write(request.join(''));
    return replies;
  };
}

function readReplies(socket: Socket, count: number): Promise<(number | string)[]> {
  return new Promise((resolve, reject) => {
    let text = '';
    const settle = (error?: Error): void => {
      socket.off('data', onData).off('error', settle).off('close', onClose);
      if (error) return reject(error);
      const lines = text.split('\r\n').slice(0, count);
      const complaint = lines.find((line) => line.startsWith('-'));
      if (complaint !== undefined) return reject(new DemoFailure(`Redis says: ${complaint.slice(1)}`));
      resolve(lines.map((line) => (line.startsWith(':') ? Number(line.slice(1)) : line.slice(1))));
    };
    let seen = 0;
    const onData = (data: Buffer): void => {
      const part = data.toString('latin1');
      for (let at = part.indexOf('\n'); at >= 0; at = part.indexOf('\n', at + 1)) seen += 1;
      text += part;
      if (seen >= count) settle();
    };
    const onClose = (): void => settle(new DemoFailure('Redis closed the connection'));
    socket.on('data', onData).on('error', settle).on('close', onClose);
  });
}

/** In place of Redis where there is none: as many bytes of the like, which no Redis could load. */
export function writePretendedDump(dataFolder: string, sessions: number, seed: string): void {
  const random = randomFrom(seed);
  writeFileSync(join(dataFolder, 'dump.rdb'), `REDIS0011${commands(sessions, random).flat().join('\n')}`);
}
