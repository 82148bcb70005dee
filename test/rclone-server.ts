/** `rclone serve restic` over a folder, on loopback, for as long as a test lasts. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { peer, requirePeer } from './peers.ts';

export type RcloneServer = {
  /** Ends in a slash; holds no user. */
  url: URL;
  /** Ends the server, as a crash would. */
  kill(): Promise<void>;
};

export const user = { name: 'holdfast', password: 'p@ss:w/rd' } as const;

/** Files of certificates, in PEM: one of a server on 127.0.0.1, one of a client, and who signed both. */
export type Certificates = { ca: string; server: string; serverKey: string; client: string; clientKey: string };

type ServerOptions = { appendOnly?: boolean; basicAuth?: boolean; certificates?: Certificates; port?: number };

/**
 * Whether servers can be started here. When not, the file's tests are skipped, as one.
 * @throws when a program is missing in CI.
 */
export function requireServers(): boolean {
  const missing = (['rclone', 'openssl'] as const).filter((name) => peer(name) === undefined);
  if (missing.length > 0) test('storages behind rclone', (t) => void missing.map((name) => requirePeer(t, name)));
  return missing.length === 0;
}

export async function serveRestic(t: TestContext, folder: string, options: ServerOptions = {}): Promise<RcloneServer> {
  const { appendOnly, basicAuth, certificates, port = 0 } = options;
  const args = ['serve', 'restic', '--addr', `127.0.0.1:${port}`, '--config', '/dev/null', folder];
  if (appendOnly) args.push('--append-only');
  if (certificates) args.push('--cert', certificates.server, '--key', certificates.serverKey, '--client-ca', certificates.ca);
  const authorization = basicAuth ? { RCLONE_USER: user.name, RCLONE_PASS: user.password } : {};
  const child = spawn(peer('rclone') ?? 'rclone', args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...authorization } });
  t.after(() => end(child));
  return { url: new URL(await addressOf(child)), kill: () => end(child) };
}

/** A URL of a `rest:` storage, with the user of {@link serveRestic}. */
export function restUrl({ url }: RcloneServer, path = '', { basicAuth = false } = {}): string {
  const full = new URL(path, url);
  if (basicAuth) {
    full.username = user.name;
    full.password = encodeURIComponent(user.password);
  }
  return `rest:${full}`;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** The server says where it listens once it does; its log is read on, lest it blocks. */
function addressOf({ stderr }: ChildProcess): Promise<string> {
  let log = '';
  return new Promise((resolve, reject) => {
    stderr?.setEncoding('utf8').on('data', (text) => {
      if (log.length < 100_000) log += text;
      const address = /Serving restic REST API on \[?(https?:\/\/[^\s\]]+)/.exec(log)?.[1];
      if (address !== undefined) resolve(address);
    });
    stderr?.on('end', () => reject(new Error(`rclone ended: ${log}`)));
  });
}

/** Makes certificates that are valid for two days. */
export function certificatesIn(folder: string): Certificates {
  const at = (name: string) => join(folder, name);
  const run = (...args: string[]) => execFileSync(peer('openssl') ?? 'openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  run('req', '-x509', ...newKey, '-keyout', at('ca.key'), '-out', at('ca.pem'), '-days', '2', '-subj', '/CN=holdfast-test-ca');
  writeFileSync(at('extensions'), 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n');
  for (const name of ['server', 'client']) {
    run('req', ...newKey, '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`), '-subj', `/CN=${name}`);
    const signed = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2', '-extfile', at('extensions')];
    run('x509', '-req', '-in', at(`${name}.csr`), ...signed, '-out', at(`${name}.pem`));
  }
  return { ca: at('ca.pem'), server: at('server.pem'), serverKey: at('server.key'), client: at('client.pem'), clientKey: at('client.key') };
}
