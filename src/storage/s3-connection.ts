/** Requests to a bucket, signed and sent: connections that are used again, a bound on how many there are, time limits. */
import { createHash } from 'node:crypto';
import { type ConnectionOptions, connectionsTo } from './rest-connections.ts';
import { exchange, isSource, type RestRequest, type RestResponse, type RestTransport } from './rest-transport.ts';
import { findAccess, type S3Access } from './s3-access.ts';
import { failureOf, refusalIn } from './s3-failures.ts';
import type { S3Settings } from './s3-settings.ts';
import { escaped, queryOf, signed } from './s3-sign.ts';
import type { FileSource } from './storage.ts';
import { takeTurns } from './turns.ts';

export type S3Request = {
  method: RestRequest['method'];
  /** Without one the request is about the bucket. */
  key?: string;
  query?: Readonly<Record<string, string>>;
  /** Names in small letters. */
  headers?: Readonly<Record<string, string>>;
  body?: readonly Uint8Array[] | FileSource;
  /** SHA-256 of the body, hexadecimal, if it is known; without it, the body is read twice. */
  bodyHash?: string;
};

/**
 * Sends a request. Without `read`, the answer's body is text.
 * @throws `S3Refusal` for an answer that is no success; HoldfastError when the connection fails.
 */
export type Ask = {
  (request: S3Request): Promise<{ response: RestResponse; text: string }>;
  <Result>(request: S3Request, read: (response: RestResponse) => Promise<Result>): Promise<Result>;
};

export type S3Connection = {
  /**
   * Works when it is its turn.
   * @param doing what is done, as `read` or `list`, and to what: for messages.
   * @throws as `failureOf` says.
   */
  perform<Result>(doing: string, subject: string, work: (ask: Ask) => Promise<Result>): Promise<Result>;
  /** @throws as `perform`. */
  region(): Promise<string>;
  close(): Promise<void>;
};

/** What S3 says of errors, and pages of 1,000 objects, are far shorter. */
const longestTextBytes = 16 * 1024 * 1024;

type Open = { access: S3Access; region: string; url: URL; transport: RestTransport };

/** Opens nothing yet: the first request does. */
export function connectS3(settings: S3Settings): S3Connection {
  const { connections, connectTimeoutMs, idleTimeoutMs } = settings;
  const inTurn = takeTurns(connections);
  let opened: Promise<Open> | undefined;
  /** Where the bucket was not: requests may still be under way there. */
  const left: RestTransport[] = [];
  /** How much later it is at the server than here, once it has complained. */
  let skewMs = 0;

  async function openAt(access: S3Access, region: string): Promise<Open> {
    const url = await access.bucketUrl(region);
    const options: ConnectionOptions = {
      base: new URL(url.origin),
      connections,
      authorization: undefined,
      tls: {},
      connectTimeoutMs,
      http2: false,
    };
    return { access, region, url, transport: connectionsTo(options) };
  }

  function open(): Promise<Open> {
    opened ??= findAccess(settings).then((access) => openAt(access, access.region));
    // Credentials may be there the next time.
    opened.catch(() => {
      opened = undefined;
    });
    return opened;
  }

  async function send<Result>(at: Open, subject: string, request: S3Request, read: (response: RestResponse) => Promise<Result>) {
    const { method, key = '', query = {}, headers = {}, body } = request;
    const path = `${at.url.pathname}${key.split('/').map(escaped).join('/')}`;
    const bodyHash = request.bodyHash ?? (await digestOf('sha256', body ?? [])).toString('hex');
    const credentials = await at.access.credentials();
    const signing = { region: at.region, now: new Date(Date.now() + skewMs) };
    const signable = { method, host: at.url.host, path, query, headers, bodyHash };
    const sent = credentials === undefined ? headers : signed(signable, { ...signing, credentials });
    const text = queryOf(query);
    return exchange(
      { transport: at.transport, subject, idleTimeoutMs },
      { method, path: `${path.slice(1)}${text === '' ? '' : `?${text}`}`, headers: sent, ...(body !== undefined && { parts: body }) },
      async (response) =>
        response.status < 300 ? { result: await read(response) } : { refusal: refusalIn(response, await textIn(response, method)) },
    );
  }

  /** Another try where the bucket is, when the first went to another region. */
  async function ask<Result>(subject: string, request: S3Request, read: (response: RestResponse) => Promise<Result>): Promise<Result> {
    const at = await open();
    let answer = await send(at, subject, request, read);
    const actual = answer.refusal?.bucketRegion;
    if (actual !== undefined && settings.endpoint === undefined && actual !== at.region) {
      // Another request may have found out before.
      if ((await open()) === at) {
        left.push(at.transport);
        opened = openAt(at.access, actual);
      }
      answer = await send(await open(), subject, request, read);
    }
    if (answer.refusal === undefined) return answer.result as Result;
    const { name, serverTime } = answer.refusal;
    if (name === 'RequestTimeTooSkewed' && serverTime !== undefined) skewMs = serverTime - Date.now();
    throw answer.refusal;
  }

  return {
    perform: (doing, subject, work) =>
      inTurn(async () => {
        try {
          const whole = async (response: RestResponse) => ({ response, text: await textIn(response, 'GET') });
          return await work(<Result>(request: S3Request, read?: (response: RestResponse) => Promise<Result>) =>
            ask(subject, request, read ?? (whole as never)),
          );
        } catch (error) {
          throw failureOf(error, doing, subject);
        }
      }),
    async region() {
      try {
        return (await open()).region;
      } catch (error) {
        throw failureOf(error, 'reach', settings.location);
      }
    },
    async close() {
      const closing = opened;
      opened = undefined;
      const at = await closing?.catch(() => undefined);
      at?.access.close();
      await Promise.all([at?.transport, ...left.splice(0)].map((transport) => transport?.close()));
    },
  };
}

/** Of a body that is read for it. */
export async function digestOf(algorithm: 'sha256' | 'md5', body: readonly Uint8Array[] | FileSource): Promise<Buffer> {
  const digest = createHash(algorithm);
  for await (const part of isSource(body) ? body.pieces() : body) digest.update(part);
  return digest.digest();
}

async function textIn({ body }: RestResponse, method: string): Promise<string> {
  if (method === 'HEAD') return '';
  const chunks: Uint8Array[] = [];
  let received = 0;
  for await (const chunk of body) {
    received += chunk.length;
    if (received > longestTextBytes) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
