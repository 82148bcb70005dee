/** The transport of `rest:` and `s3:` storages: connections to an HTTP server that are used again, HTTP/2 where the server offers it. */
import type { Dispatcher } from 'undici';
import { HoldfastError } from '../model/errors.ts';
import type { RestRequest, RestResponse, RestTransport } from './rest-transport.ts';

const defaultConnectTimeoutMs = 30_000;
/** Shorter than servers and proxies usually keep idle connections, so that none closes one just as it is used again. */
const keepAliveMs = 20_000;
/** HTTP/2's windows: so much can be on its way to us, which a link of 100 ms and 1 Gbit/s fills. */
const streamWindowBytes = 4 * 1024 * 1024;
const connectionWindowBytes = 16 * 1024 * 1024;
/** HTTP/2: a connection that does not answer a ping by then is given up. */
const pingIntervalMs = 30_000;
/** HTTP/2: requests that share a connection; more of them open another, for one connection is one congestion window. */
const streamsPerConnection = 4;

export type ConnectionOptions = {
  /** Scheme, host, port and path; ends in a slash, holds no user. */
  base: URL;
  connections: number;
  /** Value of the header; undefined for none. */
  authorization: string | undefined;
  /** PEM. */
  tls: { ca?: Buffer; cert?: Buffer; key?: Buffer };
  /** Default 30 s. */
  connectTimeoutMs?: number;
  /** Whether HTTP/2 is used where the server offers it. Default true. */
  http2?: boolean;
};

/** Nothing is loaded or connected before the first request. */
export function connectionsTo(options: ConnectionOptions): RestTransport {
  const { base, authorization } = options;
  let pool: Promise<OpenPool> | undefined;
  const always = { 'user-agent': 'holdfast', ...(authorization === undefined ? {} : { authorization }) };

  return {
    async request({ method, path, headers, body, signal }: RestRequest): Promise<RestResponse> {
      pool ??= openPool(options);
      const sent = { method, path: `${base.pathname}${path}`, headers: { ...always, ...headers }, signal };
      // An async iterable is a body, though the types name streams only.
      const response = await (await pool).request({ ...sent, body: (body ?? null) as never }).catch((error: unknown) => {
        throw refusalOf(error, base) ?? error;
      });
      // Given up on purpose, it must not count as unhandled.
      response.body.on('error', () => undefined);
      return {
        status: response.statusCode,
        header: (name) => first(response.headers[name]),
        body: response.body,
        cancel: () => void response.body.destroy(),
      };
    },

    async close() {
      const closing = pool;
      pool = undefined;
      await (await closing)?.destroy();
    },
  };
}

type OpenPool = { request(options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData>; destroy(): Promise<void> };

async function openPool({ base, connections, tls, connectTimeoutMs, http2 }: ConnectionOptions): Promise<OpenPool> {
  const [{ default: Pool }, { default: request }] = await Promise.all([
    import('undici/lib/dispatcher/pool.js'),
    import('undici/lib/api/api-request.js'),
  ]);
  const pool = new Pool(base.origin, {
    connections,
    allowH2: http2 ?? true,
    connect: { timeout: connectTimeoutMs ?? defaultConnectTimeoutMs, keepAlive: true, ...tls },
    keepAliveTimeout: keepAliveMs,
    // Silence is measured by whoever reads and writes.
    headersTimeout: 0,
    bodyTimeout: 0,
    h2Options: {
      maxConcurrentStreams: streamsPerConnection,
      connectionWindowSize: connectionWindowBytes,
      pingInterval: pingIntervalMs,
      settings: { initialWindowSize: streamWindowBytes },
    },
  });
  return { request: (options) => request.call(pool, options), destroy: () => pool.destroy() };
}

const first = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value);

/** Certificates that one of the two sides does not accept: to try again does not help. Undefined for other failures. */
function refusalOf(error: unknown, base: URL): HoldfastError | undefined {
  const { code = '', message, reason = message.split(/[;\n]/, 1)[0] } = error as NodeJS.ErrnoException & { reason?: string };
  if (/^ERR_SSL.*ALERT.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)/.test(code)) {
    const remedy = 'name a certificate that the server accepts by the options clientCertificate and clientKey';
    return new HoldfastError('storage-denied', `${base.host} refuses this client's certificate: ${reason}`, { remedy, cause: error });
  }
  if (/CERT|UNABLE_TO_(VERIFY|GET_ISSUER)/.test(code)) {
    const remedy = 'if this is the right server, name the certificate of its authority by the option ca';
    return new HoldfastError('storage-denied', `the certificate of ${base.host} is not trusted: ${reason}`, { remedy, cause: error });
  }
  return undefined;
}
