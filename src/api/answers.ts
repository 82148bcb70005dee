import { createHash } from 'node:crypto';
import { catalogue, HoldfastError } from '../model/errors.ts';
import { redactUrls } from '../model/redact-url.ts';
import { type Problem, statusOf } from './contract/problem.ts';

/** What the API answers, as responses. */

/** On every answer: nothing of it is a page, belongs into a frame, or is for caches. */
export const commonHeaders: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
};

/** Of an error that is none of the catalogue, nothing but that is said: `onDefect` is told the rest. */
export function problemResponse(error: unknown, onDefect: (error: unknown) => void): Response {
  const known = knownError(error);
  if (known === undefined) onDefect(error);
  const { code, message, remedy, volume, file, retryAfterMs } = known ?? new HoldfastError('internal', 'the API has a defect');
  const status = statusOf(code);
  const title = catalogue[code].meaning;
  const problem: Problem = { type: 'about:blank', title, status, detail: redactUrls(message), code, remedy, volume, file };
  const headers = new Headers({ 'Content-Type': 'application/problem+json' });
  if (retryAfterMs !== undefined) headers.set('Retry-After', String(Math.ceil(retryAfterMs / 1_000)));
  if (status === 401) headers.set('WWW-Authenticate', 'Bearer');
  return new Response(JSON.stringify(problem), { status, headers });
}

function knownError(error: unknown): HoldfastError | undefined {
  if (error instanceof HoldfastError) return error.code === 'internal' ? undefined : error;
  // The daemon ends; or the client is gone, and nobody reads this.
  return error instanceof Error && error.name === 'AbortError' ? new HoldfastError('interrupted', 'the answer was interrupted') : undefined;
}

/** What was written of a value before; the same assessment is asked for often. */
const written = new WeakMap<object, { bytes: Buffer<ArrayBuffer>; etag: string }>();

/** JSON with an ETag, or 304 when the client has it. */
export function jsonResponse(value: object, status: number, ifNoneMatch: string | undefined): Response {
  const known = written.get(value) ?? write(value);
  written.set(value, known);
  const { bytes, etag } = known;
  const has = ifNoneMatch?.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === etag) ?? false;
  // A cache may keep it, and asks each time.
  const headers = { ETag: etag, 'Cache-Control': 'private, no-cache' };
  if (has && status === 200) return new Response(null, { status: 304, headers });
  return new Response(bytes, { status, headers: { ...headers, 'Content-Type': 'application/json' } });
}

/** All who are sent it have the same bytes: slow readers of a large one take no memory each. */
function write(value: object): { bytes: Buffer<ArrayBuffer>; etag: string } {
  const bytes = Buffer.from(JSON.stringify(value));
  return { bytes, etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"` };
}

/**
 * Reads as the client takes it; when the client goes, the source is ended. When the source fails, `breakOff` has to end the connection: an end
 * as of any answer would say that this one is complete.
 */
export function streamOf(source: AsyncIterator<string | Uint8Array>, breakOff: (error: unknown) => void): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await source.next().catch((error: unknown) => {
          breakOff(error);
          return { done: true, value: undefined };
        });
        if (done || value === undefined) controller.close();
        else controller.enqueue(typeof value === 'string' ? encoder.encode(value) : value);
      },
      async cancel() {
        await source.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

/** A name of a file that says nothing but a name, whatever it holds (RFC 6266, RFC 8187). */
export function attachment(name: string): string {
  const plain = name.replace(/[^\w .()+-]/g, '_').slice(0, 150) || 'file';
  const exact = encodeURIComponent(name.slice(0, 255).toWellFormed()).replace(
    /['()*]/g,
    (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`;
}
