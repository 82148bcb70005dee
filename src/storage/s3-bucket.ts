/** What concerns a bucket as a whole: making it, listing it, and tidying up. */
import {
  AbortMultipartUploadCommand,
  type BucketLocationConstraint,
  CreateBucketCommand,
  HeadBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { HoldfastError } from '../model/errors.ts';
import { regionOf, type S3Connection } from './s3-connection.ts';
import { detailsOf } from './s3-failures.ts';
import { folderOf, longLivedKinds, nameIn } from './s3-place.ts';
import type { S3Settings } from './s3-settings.ts';
import type { FileKind } from './storage.ts';

/** Makes the bucket when it is missing. Whether it is there, and may be used, need not be known to those who may not look. */
export async function createBucket({ perform }: S3Connection, settings: S3Settings): Promise<void> {
  const { bucket: Bucket, location, objectLock } = settings;
  await perform('create', location, async (client) => {
    if (await isThere(client, Bucket)) return;
    const region = await regionOf(client);
    // Source: the API reference of CreateBucket: us-east-1 has no constraint. Compatible servers know their own place.
    const placed = settings.endpoint === undefined && region !== 'us-east-1';
    try {
      await client.send(
        new CreateBucketCommand({
          Bucket,
          ...(placed && { CreateBucketConfiguration: { LocationConstraint: region as BucketLocationConstraint } }),
          ...(objectLock !== undefined && { ObjectLockEnabledForBucket: true }),
        }),
      );
    } catch (error) {
      const { name } = detailsOf(error);
      if (name === 'BucketAlreadyOwnedByYou') return;
      if (name !== 'BucketAlreadyExists') throw error;
      throw new HoldfastError('storage-denied', `cannot create ${location}: the bucket belongs to somebody else`);
    }
  });
}

async function isThere(client: S3Client, Bucket: string): Promise<boolean> {
  try {
    await client.send(new HeadBucketCommand({ Bucket }));
    return true;
  } catch (error) {
    const { status } = detailsOf(error);
    // Who may not ask may still write: the first file tells.
    if (status === 403) return true;
    if (status !== 404) throw error;
    return false;
  }
}

/** Pages of a kind's objects; none when there is no bucket. */
export async function* listObjects(
  { perform }: S3Connection,
  settings: S3Settings,
  kind: FileKind,
): AsyncGenerator<NonNullable<ListObjectsV2CommandOutput['Contents']>> {
  const { bucket: Bucket, location } = settings;
  const Prefix = folderOf(settings, kind);
  let ContinuationToken: string | undefined;
  do {
    const page: Partial<ListObjectsV2CommandOutput> = await perform('list', `${location}/${kind}`, async (client) => {
      try {
        return await client.send(new ListObjectsV2Command({ Bucket, Prefix, ContinuationToken }));
      } catch (error) {
        if (detailsOf(error).name === 'NoSuchBucket') return {};
        throw error;
      }
    });
    yield page.Contents ?? [];
    if (page.IsTruncated && (page.NextContinuationToken ?? ContinuationToken) === ContinuationToken)
      throw new HoldfastError('storage', `cannot list ${location}/${kind}: the server does not say how the list goes on`);
    ContinuationToken = page.IsTruncated ? page.NextContinuationToken : undefined;
  } while (ContinuationToken !== undefined);
}

/**
 * Ends uploads in parts whose writers were killed: their parts cost money and no listing shows them. A server that has no such list, or
 * keeps it from us, keeps them: tidying up is no reason to fail.
 */
export async function removeUploads({ perform }: S3Connection, settings: S3Settings, olderThanMs: number): Promise<void> {
  const { bucket: Bucket, prefix, location } = settings;
  const Prefix = prefix === '' ? '' : `${prefix}/`;
  const before = Date.now() - olderThanMs;
  let KeyMarker: string | undefined;
  let UploadIdMarker: string | undefined;
  try {
    do {
      const page = await perform('tidy up', location, (client) =>
        client.send(new ListMultipartUploadsCommand({ Bucket, Prefix, KeyMarker, UploadIdMarker })),
      );
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        if (Key === undefined || !isOurs(settings, Key) || Initiated === undefined || Initiated.getTime() > before) continue;
        await perform('tidy up', location, (client) => client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })));
      }
      const further = page.IsTruncated && (page.NextKeyMarker !== KeyMarker || page.NextUploadIdMarker !== UploadIdMarker);
      KeyMarker = further ? page.NextKeyMarker : undefined;
      UploadIdMarker = further ? page.NextUploadIdMarker : undefined;
    } while (KeyMarker !== undefined);
  } catch (error) {
    if (!(error instanceof HoldfastError) || !['unsupported', 'storage-denied', 'file-missing'].includes(error.code)) throw error;
  }
}

/** At the root of a bucket there may be others' uploads. */
const isOurs = (settings: S3Settings, key: string): boolean => longLivedKinds.some((kind) => nameIn(settings, kind, key) !== undefined);
