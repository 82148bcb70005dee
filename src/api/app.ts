import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Context, Hono } from 'hono';
import { HoldfastError } from '../model/errors.ts';
import { attachment, commonHeaders, jsonResponse, problemResponse, streamOf } from './answers.ts';
import { type Authenticate, createAuthentication } from './auth/authentication.ts';
import { createRateLimit } from './auth/limits.ts';
import { addressOf, requireSameOrigin, type Way } from './auth/origin.ts';
import type { Tokens } from './auth/tokens.ts';
import { openApiDocument } from './contract/openapi.ts';
import { basePath, type Operation, type OperationId, operations } from './contract/operations.ts';
import type { EventFeed } from './event-feed.ts';
import { createPlaces, type Places } from './places.ts';
import { bodyOf, parsed, queryOf, shortHeader } from './requests.ts';
import { type Asked, type Caller, handlers, type Served, type StreamHandler } from './resources/all.ts';

/** A document beside the contract's, such as metrics: for whoever may see objectives. */
export type Extra = { path: string; answer(): Promise<{ contentType: string; body: string }> };

export type AppOptions = {
  served: Served;
  tokens: Tokens;
  feed: EventFeed;
  extras: readonly Extra[];
  /** Told of errors that are none of the catalogue. */
  onDefect(error: unknown): void;
  /** Aborts when the server ends. */
  stopping: AbortSignal;
  /** Of one token; of requests without one, of one address. */
  rate: { perSecond: number; burst: number };
};

export type Bindings = { incoming: IncomingMessage; outgoing: ServerResponse; way: Way };
type Env = { Bindings: Bindings; Variables: { caller: Caller; holds: () => boolean } };

const places = { all: 300, each: 200 };

/** The API, as a function from requests to responses. */
export function createApp(options: AppOptions): Hono<Env> {
  const { served, onDefect } = options;
  const app = new Hono<Env>();
  const authenticate = createAuthentication(options.tokens, served.plane.auditLog, served.now);
  const openApi = openApiDocument();
  const streams = createPlaces(places);
  const pace = createPace(options.rate, served.now);

  app.use(async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(commonHeaders)) if (!c.res.headers.has(name)) c.res.headers.set(name, value);
  });
  app.use(async (c, next) => {
    const { incoming, way } = c.env;
    if (incoming.method !== 'GET' && incoming.method !== 'POST')
      return new Response(null, { status: 405, headers: { Allow: 'GET, POST' } });
    requireSameOrigin(incoming, way);
    return next();
  });
  // Without a token: that there is a daemon, and nothing of how it is.
  app.get('/healthz', (c) => {
    pace.stranger(c.env);
    return c.text('ok\n');
  });
  app.use(async (c, next) => {
    const { caller, holds } = callerOf(c, authenticate, pace);
    c.set('caller', caller);
    c.set('holds', holds);
    await next();
  });
  app.get(`${basePath}/openapi.json`, (c) => jsonResponse(openApi, 200, c.req.header('If-None-Match')));
  for (const [id, operation] of Object.entries(operations) as [OperationId, Operation][]) {
    const path = basePath + operation.path.replaceAll(/\{(\w+)\}/g, ':$1');
    app.on(operation.method, path, async (c) => {
      requireRole(c.var.caller, operation.allowed, operation.summary);
      return answer(c, id, operation, options, streams);
    });
  }
  for (const { path, answer: produce } of options.extras)
    app.get(path, async (c) => {
      requireRole(c.var.caller, operations.listObjectives.allowed, path);
      const { contentType, body } = await produce();
      return new Response(body, { headers: { 'Content-Type': contentType } });
    });
  app.notFound((c) => problemResponse(new HoldfastError('resource-missing', `there is no ${c.req.path.slice(0, 200)} here`), onDefect));
  app.onError((error) => problemResponse(error, onDefect));
  return app;
}

/** Limits of rates. Who has a token has one of his own: nobody who shares his address can use it up. @throws `too-many-requests`. */
type Pace = { caller(caller: Caller): void; stranger(asks: Bindings): void };

function createPace(rate: AppOptions['rate'], now: () => number): Pace {
  const [callers, addresses] = [createRateLimit(rate), createRateLimit(rate)];
  const wait = (retryAfterMs: number, who: string) => {
    if (retryAfterMs > 0) throw new HoldfastError('too-many-requests', `this ${who} asks too much at once`, { retryAfterMs });
  };
  return {
    caller: ({ name }) => wait(callers.take(name, now()), 'token'),
    stranger({ incoming, way }) {
      if (!way.local) wait(addresses.take(addressOf(incoming, way), now()), 'address');
    },
  };
}

function callerOf({ env }: Context<Env>, authenticate: Authenticate, pace: Pace): ReturnType<Authenticate> {
  const { incoming, way } = env;
  // Only this user, and root, can open the socket: who can, could as well make a token.
  if (way.local) return { caller: { name: 'socket', role: 'admin' }, holds: () => true };
  let known: ReturnType<Authenticate>;
  try {
    known = authenticate(incoming.headers.authorization, addressOf(incoming, way));
  } catch (error) {
    pace.stranger(env);
    throw error;
  }
  pace.caller(known.caller);
  return known;
}

function requireRole(caller: Caller, allowed: readonly string[], what: string): void {
  if (!allowed.includes(caller.role))
    throw new HoldfastError('not-permitted', `the role ${caller.role} does not allow: ${what}`, {
      remedy: `use a token of a role that does: ${allowed.join(', ')}`,
    });
}

async function answer(c: Context<Env>, id: OperationId, operation: Operation, options: AppOptions, streams: Places): Promise<Response> {
  const { served, stopping } = options;
  const request = c.req.raw;
  const asked = {
    parameters: parsed(operation.parameters, c.req.param(), 'the path'),
    query: parsed(operation.query, queryOf(c.req.queries()), 'the parameter'),
    body: operation.body && (await bodyOf(request, operation.body)),
    caller: c.var.caller,
    signal: AbortSignal.any([endOf(c.env.outgoing), stopping]),
    idempotencyKey: shortHeader(request, 'Idempotency-Key'),
    lastEventId: shortHeader(request, 'Last-Event-ID'),
  };
  const breakOff = (error: unknown) => {
    if (!(error instanceof HoldfastError) && !asked.signal.aborted) options.onDefect(error);
    c.env.outgoing.destroy();
  };
  // The table's rows and the handlers are of one kind, which the compiler cannot follow through a loop.
  if (operation.answer.kind === 'json') {
    const value = await (handlers[id as 'getStatus'] as (served: Served, asked: unknown) => object | Promise<object>)(served, asked);
    return jsonResponse(value, operation.answer.status, c.req.header('If-None-Match'));
  }
  if (operation.answer.kind === 'events') {
    const frames = (handlers[id as 'followEvents'] as StreamHandler)(
      { ...served, feed: options.feed },
      asked as unknown as Asked<'followJob'>,
    );
    streams.take(c.var.caller.name, asked.signal);
    return eventsResponse(frames, { holds: c.var.holds, signal: asked.signal, breakOff });
  }
  const { name, bytes } = await handlers.downloadFile(served, asked as unknown as Asked<'downloadFile'>);
  return new Response(streamOf(whileHeld(bytes, c.var.holds), breakOff), {
    headers: { 'Content-Type': 'application/octet-stream', 'Content-Disposition': attachment(name) },
  });
}

/** Made once: it is the reason of every abort, and a stack for each costs more than most answers. */
const answerEnded = new DOMException('the answer has ended', 'AbortError');

/** Aborts when an answer has ended in whatever way. */
function endOf(outgoing: ServerResponse): AbortSignal {
  const ended = new AbortController();
  if (outgoing.closed) ended.abort(answerEnded);
  else outgoing.once('close', () => ended.abort(answerEnded));
  return ended.signal;
}

/** Of a token that was revoked meanwhile, nothing more: the answer is broken off. */
async function* whileHeld(bytes: AsyncGenerator<Uint8Array>, holds: () => boolean): AsyncGenerator<Uint8Array> {
  for await (const part of bytes) {
    if (!holds()) throw new HoldfastError('not-authenticated', 'the token holds no longer');
    yield part;
  }
}

type Following = { holds: () => boolean; signal: AbortSignal; breakOff: (error: unknown) => void };

async function eventsResponse(frames: AsyncGenerator<string>, { holds, signal, breakOff }: Following): Promise<Response> {
  // The abort comes in any case, also when the client goes while it reads nothing: what the frames hold is given back then.
  signal.addEventListener('abort', () => void frames.return(undefined), { once: true });
  // So that what is not there is answered as any error is.
  const first = await frames.next();
  async function* whilePermitted(): AsyncGenerator<string> {
    for (let frame = first; !frame.done && holds(); frame = await frames.next()) yield frame.value;
  }
  return new Response(streamOf(whilePermitted(), breakOff), {
    headers: { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' },
  });
}
