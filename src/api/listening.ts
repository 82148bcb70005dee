import { chmod, lstat, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { Listen } from '../control/configuration/listen.ts';
import { HoldfastError } from '../model/errors.ts';

/** Servers begin to listen, and end. */

/** A stalled reader of an answer is let go, but late: reading a repository takes its time. */
const stalledMs = 11 * 60_000;
const mostConnections = 600;
const graceMs = 2_000;

export type Opening = {
  /** By TLS. */
  secure: boolean;
  /** Told of connections that could not be taken. */
  onProblem(message: string): void;
};

/** Returns the address. @throws `configuration` when it cannot listen there. */
export async function open(server: Server, listen: Listen, { secure, onProblem }: Opening): Promise<string> {
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
  // Without somebody who hears of it, it would end the daemon.
  server.on('error', ({ message }) => onProblem(`the API could not take a connection: ${message}`));
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

/** Lets answers that are under way end, for a moment. */
export async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}
