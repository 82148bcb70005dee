import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { isLoopback } from '../control/configuration/listen.ts';
import { catalogue, type ErrorCode, HoldfastError } from '../model/errors.ts';
import {
  type AnswerOf,
  type BodyOf,
  basePath,
  type EventsOperation,
  type JsonOperation,
  type Operation,
  operations,
  type ParametersOf,
  type QueryOf,
} from './contract/operations.ts';
import type { Problem } from './contract/problem.ts';
import { linesOf } from './resources/lines.ts';

/** The API, called from a program. All that it knows of it is the contract. */
export type ApiClient = {
  /** @throws what the server says went wrong, as an error of the catalogue; `daemon-unreachable`. */
  call<Id extends JsonOperation>(id: Id, given?: Given<Id>): Promise<AnswerOf<Id>>;
  /** All items of a list, page by page. */
  all<Id extends ListOperation>(id: Id, given?: Given<Id>): AsyncGenerator<ItemOf<Id>>;
  /** Events as they come, until the server ends them. @throws as `call`. */
  follow<Id extends EventsOperation>(id: Id, given?: Given<Id> & { lastEventId?: string }): AsyncGenerator<ServerEvent>;
};

export type ServerEvent = { event: string; id: string | undefined; data: unknown };

export type Given<Id extends keyof typeof operations> = {
  parameters?: ParametersOf<Id>;
  query?: QueryOf<Id>;
  body?: BodyOf<Id>;
  /** Of operations that start something: asked again with the same, nothing is started twice. */
  idempotencyKey?: string;
};

type ItemOf<Id extends JsonOperation> = AnswerOf<Id> extends { items: (infer Item)[] } ? Item : never;
type ListOperation = { [Id in JsonOperation]: AnswerOf<Id> extends { items: unknown[] } ? Id : never }[JsonOperation];

export type ClientOptions = {
  /** `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`. */
  address: string;
  /** Not needed by the socket. */
  token?: string;
  signal?: AbortSignal;
};

const answerMs = 11 * 60_000;
/** Longer than the server is silent between events. */
const silenceMs = 60_000;
const mostAnswerBytes = 256 * 1024 * 1024;
const mostEventBytes = 16 * 1024 * 1024;

/** The address of the daemon whose folder it is. @throws `daemon-unreachable` when none runs. */
export function addressOfDaemon(folder: string): string {
  try {
    return readFileSync(join(folder, 'address'), 'utf8').trim();
  } catch {
    throw new HoldfastError('daemon-unreachable', 'no daemon of this project runs on this host');
  }
}

/** @throws `usage` for an address that is none, or by which the token would travel in the clear. */
export function createClient({ address, token, signal }: ClientOptions): ApiClient {
  const target = targetOf(address, token);

  const send = (
    id: keyof typeof operations,
    { parameters, query, body, ...headers }: SendOptions,
    timeoutMs: number,
  ): Promise<IncomingMessage> => {
    const operation: Operation = operations[id];
    const values = new Map(Object.entries(parameters ?? {}));
    const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values.get(name) ?? '')));
    const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
    const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    const text = body === undefined ? undefined : JSON.stringify(body);
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const options = {
      ...target.options,
      method: operation.method.toUpperCase(),
      path: `${target.prefix}${basePath}${path}${search && `?${search}`}`,
      agent: false,
      timeout: timeoutMs,
      ...(signal ? { signal } : {}),
      headers: {
        Accept: 'application/json, text/event-stream',
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        ...(text === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }),
        ...(headers.idempotencyKey === undefined ? {} : { 'Idempotency-Key': headers.idempotencyKey }),
        ...(headers.lastEventId === undefined ? {} : { 'Last-Event-ID': headers.lastEventId }),
      },
    };
    const request = (target.secure ? httpsRequest : httpRequest)(options, resolve);
    request.once('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs / 1_000} s`)));
    request.once('error', (cause) => reject(signal?.aborted ? signal.reason : unreachable(target.shown, cause)));
    request.end(text);
    return promise;
  };

  const call: ApiClient['call'] = async (id, given = {}) => {
    const response = await send(id, given as SendOptions, answerMs);
    const answer = await readJson(response, target.shown);
    if ((response.statusCode ?? 0) >= 300) throw errorOf(answer, response, target.shown);
    return answer as AnswerOf<typeof id>;
  };

  return {
    call,
    async *all(id, given = {}) {
      let cursor: string | undefined;
      do {
        const query = { limit: 100, ...given.query, ...(cursor === undefined ? {} : { cursor }) } as Given<typeof id>['query'];
        const page = (await call(id, { ...given, query })) as { items: ItemOf<typeof id>[]; next?: string };
        yield* page.items;
        // A log that goes on has a `next` without end.
        cursor = page.items.length === 0 ? undefined : page.next;
      } while (cursor !== undefined);
    },
    async *follow(id, given = {}) {
      const response = await send(id, given as SendOptions, silenceMs);
      if (response.statusCode !== 200) throw errorOf(await readJson(response, target.shown), response, target.shown);
      try {
        yield* eventsOf(response);
      } catch (cause) {
        throw signal?.aborted ? signal.reason : unreachable(target.shown, cause);
      } finally {
        response.destroy();
      }
    },
  };
}

type SendOptions = { parameters?: object; query?: object; body?: unknown; idempotencyKey?: string; lastEventId?: string };

type Target = { secure: boolean; options: { socketPath: string } | { hostname: string; port: string }; prefix: string; shown: string };

function targetOf(address: string, token: string | undefined): Target {
  if (address.startsWith('unix:'))
    return { secure: false, options: { socketPath: address.slice('unix:'.length) }, prefix: '', shown: address };
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
    throw new HoldfastError('usage', 'the address of the daemon is not http://HOST:PORT, https://HOST:PORT or unix:PATH', {
      remedy: 'give it in --server or HOLDFAST_SERVER; the token goes into HOLDFAST_TOKEN',
    });
  const secure = url.protocol === 'https:';
  const hostname = url.hostname.replace(/^\[|\]$/g, '');
  if (!secure && !isLoopback(hostname) && token !== undefined)
    throw new HoldfastError('usage', `the token would travel in the clear to ${url.host}`, { remedy: 'use an https:// address' });
  return { secure, options: { hostname, port: url.port }, prefix: url.pathname.replace(/\/+$/, ''), shown: url.origin };
}

/** Of Node's TLS: there is a daemon, which is not trusted. */
const untrusted = /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+|ERR_TLS_CERT_ALTNAME_INVALID|CERT_\w+)$/;

function unreachable(shown: string, cause: unknown): HoldfastError {
  const isUntrusted = untrusted.test(String((cause as NodeJS.ErrnoException | undefined)?.code));
  return new HoldfastError(
    'daemon-unreachable',
    `the daemon at ${shown} cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}`,
    {
      cause,
      ...(isUntrusted
        ? { remedy: 'name the PEM file of its authority in NODE_EXTRA_CA_CERTS, and in --server a name that is in its certificate' }
        : {}),
    },
  );
}

async function readJson(response: IncomingMessage, shown: string): Promise<unknown> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      size += part.length;
      if (size > mostAnswerBytes) throw new Error('the answer is too large');
      parts.push(part);
    }
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch (cause) {
    throw unreachable(shown, cause);
  }
}

/** As the server's catalogue has it; of a newer server, whose code this version does not know, with its words. */
function errorOf(answer: unknown, { statusCode }: IncomingMessage, shown: string): HoldfastError {
  const { code, detail, remedy, volume, file } = (answer ?? {}) as Partial<Problem>;
  if (typeof code !== 'string' || typeof detail !== 'string') return unreachable(shown, new Error(`it answered ${statusCode}`));
  const known: ErrorCode = Object.hasOwn(catalogue, code) ? code : 'command-failed';
  return new HoldfastError(known, detail, { remedy, volume, file });
}

async function* eventsOf(response: IncomingMessage): AsyncGenerator<ServerEvent> {
  let [event, id, data]: [string, string | undefined, string] = ['message', undefined, ''];
  for await (const line of linesOf(response as AsyncIterable<Buffer>, mostEventBytes)) {
    if (line === '') {
      if (data !== '') yield { event, id, data: JSON.parse(data) };
      [event, id, data] = ['message', undefined, ''];
    } else if (line.startsWith('event: ')) event = line.slice('event: '.length);
    else if (line.startsWith('id: ')) id = line.slice('id: '.length);
    else if (line.startsWith('data: ')) data += line.slice('data: '.length);
  }
}
