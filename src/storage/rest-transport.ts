/**
 * One HTTP exchange with a server of restic's REST protocol, whatever carries it: connections to a server (`rest-connections.ts`) or the
 * pipes of a child process (`rclone-process.ts`). What is the same for both is here: bodies in pieces, and an end to silence.
 */
import { HoldfastError } from '../model/errors.ts';
import type { FileSource } from './storage.ts';

export type RestRequest = {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Below the repository's URL, as `data/0123`; may end in a query. */
  path: string;
  headers: Readonly<Record<string, string>>;
  /** Sent in order; its length is in `headers`. */
  body?: AsyncIterable<Uint8Array>;
  /** Gives up the exchange, also while its response is read. */
  signal: AbortSignal;
};

export type RestResponse = {
  status: number;
  header(name: string): string | undefined;
  /** Ends without an error only when all of it was received. */
  body: AsyncIterable<Uint8Array>;
  /** Gives up what is left of the body. Harmless when nothing is. */
  cancel(): void;
};

export type RestTransport = {
  /** @throws whatever went wrong; a HoldfastError where more is known than that the connection failed. */
  request(request: RestRequest): Promise<RestResponse>;
  close(): Promise<void>;
};

/** What an exchange is about, for its errors. */
export type Exchange = {
  transport: RestTransport;
  /** The file or folder, for messages. */
  subject: string;
  /** The longest that nothing may move in either direction. */
  idleTimeoutMs: number;
};

export type ExchangeRequest = Pick<RestRequest, 'method' | 'path'> & {
  headers?: Readonly<Record<string, string>>;
  parts?: readonly Uint8Array[] | FileSource;
};

/** Bodies are sent in pieces of this size, so that a slow link shows progress, and buffers stay small. */
const pieceBytes = 64 * 1024;
/** Responses that nobody reads are received up to this, for the connection to be used again. */
const drainedBytes = 64 * 1024;

/**
 * Sends a request and has its response read by `read`. Nothing of the exchange is left when it ends.
 * @throws what `read` throws; `storage` when the connection fails or is silent for `idleTimeoutMs`.
 */
export async function exchange<Result>(
  { transport, subject, idleTimeoutMs }: Exchange,
  { method, path, headers = {}, parts }: ExchangeRequest,
  read: (response: RestResponse) => Promise<Result>,
): Promise<Result> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), idleTimeoutMs);
  const lengthBytes = parts && lengthOf(parts);
  let response: RestResponse | undefined;
  try {
    response = await transport.request({
      method,
      path,
      headers: lengthBytes === undefined ? headers : { ...headers, 'content-length': String(lengthBytes) },
      ...(parts === undefined || lengthBytes === 0 ? {} : { body: pieces(parts, timer) }),
      signal: silence.signal,
    });
    timer.refresh();
    return await read({ ...response, body: observed(response.body, timer) });
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    const reason = silence.signal.aborted ? `no answer for ${idleTimeoutMs / 1000} seconds` : reasonOf(error);
    throw new HoldfastError('storage', `${subject}: ${reason}`, { file: subject, cause: error });
  } finally {
    clearTimeout(timer);
    response?.cancel();
  }
}

/** Whether it is read as it is sent. */
export const isSource = (content: readonly Uint8Array[] | FileSource): content is FileSource => 'pieces' in content;

export const lengthOf = (content: readonly Uint8Array[] | FileSource): number =>
  isSource(content) ? content.sizeBytes : content.reduce((total, { length }) => total + length, 0);

/** Each piece that is asked for is progress: those before it are on their way. */
async function* pieces(content: readonly Uint8Array[] | FileSource, timer: NodeJS.Timeout): AsyncGenerator<Uint8Array> {
  for await (const part of isSource(content) ? content.pieces() : content) {
    for (let at = 0; at < part.length; at += pieceBytes) {
      timer.refresh();
      yield part.subarray(at, at + pieceBytes);
    }
  }
  timer.refresh();
}

async function* observed(body: AsyncIterable<Uint8Array>, timer: NodeJS.Timeout): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    timer.refresh();
    yield chunk;
  }
}

/** Receives a body that nobody needs, so that its connection can be used again; a long one is given up. */
export async function drain(response: RestResponse): Promise<void> {
  let received = 0;
  for await (const chunk of response.body) {
    received += chunk.length;
    if (received > drainedBytes) return;
  }
}

/** Why a connection failed, in a line: of an attempt at several addresses, the first reason. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return error.message === '' ? (code ?? error.name) : error.message;
}
