import { HoldfastError } from '../../model/errors.ts';
import { cut, oneLine } from './message.ts';

export type HttpRequest = {
  url: URL;
  headers: Readonly<Record<string, string>>;
  body: string;
  timeoutMs: number;
  signal: AbortSignal;
  /** Takes secrets out of what comes back: before it is cut, for half a secret is not known for one. */
  redact(text: string): string;
};

/** What a server says is for people: its beginning is enough. */
const mostRead = 4_096;
const mostShown = 200;
const mostRedirects = 3;
/** Longer waits that servers ask for are not believed. */
const longestWaitMs = 3_600_000;

/**
 * Posts something, and returns what came back: `200 OK`. Redirects are followed on the same host only, and when they keep method and body
 * (307, 308 of RFC 9110): a message and its token go where they were meant to go.
 * @throws `notification-failed`, which names the host and no more of the URL.
 */
export async function post(request: HttpRequest): Promise<string> {
  const ended = new AbortController();
  const timer = setTimeout(() => ended.abort('timeout'), request.timeoutMs);
  try {
    return await postUntil(request, AbortSignal.any([ended.signal, request.signal]));
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause;
    const why = ended.signal.aborted ? `did not answer within ${request.timeoutMs / 1_000} s` : `cannot be reached: ${wordsOf(cause)}`;
    throw new HoldfastError('notification-failed', `${request.url.host} ${why}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

async function postUntil({ url: first, headers, body, redact }: HttpRequest, signal: AbortSignal): Promise<string> {
  let url = first;
  for (let redirects = 0; ; redirects++) {
    const response = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal });
    const { status, statusText } = response;
    const said = cut(oneLine(redact(await beginningOf(response))), mostShown);
    const answer = oneLine(`${status} ${statusText}`);
    if (response.ok) return said === '' ? answer : `${answer}: ${said}`;
    if (status === 307 || status === 308) {
      const next = URL.parse(response.headers.get('location') ?? '', url);
      if (next !== null && isSameHost(url, next) && redirects < mostRedirects) {
        url = next;
        continue;
      }
    }
    if (status >= 300 && status < 400)
      throw new HoldfastError('notification-failed', `${url.host} answered ${answer}: it leads elsewhere, which is not followed`);
    const wait = Number(response.headers.get('retry-after'));
    throw new HoldfastError('notification-failed', `${url.host} answered ${answer}${said === '' ? '' : `: ${said}`}`, {
      ...(wait > 0 ? { retryAfterMs: Math.min(wait * 1_000, longestWaitMs) } : {}),
    });
  }
}

/** Never from TLS to none. */
const isSameHost = (from: URL, to: URL): boolean =>
  (to.host === from.host && to.protocol === from.protocol) ||
  (to.hostname === from.hostname && from.protocol === 'http:' && to.protocol === 'https:');

async function beginningOf(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    parts.push(part);
    length += part.length;
    if (length >= mostRead) break;
  }
  return new TextDecoder().decode(Buffer.concat(parts).subarray(0, mostRead));
}

function wordsOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  // Of several addresses that were tried, none says more than the others.
  if (cause instanceof AggregateError) return wordsOf(cause.errors[0]);
  return cause instanceof Error ? cause.message : String(cause);
}
