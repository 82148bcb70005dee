import { rename, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { getRequestListener } from '@hono/node-server';
import { type Listen, parseListen } from '../control/configuration/listen.ts';
import type { ControlPlane } from '../control/control-plane.ts';
import { HoldfastError } from '../model/errors.ts';
import { type Bindings, createApp, type Extra } from './app.ts';
import { openOrReplaceApiDatabase } from './auth/database.ts';
import { createRateLimit } from './auth/limits.ts';
import type { Way } from './auth/origin.ts';
import { createTokens } from './auth/tokens.ts';
import { readCertificate, renewCertificate } from './certificate.ts';
import { createEventFeed, type EventFeed } from './event-feed.ts';
import { createIdempotencyKeys } from './idempotency.ts';
import { closeServer, open } from './listening.ts';
import { createTurns } from './turns.ts';

export type ServerOptions = {
  /** The daemon's: tokens, the local socket and the address are in it. Mode 0700. */
  folder: string;
  /** Told of what an operator should know, and of defects. */
  onProblem(message: string): void;
  /** Documents beside the contract's. */
  extras?: readonly Extra[];
  /** Requests a second of one token, or of one address without any, and how many at once after a pause. Default 200 and 400. */
  rate?: { perSecond: number; burst: number };
  /** How often it is looked for a renewed certificate. Default 10,000. */
  certificateEveryMs?: number;
  /** Milliseconds since 1970; default the system's clock. */
  now?: () => number;
  /** How long slow clients are waited for, in milliseconds, where it is not as usual: a test's own. */
  patience?: Partial<typeof serverSettings>;
};

export type RunningServer = {
  /** Where the configuration has it listen: `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`. */
  address: string;
  /** Lets answers that are under way end, for a moment. */
  stop(): Promise<void>;
};

/** Files of the daemon's folder. */
export const apiDatabaseFile = (folder: string): string => join(folder, 'api.sqlite');
const addressFile = (folder: string): string => join(folder, 'address');
const localSocket = (folder: string): string => join(folder, 'api.sock');

/** sun_path of unix(7), with its end. */
const longestSocketPath = 107;

/**
 * Serves the API where the configuration says, and on a socket in the folder, by which this host's commands come without a token.
 * Both are open when it returns. @throws `configuration` when it cannot listen there.
 */
export async function startServer(plane: ControlPlane, options: ServerOptions): Promise<RunningServer> {
  const { folder, onProblem, certificateEveryMs = 10_000, now = Date.now } = options;
  const settings = { ...serverSettings, ...options.patience };
  const { listen: text, tls, behindProxy } = plane.configuration().daemon;
  const listen = parseListen(text);
  if (listen === undefined) throw new HoldfastError('configuration', `daemon.listen is neither HOST:PORT nor a path: ${text}`);
  if (listen.kind === 'address' && !listen.loopback && tls === undefined && !behindProxy)
    throw new HoldfastError('configuration', `the API would send tokens in the clear at ${text}`, {
      remedy: 'set daemon.tls, or daemon.behindProxy when a reverse proxy does TLS',
    });

  const { database, replaced } = openOrReplaceApiDatabase(apiDatabaseFile(folder), now());
  if (replaced !== undefined) onProblem(`the tokens of the API were damaged, and none holds: make new ones; the old file is ${replaced}`);
  const stopping = new AbortController();
  const feed = createEventFeed(plane, now);
  const app = appOf(plane, options, { database, feed, stopping: stopping.signal });
  // It replaces the global Response by one that knows its body: what is at hand is written as it is, and copied nowhere.
  const handlerOf = (way: Way) => getRequestListener((request, env) => app.fetch(request, { ...env, way } as Bindings));

  const servers: Server[] = [];
  const close = async () => {
    stopping.abort(new HoldfastError('interrupted', 'the daemon ends'));
    const closed = servers.map((server) => closeServer(server));
    await Promise.all(closed);
    feed.close();
    database.close();
    await rm(addressFile(folder), { force: true });
  };
  try {
    const server =
      listen.kind === 'address' && tls !== undefined
        ? createHttpsServer({ ...settings, handshakeTimeout: settings.headersTimeout, ...readCertificate(tls) })
        : createHttpServer(settings);
    servers.push(server);
    server.on('request', handlerOf(wayOf(listen, behindProxy)));
    const address = await open(server, listen, { secure: tls !== undefined, onProblem });
    if (tls !== undefined && listen.kind === 'address')
      renewCertificate(server as HttpsServer, tls, { everyMs: certificateEveryMs, onProblem, signal: stopping.signal });
    const path = localSocket(folder);
    const local = Buffer.byteLength(path) <= longestSocketPath && (listen.kind !== 'socket' || listen.path !== path);
    if (local) {
      const own = createHttpServer(settings);
      servers.push(own);
      own.on('request', handlerOf({ local: true, hosts: undefined, behindProxy: false }));
      await open(own, { kind: 'socket', path }, { secure: false, onProblem });
    }
    await writeAddress(folder, local ? `unix:${path}` : address);
    return { address, stop: close };
  } catch (error) {
    await close();
    throw error;
  }
}

type Parts = { database: DatabaseSync; feed: EventFeed; stopping: AbortSignal };

function appOf(plane: ControlPlane, options: ServerOptions, { database, feed, stopping }: Parts): ReturnType<typeof createApp> {
  const { onProblem, extras = [], rate = { perSecond: 200, burst: 400 }, now = Date.now } = options;
  return createApp({
    served: {
      plane,
      keys: createIdempotencyKeys(database, plane, now),
      changes: createRateLimit({ perSecond: 1, burst: 200 }),
      readers: createTurns({ atOnce: 2, waiting: 16 }),
      now,
    },
    tokens: createTokens(database),
    feed,
    extras,
    onDefect: (error) => onProblem(`the API has a defect: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
    stopping,
    rate,
  });
}

/** Who sends slowly, or asks for nothing, is let go. */
const serverSettings = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 10_000,
  connectionsCheckingInterval: 2_000,
};

function wayOf(listen: Listen, behindProxy: boolean): Way {
  if (listen.kind === 'socket') return { local: !behindProxy, hosts: undefined, behindProxy };
  // Elsewhere it is found by names that only its operator knows.
  if (!listen.loopback || behindProxy) return { local: false, hosts: undefined, behindProxy };
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return { local: false, hosts: new Set(['localhost', '127.0.0.1', '[::1]', host.toLowerCase()]), behindProxy: false };
}

async function writeAddress(folder: string, address: string): Promise<void> {
  const file = addressFile(folder);
  await writeFile(`${file}.new`, `${address}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
