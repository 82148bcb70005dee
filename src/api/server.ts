import { readFileSync } from 'node:fs';
import { chmod, lstat, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { type Listen, parseListen } from '../control/configuration/listen.ts';
import type { ControlPlane } from '../control/control-plane.ts';
import { HoldfastError } from '../model/errors.ts';
import { type Bindings, createApp, type Extra } from './app.ts';
import { openOrReplaceApiDatabase } from './auth/database.ts';
import { createRateLimit } from './auth/limits.ts';
import type { Way } from './auth/origin.ts';
import { createTokens } from './auth/tokens.ts';
import { createEventFeed } from './event-feed.ts';
import { createIdempotencyKeys } from './idempotency.ts';
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
const graceMs = 2_000;

/**
 * Serves the API where the configuration says, and on a socket in the folder, by which this host's commands come without a token.
 * Both are open when it returns. @throws `configuration` when it cannot listen there.
 */
export async function startServer(plane: ControlPlane, options: ServerOptions): Promise<RunningServer> {
  const { folder, onProblem, now = Date.now } = options;
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
  const app = createApp({
    served: {
      plane,
      keys: createIdempotencyKeys(database, plane, now),
      changes: createRateLimit({ perSecond: 1, burst: 200 }),
      readers: createTurns({ atOnce: 2, waiting: 16 }),
      now,
    },
    tokens: createTokens(database),
    feed,
    extras: options.extras ?? [],
    onDefect: (error) => onProblem(`the API has a defect: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
    stopping: stopping.signal,
    rate: options.rate ?? { perSecond: 200, burst: 400 },
  });
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
    const address = await open(server, listen, tls !== undefined);
    if (tls !== undefined && listen.kind === 'address') renewCertificate(server as HttpsServer, tls, options, stopping.signal);
    const path = localSocket(folder);
    const local = Buffer.byteLength(path) <= longestSocketPath && (listen.kind !== 'socket' || listen.path !== path);
    if (local) {
      const own = createHttpServer(settings);
      servers.push(own);
      own.on('request', handlerOf({ local: true, hosts: undefined, behindProxy: false }));
      await open(own, { kind: 'socket', path }, false);
    }
    await writeAddress(folder, local ? `unix:${path}` : address);
    return { address, stop: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Who sends slowly, or asks for nothing, is let go. A stalled reader of an answer, too, but later: reading a repository takes its time. */
const serverSettings = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 10_000,
  connectionsCheckingInterval: 2_000,
};
const stalledMs = 11 * 60_000;
const mostConnections = 600;

function wayOf(listen: Listen, behindProxy: boolean): Way {
  if (listen.kind === 'socket') return { local: !behindProxy, hosts: undefined, behindProxy };
  // Elsewhere it is found by names that only its operator knows.
  if (!listen.loopback || behindProxy) return { local: false, hosts: undefined, behindProxy };
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return { local: false, hosts: new Set(['localhost', '127.0.0.1', '[::1]', host.toLowerCase()]), behindProxy: false };
}

async function open(server: Server, listen: Listen, secure: boolean): Promise<string> {
  server.setTimeout(stalledMs);
  server.maxConnections = mostConnections;
  if (listen.kind === 'socket') await removeDeadSocket(listen.path);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  // From its first moment nobody else can open it.
  const previous = process.umask(0o177);
  try {
    server.listen(listen.kind === 'socket' ? { path: listen.path } : { host: listen.host, port: listen.port }, resolve);
  } finally {
    process.umask(previous);
  }
  await promise.catch((cause: NodeJS.ErrnoException) => {
    const where = listen.kind === 'socket' ? listen.path : `${listen.host}:${listen.port}`;
    const remedy = cause.code === 'EADDRINUSE' ? 'end what listens there, or set another daemon.listen' : 'set another daemon.listen';
    throw new HoldfastError('configuration', `the API cannot listen at ${where} (${cause.code})`, { cause, remedy });
  });
  server.removeListener('error', reject);
  if (listen.kind === 'socket') {
    await chmod(listen.path, 0o600);
    return `unix:${listen.path}`;
  }
  const { address, port } = server.address() as AddressInfo;
  const host = listen.host === 'localhost' ? 'localhost' : address.includes(':') ? `[${address}]` : address;
  return `${secure ? 'https' : 'http'}://${host}:${port}`;
}

/** A socket that a killed daemon left. Never one that somebody listens on, or another kind of file. */
async function removeDeadSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (!found?.isSocket()) return;
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect({ path });
    // One that is too busy to take another, or takes another kind, is alive.
    probe.once('connect', () => resolve(true)).once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED'));
    probe.unref();
    probe.once('connect', () => probe.destroy());
  });
  if (!alive) await rm(path, { force: true });
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}

async function writeAddress(folder: string, address: string): Promise<void> {
  const file = addressFile(folder);
  await writeFile(`${file}.new`, `${address}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

type TlsFiles = { certificate: string; key: string };

/** @throws `configuration` naming the file. */
function readCertificate({ certificate, key }: TlsFiles): { cert: Buffer; key: Buffer } {
  const read = (file: string) => {
    try {
      return readFileSync(file);
    } catch (cause) {
      throw new HoldfastError('configuration', `${file} of daemon.tls cannot be read`, { cause, file });
    }
  };
  return { cert: read(certificate), key: read(key) };
}

/** Takes a renewed certificate without a restart; one that does not fit its key changes nothing, and is told of. */
function renewCertificate(
  server: HttpsServer,
  tls: TlsFiles,
  { onProblem, certificateEveryMs = 10_000 }: ServerOptions,
  stopping: AbortSignal,
): void {
  const signature = async () => {
    const found = await Promise.all([tls.certificate, tls.key].map((file) => stat(file).catch(() => undefined)));
    return found.map((one) => `${one?.ino} ${one?.mtimeMs} ${one?.size}`).join();
  };
  let seen = signature();
  const timer = setInterval(async () => {
    const [before, current] = [await seen, await signature()];
    if (before === current) return;
    seen = Promise.resolve(current);
    try {
      server.setSecureContext(readCertificate(tls));
    } catch (error) {
      onProblem(`the new certificate of the API is not used: ${error instanceof Error ? error.message : String(error)}`);
    }
  }, certificateEveryMs);
  timer.unref();
  stopping.addEventListener('abort', () => clearInterval(timer), { once: true });
}
