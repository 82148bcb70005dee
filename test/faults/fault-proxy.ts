/** A proxy in front of a storage's HTTP server that does what networks and servers do: cuts, refuses, lies. It counts what is asked. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

export const networkFaults = [
  /** The connection is cut before the server hears of the request. */
  'cut',
  /** The connection is cut in the middle of what the client sends. */
  'cut-upload',
  /** The server carries the request out; the connection is cut before its reply. */
  'reply-lost',
  /** The connection is cut in the middle of the reply. */
  'cut-body',
  'error-500',
  /** 503, with a Retry-After of one second. */
  'busy',
  /** The reply comes drop by drop. */
  'slow',
  /** A reply that looks complete, and is half of it. */
  'truncated',
  /** The beginning of the file instead of the range that was asked for. */
  'wrong-range',
] as const;
/** What does not pass by itself. `stale`: a listing as it was the last time. */
export type NetworkFault = (typeof networkFaults)[number] | 'denied' | 'full' | 'stale';

/** @param what `GET /data/abc...`. @param nth counted from 0. */
export type ChooseFault = (what: string, nth: number) => NetworkFault | undefined;

export type FaultProxy = {
  url: URL;
  /** What was asked, in order, `METHOD /path`; names of files are left out. */
  asked: string[];
  /** How often each fault struck. */
  struck: Map<NetworkFault, number>;
  /** From now on; at first there are none. */
  faults(choose: ChooseFault): void;
};

export async function startFaultProxy(t: Pick<TestContext, 'after'>, target: URL): Promise<FaultProxy> {
  const asked: string[] = [];
  const struck = new Map<NetworkFault, number>();
  const lists = new Map<string, StaleList>();
  let choose: ChooseFault = () => undefined;
  const server = createServer((incoming, outgoing) => {
    const what = `${incoming.method} ${incoming.url?.replace(/[0-9a-f]{64}/, '*').replace(/\?.*/, '')}`;
    const fault = choose(what, asked.length);
    asked.push(what);
    if (fault) struck.set(fault, (struck.get(fault) ?? 0) + 1);
    if (fault === 'stale' && lists.has(what)) return void repeat(lists.get(what) as StaleList, incoming, outgoing);
    pass(target, incoming, outgoing, fault, what.endsWith('/') ? (list) => lists.set(what, list) : undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = new URL(target);
  url.port = String((server.address() as AddressInfo).port);
  return {
    url,
    asked,
    struck,
    faults(chosen) {
      choose = chosen;
    },
  };
}

type StaleList = { status: number; headers: IncomingMessage['headers']; body: Buffer };

function repeat({ status, headers, body }: StaleList, incoming: IncomingMessage, outgoing: ServerResponse): void {
  incoming.resume();
  outgoing.writeHead(status, headers).end(body);
}

function pass(
  target: URL,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  fault: NetworkFault | undefined,
  remember: ((list: StaleList) => void) | undefined,
): void {
  const cut = (): void => void incoming.socket.destroy();
  if (fault === 'cut') return cut();
  if (fault === 'cut-upload') return void incoming.once('data', cut).once('end', cut);
  const status = fault && refusals[fault];
  if (status !== undefined) {
    incoming.resume();
    return void outgoing.writeHead(status, fault === 'busy' ? { 'retry-after': '1' } : {}).end('no');
  }
  const headers = { ...incoming.headers };
  if (fault === 'wrong-range' && headers.range) headers.range = headers.range.replace(/\d+-(\d+)/, (_, end) => `0-${end}`);
  const forwarded = request(new URL(incoming.url ?? '/', target), { method: incoming.method, headers }, (reply) => {
    if (fault === 'reply-lost') return cut();
    if (remember) recall(reply, remember);
    answer(reply, outgoing, fault, cut);
  });
  forwarded.on('error', cut);
  incoming.pipe(forwarded);
}

const refusals: Partial<Record<NetworkFault, number>> = { 'error-500': 500, busy: 503, denied: 403, full: 507 };

function recall(reply: IncomingMessage, remember: (list: StaleList) => void): void {
  const pieces: Buffer[] = [];
  reply.on('data', (bytes: Buffer) => pieces.push(bytes));
  reply.on('end', () => remember({ status: reply.statusCode ?? 500, headers: reply.headers, body: Buffer.concat(pieces) }));
}

function answer(reply: IncomingMessage, outgoing: ServerResponse, fault: NetworkFault | undefined, cut: () => void): void {
  reply.on('error', cut);
  const length = Number(reply.headers['content-length'] ?? 0);
  if (fault === 'truncated' && length > 1) {
    const kept = length >> 1;
    outgoing.writeHead(reply.statusCode ?? 500, { ...reply.headers, 'content-length': String(kept) });
    return sendBeginning(reply, outgoing, kept, () => outgoing.end());
  }
  outgoing.writeHead(reply.statusCode ?? 500, reply.headers);
  if (fault === 'cut-body') return sendBeginning(reply, outgoing, length >> 1, cut);
  if (fault !== 'slow') return void reply.pipe(outgoing);
  reply.on('data', (bytes: Buffer) => {
    reply.pause();
    outgoing.write(bytes);
    setTimeout(() => reply.resume(), 5);
  });
  reply.on('end', () => outgoing.end());
}

function sendBeginning(reply: IncomingMessage, outgoing: ServerResponse, length: number, after: () => void): void {
  let left = length;
  reply.on('data', (bytes: Buffer) => {
    if (left > 0) outgoing.write(bytes.subarray(0, left));
    left -= bytes.length;
  });
  reply.on('end', after);
}
