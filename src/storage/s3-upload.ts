/** Puts a file into a bucket: in one request, or in parts when it is long. The server checks what arrives against checksums. */
import { hash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { S3Connection } from './s3-connection.ts';
import { detailsOf } from './s3-failures.ts';
import type { ObjectHeaders } from './s3-place.ts';
import { fewAtOnce, persistently } from './s3-steps.ts';

/** Longer files are sent in parts: a broken connection then costs one part. */
const singleBytes = 32 * 1024 * 1024;
const partBytes = 16 * 1024 * 1024;
/** Of one file at the same time. */
const partsAtOnce = 3;
/** `subject` names the file in messages. */
type Target = { key: string; subject: string; headers: ObjectHeaders };
type Sum = { ChecksumSHA256: string } | { ContentMD5: string };

export type Upload = (target: Target, parts: readonly Uint8Array[]) => Promise<void>;

export function createUpload({ perform }: S3Connection, bucket: string): Upload {
  /** Whether the server takes SHA-256; else it is given MD5, which all of them know. */
  let modern = true;
  const sumOf = (body: Uint8Array): Sum =>
    modern ? { ChecksumSHA256: hash('sha256', body, 'base64') } : { ContentMD5: hash('md5', body, 'base64') };

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

  const put = ({ key, subject, headers }: Target, body: Uint8Array) =>
    perform('write', subject, (client) =>
      withSums(() =>
        client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body, ContentLength: body.length, ...sumOf(body), ...headers })),
      ),
    );

  async function putInParts(target: Target, pieces: readonly Uint8Array[][]): Promise<void> {
    const { key, subject, headers } = target;
    const step = <Result>(work: (client: S3Client) => Promise<Result>) => persistently(() => perform('write', subject, work));
    const { UploadId } = await step((client) =>
      withSums(() =>
        client.send(
          new CreateMultipartUploadCommand({
            Bucket: bucket,
            Key: key,
            ...(modern && { ChecksumAlgorithm: 'SHA256' as const }),
            ...headers,
          }),
        ),
      ),
    );
    const upload = { Bucket: bucket, Key: key, UploadId };
    try {
      const done: CompletedPart[] = [];
      await fewAtOnce(pieces.entries(), partsAtOnce, async ([index, piece]) => {
        const Body = joined(piece);
        const PartNumber = index + 1;
        const sum = sumOf(Body);
        const { ETag } = await step((client) =>
          client.send(new UploadPartCommand({ ...upload, PartNumber, Body, ContentLength: Body.length, ...sum })),
        );
        done[index] = { PartNumber, ETag, ...('ChecksumSHA256' in sum && sum) };
      });
      await complete(target, upload, done);
    } catch (error) {
      await persistently(() => perform('abandon', subject, (client) => client.send(new AbortMultipartUploadCommand(upload)))).catch(
        // What lingers all the same is removed by `removeLeftovers`.
        () => undefined,
      );
      throw error;
    }
  }

  /** A completion whose answer was lost has happened all the same: then the upload is gone, and the object there. */
  async function complete({ key, subject }: Target, upload: { UploadId: string | undefined }, parts: CompletedPart[]): Promise<void> {
    let asked = 0;
    await persistently(() =>
      perform('write', subject, async (client) => {
        asked += 1;
        try {
          await client.send(new CompleteMultipartUploadCommand({ Bucket: bucket, Key: key, ...upload, MultipartUpload: { Parts: parts } }));
        } catch (error) {
          if (asked === 1 || detailsOf(error).name !== 'NoSuchUpload') throw error;
          await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
        }
      }),
    );
  }

  return async (target, parts) => {
    const sizeBytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (sizeBytes > singleBytes) await putInParts(target, piecesOf(parts));
    else await put(target, joined(parts));
  };
}

/** Without a copy where one is all there is. */
const joined = (parts: readonly Uint8Array[]): Uint8Array => (parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts));

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
