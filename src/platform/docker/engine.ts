/** A connection to a Docker Engine (or Podman's service), and its failures as errors of the catalogue. */
import { once } from 'node:events';
import { Agent as HttpsAgent } from 'node:https';
import Docker from 'dockerode';
import { HoldfastError } from '../../model/errors.ts';
import { describeEndpoint, type Endpoint } from './endpoint.ts';
import { createSshAgent } from './ssh-agent.ts';

export type DockerEngine = {
  /** For calls; each through `call`, which bounds their time and turns failures into errors. */
  docker: Docker;
  /** For messages: holds no secret. */
  location: string;
  /** Whether it is reached through a socket of this host (which may lead to a virtual machine all the same). */
  socket: boolean;
  /**
   * Makes a call that answers at once. `what` completes "cannot ...". Hand `signal` to the call as `abortSignal`.
   * @param options.timeoutMs default 60 s: an Engine that is busy with a thousand containers takes its time.
   * @throws `engine-unreachable`, `engine-denied`; `engine` for all that the Engine itself refuses, with the Engine's words and, as
   * `cause.statusCode`, its status.
   */
  call<Result>(what: string, make: (signal: AbortSignal) => Promise<Result>, options?: CallOptions): Promise<Result>;
  /** Ends connections. Harmless when called twice. */
  close(): void;
};

export type CallOptions = { timeoutMs?: number; signal?: AbortSignal | undefined };

const usualTimeoutMs = 60_000;

/** Connects lazily: nothing is sent before the first call. @throws `engine-unreachable`. */
export function createDockerEngine(endpoint: Endpoint): DockerEngine {
  const location = describeEndpoint(endpoint);
  const ssh = endpoint.kind === 'ssh' ? createSshAgent(endpoint) : undefined;
  const docker = createClient(endpoint, ssh?.agent);
  return {
    docker,
    location,
    socket: endpoint.kind === 'unix',
    async call(what, make, { timeoutMs = usualTimeoutMs, signal } = {}) {
      const timeout = new AbortController();
      const settled = new AbortController();
      // Ends with the call: an answer that is a stream may take as long as it likes.
      const timer = setTimeout(() => timeout.abort(), timeoutMs);
      try {
        const either = signal === undefined ? timeout.signal : AbortSignal.any([signal, timeout.signal]);
        // Not all calls of dockerode take a signal.
        return await Promise.race([make(either), aborted(either, settled.signal)]);
      } catch (error) {
        if (signal?.aborted) throw signal.reason instanceof HoldfastError ? signal.reason : new HoldfastError('interrupted', 'interrupted');
        const timedOut = timeout.signal.aborted ? timeoutMs : undefined;
        // Where the Engine has answered, ssh has nothing to say, and would be waited for.
        const answered = error instanceof HoldfastError || (error as { statusCode?: number }).statusCode !== undefined;
        const words = ssh === undefined || answered ? '' : await ssh.lastWords();
        throw engineError(error, { what, location, timedOut, words });
      } finally {
        clearTimeout(timer);
        settled.abort();
      }
    },
    close: () => ssh?.close(),
  };
}

/** Rejects when a signal aborts; no longer waits for it when the other one does. */
async function aborted(signal: AbortSignal, settled: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, 'abort', { signal: settled });
  throw new Error('aborted');
}

function createClient(endpoint: Endpoint, sshAgent: unknown): Docker {
  // All that docker-modem would take from the environment instead is said here.
  const nothing = { host: undefined, port: undefined, ca: undefined, cert: undefined, key: undefined, timeout: undefined, pathPrefix: '/' };
  try {
    if (endpoint.kind === 'unix') return newClient({ ...nothing, socketPath: endpoint.socket, protocol: 'http' });
    if (endpoint.kind === 'ssh') return newClient({ ...nothing, host: 'docker', port: 80, protocol: 'http', agent: sshAgent });
    const { host, port, tls } = endpoint;
    const place = { ...nothing, host: host.includes(':') ? `[${host}]` : host, port };
    if (tls === undefined) return newClient({ ...place, protocol: 'http' });
    const { ca, cert, key, verify } = tls;
    const agent = new HttpsAgent({ keepAlive: true, rejectUnauthorized: verify, ...given({ ca, cert, key }) });
    return newClient({ ...place, protocol: 'https', agent });
  } catch (cause) {
    throw new HoldfastError(
      'engine-unreachable',
      `the Docker Engine at ${describeEndpoint(endpoint)} cannot be used: ${messageOf(cause)}`,
      { cause },
    );
  }
}

const newClient = (options: object): Docker => new Docker(options as Docker.DockerOptions);

const given = (values: Record<string, string | undefined>) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

type Circumstances = { what: string; location: string; timedOut: number | undefined; words: string };

function engineError(error: unknown, { what, location, timedOut, words }: Circumstances): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const { statusCode, code } = error as { statusCode?: number; code?: string };
  const said = words === '' ? '' : ` (${words})`;
  if (timedOut !== undefined) {
    return new HoldfastError(
      'engine-unreachable',
      `cannot ${what}: the Docker Engine at ${location} did not answer within ${timedOut / 1000} s${said}`,
    );
  }
  if (statusCode === 401 || statusCode === 403 || code === 'EACCES' || code === 'EPERM') {
    return new HoldfastError('engine-denied', `cannot ${what}: the Docker Engine at ${location} refuses access`, { cause: error });
  }
  if (statusCode !== undefined) {
    // The messages of causes are shown, too.
    const cause = Object.assign(new Error(withoutSecrets(messageOf(error))), { statusCode });
    return new HoldfastError('engine', `cannot ${what}: ${engineWords(error)}`, { cause });
  }
  const tls = code !== undefined && /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|EPROTO)/.test(code);
  return new HoldfastError(
    'engine-unreachable',
    tls
      ? `cannot ${what}: TLS with the Docker Engine at ${location} fails: ${tlsWords(messageOf(error))}`
      : `cannot ${what}: the Docker Engine at ${location} cannot be reached: ${messageOf(error)}${said}`,
    { cause: error, ...(tls ? { remedy: 'check DOCKER_TLS_VERIFY, and the ca.pem, cert.pem and key.pem of DOCKER_CERT_PATH' } : {}) },
  );
}

/** OpenSSL's errors are for developers: `40D3...:error:0A000412:SSL routines:ssl3_read_bytes:ssl/tls alert bad certificate:../deps/...`. */
function tlsWords(message: string): string {
  const [, reason] = /:SSL routines:[^:]*:([^:]+):/.exec(message) ?? [];
  if (reason === undefined) return message;
  // The server's answer to what it was shown, or not shown (RFC 8446, section 6.2).
  const [, alert] = /alert (.*certificate.*|unknown ca|access denied)$/.exec(reason) ?? [];
  return alert === undefined ? reason : `the Engine wants another client certificate, or any at all (${alert})`;
}

/** The Engine's own sentence, out of docker-modem's `(HTTP code 404) no such volume - get x: no such volume`. */
function engineWords(error: unknown): string {
  const { json } = error as { json?: { message?: unknown } };
  const words = typeof json?.message === 'string' ? json.message : messageOf(error).replace(/^\(HTTP code \d+\) /, '');
  return `the Docker Engine says: ${withoutSecrets(words.trim())}`;
}

/** When a volume cannot be mounted, the Engine quotes its options: `data: addr=nas,username=u,password=p: no such device`. */
export const withoutSecrets = (words: string): string =>
  words.replace(/\b((?:pass\w*|pwd|cred\w*|secret\w*|token|\w*key)\s*=).*?(?=,|: [^:,]*$|$)/gi, '$1...');

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message || ((error as NodeJS.ErrnoException).code ?? error.name) : String(error);

/** Whether the Engine said that there is no such thing. */
export const isNotFound = (error: unknown): boolean =>
  error instanceof HoldfastError && (error.cause as { statusCode?: number } | undefined)?.statusCode === 404;
