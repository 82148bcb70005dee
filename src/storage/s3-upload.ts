/** Puts a file into a bucket: in one request, or in parts when it is long. The server checks what arrives against checksums. */
import { HoldfastError } from '../model/errors.ts';
import { isSource, lengthOf } from './rest-transport.ts';
import { type Ask, digestOf, type S3Connection } from './s3-connection.ts';
import { detailsOf, errorIn } from './s3-failures.ts';
import type { ObjectHeaders } from './s3-place.ts';
import { fewAtOnce, persistently } from './s3-steps.ts';
import { escapedText, textOf } from './s3-xml.ts';
import type { FileSource } from './storage.ts';

/** Longer files are sent in parts: a broken connection then costs one part. */
const singleBytes = 32 * 1024 * 1024;
const partBytes = 16 * 1024 * 1024;
/** Of one file at the same time. */
const partsAtOnce = 3;
/** `subject` names the file in messages. */
type Target = {
  key: string;
  subject: string;
  headers: ObjectHeaders;
  /** SHA-256 of all, hexadecimal, where it is known. */
  hash?: string;
};
type Body = readonly Uint8Array[] | FileSource;
/** A body, and what the server is to check it by. */
type Checked = { body: Body; headers: Record<string, string>; bodyHash?: string };
type Part = { etag: string; sha256: string | undefined };

export type Upload = (target: Target, content: Body) => Promise<void>;

export function createUpload({ perform }: S3Connection): Upload {
  /** Whether the server takes SHA-256; else it is given MD5, which all of them know. */
  let modern = true;

  async function checked(body: Body, hash?: string): Promise<Checked> {
    if (!modern) {
      const headers = { 'content-md5': (await digestOf('md5', body)).toString('base64') };
      return { body, headers, ...(hash !== undefined && { bodyHash: hash }) };
    }
    const digest = hash === undefined ? await digestOf('sha256', body) : Buffer.from(hash, 'hex');
    return { body, headers: { [sumHeader]: digest.toString('base64') }, bodyHash: digest.toString('hex') };
  }

  /** Once more, without SHA-256, where that was not understood. */
  async function withSums<Result>(request: () => Promise<Result>): Promise<Result> {
    const wasModern = modern;
    try {
      return await request();
    } catch (error) {
      if (!wasModern || !refusesSum(error)) throw error;
      modern = false;
      return request();
    }
  }

  const put = ({ key, subject, headers, hash }: Target, parts: Body) =>
    perform('write', subject, (ask) =>
      withSums(async () => {
        const content = await checked(parts, hash);
        return ask({ method: 'PUT', key, ...content, headers: { ...content.headers, ...headers } });
      }),
    );

  async function putInParts(target: Target, pieces: readonly Uint8Array[][]): Promise<void> {
    const { key, subject, headers } = target;
    const step = <Result>(work: (ask: Ask) => Promise<Result>) => persistently(() => perform('write', subject, work));
    const begun = await step((ask) =>
      withSums(() =>
        ask({
          method: 'POST',
          key,
          query: { uploads: '' },
          headers: { ...(modern && { 'x-amz-checksum-algorithm': 'SHA256' }), ...headers },
          body: [],
        }),
      ),
    );
    const uploadId = textOf(begun.text, 'UploadId');
    if (uploadId === undefined)
      throw new HoldfastError('storage', `cannot write ${subject}: the server began no upload`, { file: subject });
    try {
      const done: Part[] = [];
      await fewAtOnce(pieces.entries(), partsAtOnce, async ([index, piece]) => {
        const content = await checked(piece);
        const query = { partNumber: String(index + 1), uploadId };
        const { response } = await step((ask) => ask({ method: 'PUT', key, query, ...content }));
        done[index] = { etag: response.header('etag') ?? '', sha256: content.headers[sumHeader] };
      });
      await complete(target, uploadId, done);
    } catch (error) {
      await persistently(() => perform('abandon', subject, (ask) => ask({ method: 'DELETE', key, query: { uploadId } }))).catch(
        // What lingers all the same is removed by `removeLeftovers`.
        () => undefined,
      );
      throw error;
    }
  }

  /** A completion whose answer was lost has happened all the same: then the upload is gone, and the object there. */
  async function complete({ key, subject }: Target, uploadId: string, parts: readonly Part[]): Promise<void> {
    let asked = 0;
    await persistently(() =>
      perform('write', subject, async (ask) => {
        asked += 1;
        try {
          const { text } = await ask({ method: 'POST', key, query: { uploadId }, body: [Buffer.from(completionOf(parts))] });
          // The server may have said 200 before it knew.
          const { code, message } = errorIn(text);
          if (code !== undefined) throw Object.assign(new Error(message), { name: code });
          if (!text.includes('<CompleteMultipartUploadResult')) throw new Error('the server does not say that the upload is complete');
        } catch (error) {
          if (asked === 1 || detailsOf(error).name !== 'NoSuchUpload') throw error;
          await ask({ method: 'HEAD', key });
        }
      }),
    );
  }

  return async (target, content) => {
    if (lengthOf(content) <= singleBytes) await put(target, content);
    // Packs are that long only when a single blob is.
    else await putInParts(target, piecesOf(isSource(content) ? await Array.fromAsync(content.pieces()) : content));
  };
}

const sumHeader = 'x-amz-checksum-sha256';

function completionOf(parts: readonly Part[]): string {
  const items = parts.map(({ etag, sha256 }, index) => {
    const sum = sha256 === undefined ? '' : `<ChecksumSHA256>${sha256}</ChecksumSHA256>`;
    return `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapedText(etag)}</ETag>${sum}</Part>`;
  });
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${items.join('')}</CompleteMultipartUpload>`;
}

/** Cuts a file into pieces of `partBytes`, each a list of views. */
function piecesOf(parts: readonly Uint8Array[]): Uint8Array[][] {
  const pieces: Uint8Array[][] = [];
  let room = 0;
  for (const part of parts) {
    for (let at = 0; at < part.length; ) {
      if (room === 0) room = pieces.push([]) && partBytes;
      const view = part.subarray(at, at + room);
      pieces.at(-1)?.push(view);
      at += view.length;
      room -= view.length;
    }
  }
  return pieces;
}

/** Servers that don't know the header say so in various ways; some say only that something is not implemented. */
function refusesSum(error: unknown): boolean {
  const { status, name, reason } = detailsOf(error);
  return status === 501 || (status === 400 && /checksum/i.test(reason) && !/mismatch|BadDigest/i.test(name));
}
