/**
 * Where the Engine is: as the `docker` program decides it (docs.docker.com/engine/manage-resources/contexts and
 * docs.docker.com/reference/cli/docker/#environment-variables), and then the sockets that rootless Docker, Docker Desktop and Podman have.
 */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';

export type Endpoint =
  | { kind: 'unix'; socket: string }
  | { kind: 'tcp'; host: string; port: number; tls: TlsFiles | undefined }
  | { kind: 'ssh'; destination: string; port: number | undefined };

/** PEM texts. */
export type TlsFiles = { ca: string | undefined; cert: string | undefined; key: string | undefined; verify: boolean };

export type EndpointOptions = {
  /** `--docker-host`: goes before all else. */
  host?: string;
  environment: Readonly<Record<string, string | undefined>>;
  /** The user's home; undefined when there is none. */
  home: string | undefined;
  /** The user's number, for the place of a rootless socket; undefined where there is none. */
  uid: number | undefined;
};

/** @throws `usage` for an address that is none; `engine-unreachable` when a context or a certificate is missing, or no socket is there. */
export async function findEndpoint(options: EndpointOptions): Promise<Endpoint> {
  const { environment, home } = options;
  const folder = environment.DOCKER_CONFIG || (home === undefined ? undefined : join(home, '.docker'));
  const host = options.host || environment.DOCKER_HOST;
  if (host) return parseHost(host, () => tlsOfEnvironment(environment, folder));
  const context = environment.DOCKER_CONTEXT || (await currentContext(folder));
  if (context !== undefined && context !== 'default') return endpointOfContext(context, folder);
  return { kind: 'unix', socket: await firstSocket(defaultSockets(options)) };
}

/** Whether the user said where the Engine is: then its absence is a mistake, and not merely a host without one. */
export const isEndpointGiven = ({ host, environment }: EndpointOptions): boolean =>
  Boolean(host || environment.DOCKER_HOST || environment.DOCKER_CONTEXT);

/** Sockets of the default engine, by preference. */
export function defaultSockets({ environment, home, uid }: EndpointOptions): string[] {
  const runtime = environment.XDG_RUNTIME_DIR || (uid === undefined ? undefined : `/run/user/${uid}`);
  return [
    '/var/run/docker.sock',
    ...(runtime === undefined ? [] : [join(runtime, 'docker.sock')]),
    ...(home === undefined ? [] : [join(home, '.docker', 'run', 'docker.sock'), join(home, '.docker', 'desktop', 'docker.sock')]),
    ...(uid === 0 ? ['/run/podman/podman.sock'] : []),
    ...(runtime === undefined ? [] : [join(runtime, 'podman', 'podman.sock')]),
  ];
}

/** For messages: without user names and passwords that somebody may have put into the address. */
export function describeEndpoint(endpoint: Endpoint): string {
  if (endpoint.kind === 'unix') return endpoint.socket;
  if (endpoint.kind === 'ssh') return `ssh://${endpoint.destination.replace(/^.*@/, '')}`;
  return `tcp://${endpoint.host}:${endpoint.port}`;
}

async function firstSocket(sockets: readonly string[]): Promise<string> {
  for (const socket of sockets) if (await isThere(socket)) return socket;
  throw new HoldfastError('engine-unreachable', `there is no Docker Engine here: none of these sockets is there: ${sockets.join(', ')}`);
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    // Who may not look may still be told why when it connects.
    (error: NodeJS.ErrnoException) => error.code === 'EACCES',
  );
}

async function parseHost(host: string, tls: () => Promise<TlsFiles | undefined>): Promise<Endpoint> {
  const socket = /^unix:\/\/(.+)$/.exec(host)?.[1] ?? (host.startsWith('/') ? host : undefined);
  if (socket !== undefined) return { kind: 'unix', socket };
  const url = URL.canParse(host) ? new URL(host) : undefined;
  if (url?.protocol === 'ssh:' && url.hostname !== '') return sshEndpoint(url);
  if (url !== undefined && ['tcp:', 'http:', 'https:'].includes(url.protocol) && url.hostname !== '') {
    const files = await tls();
    const secure = files ?? (url.protocol === 'https:' ? { ca: undefined, cert: undefined, key: undefined, verify: true } : undefined);
    return { kind: 'tcp', host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port) || (secure ? 2376 : 2375), tls: secure };
  }
  throw new HoldfastError('usage', 'the address of the Docker Engine is none that Holdfast knows', {
    remedy: 'give unix:///path/to/docker.sock, tcp://HOST:PORT or ssh://[USER@]HOST (--docker-host or DOCKER_HOST)',
  });
}

function sshEndpoint(url: URL): Endpoint {
  const user = decodeURIComponent(url.username);
  // The program takes what begins with a dash for an option.
  if (url.password !== '' || url.hostname.startsWith('-') || user.startsWith('-')) {
    throw new HoldfastError('usage', 'the address of the Docker Engine is no ssh:// address that can be used', {
      remedy: 'give ssh://[USER@]HOST[:PORT], without a password: ssh takes keys from its agent and configuration',
    });
  }
  const destination = user === '' ? url.hostname : `${user}@${url.hostname}`;
  const port = url.port === '' ? undefined : Number(url.port);
  return { kind: 'ssh', destination, port };
}

async function tlsOfEnvironment(environment: EndpointOptions['environment'], folder: string | undefined): Promise<TlsFiles | undefined> {
  const verify = Boolean(environment.DOCKER_TLS_VERIFY);
  if (!verify && !environment.DOCKER_TLS) return undefined;
  const place = environment.DOCKER_CERT_PATH || folder;
  if (place === undefined) return { ca: undefined, cert: undefined, key: undefined, verify };
  return readTls(place, verify);
}

/** A certificate without its key, or the other way round, is a mistake. */
async function readTls(folder: string, verify: boolean): Promise<TlsFiles> {
  const [ca, cert, key] = await Promise.all(['ca.pem', 'cert.pem', 'key.pem'].map((name) => readOptional(join(folder, name))));
  if ((cert === undefined) !== (key === undefined)) {
    throw new HoldfastError(
      'engine-unreachable',
      `${folder} holds ${cert === undefined ? 'a key.pem without cert.pem' : 'a cert.pem without key.pem'}`,
      {
        file: folder,
        remedy: 'put ca.pem, cert.pem and key.pem there, or correct DOCKER_CERT_PATH',
      },
    );
  }
  return { ca, cert, key, verify };
}

async function currentContext(folder: string | undefined): Promise<string | undefined> {
  if (folder === undefined) return undefined;
  const text = await readOptional(join(folder, 'config.json'));
  const context = text === undefined ? undefined : parseJson(text, join(folder, 'config.json')).currentContext;
  return typeof context === 'string' && context !== '' ? context : undefined;
}

type ContextMeta = { Endpoints?: { docker?: { Host?: string; SkipTLSVerify?: boolean } } };

async function endpointOfContext(name: string, folder: string | undefined): Promise<Endpoint> {
  const id = createHash('sha256').update(name).digest('hex');
  const file = join(folder ?? '', 'contexts', 'meta', id, 'meta.json');
  const text = await readOptional(file);
  const meta = text === undefined ? undefined : (parseJson(text, file) as ContextMeta).Endpoints?.docker;
  if (meta?.Host === undefined) {
    throw new HoldfastError('engine-unreachable', `there is no Docker context ${JSON.stringify(name)}`, {
      file,
      remedy: 'run `docker context ls`, or name the Engine with --docker-host',
    });
  }
  const tls = async () => {
    const files = await readTls(join(folder ?? '', 'contexts', 'tls', id, 'docker'), meta.SkipTLSVerify !== true);
    return files.ca === undefined && files.cert === undefined ? undefined : files;
  };
  return parseHost(meta.Host, tls);
}

function parseJson(text: string, file: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // What is in it may be a credential: the parser's message, which quotes it, is not passed on.
  }
  throw new HoldfastError('engine-unreachable', `${file} is not JSON`, {
    file,
    remedy: 'correct it, or name the Engine with --docker-host',
  });
}

/** Text of a file; undefined when there is none. @throws `engine-unreachable` when it cannot be read. */
async function readOptional(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new HoldfastError('engine-unreachable', `${file} cannot be read: ${code}`, { file, cause });
  }
}
