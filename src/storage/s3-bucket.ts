/** What concerns a bucket as a whole: making it, listing it, and tidying up. */
import { HoldfastError } from '../model/errors.ts';
import type { Ask, S3Connection } from './s3-connection.ts';
import { detailsOf } from './s3-failures.ts';
import { folderOf, longLivedKinds, nameIn } from './s3-place.ts';
import type { S3Settings } from './s3-settings.ts';
import { elementsOf, escapedText, textOf } from './s3-xml.ts';
import type { FileKind } from './storage.ts';

export type StoredObject = { key: string; sizeBytes: number };

/** Makes the bucket when it is missing. Whether it is there, and may be used, need not be known to those who may not look. */
export async function createBucket({ perform, region }: S3Connection, settings: S3Settings): Promise<void> {
  const { location, objectLock, endpoint } = settings;
  const place = await region();
  await perform('create', location, async (ask) => {
    if (await isThere(ask)) return;
    // Source: the API reference of CreateBucket: us-east-1 has no constraint. Compatible servers know their own place.
    const placed = endpoint === undefined && place !== 'us-east-1';
    const constraint = `<LocationConstraint>${escapedText(place)}</LocationConstraint>`;
    const wish = `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${constraint}</CreateBucketConfiguration>`;
    try {
      await ask({
        method: 'PUT',
        headers: objectLock === undefined ? {} : { 'x-amz-bucket-object-lock-enabled': 'true' },
        body: placed ? [Buffer.from(wish)] : [],
      });
    } catch (error) {
      const { name } = detailsOf(error);
      if (name === 'BucketAlreadyOwnedByYou') return;
      if (name !== 'BucketAlreadyExists') throw error;
      throw new HoldfastError('storage-denied', `cannot create ${location}: the bucket belongs to somebody else`);
    }
  });
}

async function isThere(ask: Ask): Promise<boolean> {
  try {
    await ask({ method: 'HEAD' });
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
export async function* listObjects({ perform }: S3Connection, settings: S3Settings, kind: FileKind): AsyncGenerator<StoredObject[]> {
  const { location } = settings;
  const prefix = folderOf(settings, kind);
  let token: string | undefined;
  do {
    const query = { 'list-type': '2', prefix, ...(token !== undefined && { 'continuation-token': token }) };
    const page = await perform('list', `${location}/${kind}`, async (ask) => {
      try {
        return (await ask({ method: 'GET', query })).text;
      } catch (error) {
        if (detailsOf(error).name === 'NoSuchBucket') return undefined;
        throw error;
      }
    });
    if (page === undefined) return;
    // What answers 200 and speaks of something else, or is cut off, must not look like a smaller repository.
    if (!page.includes('<ListBucketResult') || !page.trimEnd().endsWith('</ListBucketResult>'))
      throw new HoldfastError('storage', `cannot list ${location}/${kind}: the answer is no list, or not all of it`);
    yield elementsOf(page, 'Contents').map((object) => objectIn(object, `${location}/${kind}`));
    const next = textOf(page, 'IsTruncated') === 'true' ? (textOf(page, 'NextContinuationToken') ?? '') : undefined;
    if (next === '' || (next !== undefined && next === token))
      throw new HoldfastError('storage', `cannot list ${location}/${kind}: the server does not say how the list goes on`);
    token = next;
  } while (token !== undefined);
}

function objectIn(xml: string, subject: string): StoredObject {
  const key = textOf(xml, 'Key');
  const size = textOf(xml, 'Size');
  if (key === undefined || size === undefined || !/^\d{1,15}$/.test(size))
    throw new HoldfastError('storage', `cannot list ${subject}: the server names an object without its key or size`);
  return { key, sizeBytes: Number(size) };
}

/**
 * Ends uploads in parts whose writers were killed: their parts cost money and no listing shows them. A server that has no such list, or
 * keeps it from us, keeps them: tidying up is no reason to fail.
 */
export async function removeUploads({ perform }: S3Connection, settings: S3Settings, olderThanMs: number): Promise<void> {
  const { prefix, location } = settings;
  const before = Date.now() - olderThanMs;
  /** Where the next page begins: names of the query, as the page before said. */
  let markers: Record<string, string> | undefined = {};
  try {
    while (markers !== undefined) {
      const query = { uploads: '', prefix: prefix === '' ? '' : `${prefix}/`, ...markers };
      const { text } = await perform('tidy up', location, (ask) => ask({ method: 'GET', query }));
      for (const upload of elementsOf(text, 'Upload')) {
        const [key, uploadId, initiated] = ['Key', 'UploadId', 'Initiated'].map((name) => textOf(upload, name));
        const startedMs = Date.parse(initiated ?? '');
        if (key === undefined || uploadId === undefined || !isOurs(settings, key) || !(startedMs <= before)) continue;
        await perform('tidy up', location, (ask) => ask({ method: 'DELETE', key, query: { uploadId } }));
      }
      markers = nextPage(text, markers);
    }
  } catch (error) {
    if (!(error instanceof HoldfastError) || !['unsupported', 'storage-denied', 'file-missing'].includes(error.code)) throw error;
  }
}

/** Undefined at the end, and for a server that gives the same page again. */
function nextPage(page: string, markers: Record<string, string>): Record<string, string> | undefined {
  const keyMarker = textOf(page, 'NextKeyMarker') ?? '';
  const uploadIdMarker = textOf(page, 'NextUploadIdMarker') ?? '';
  if (textOf(page, 'IsTruncated') !== 'true' || keyMarker === '') return undefined;
  const isSame = keyMarker === markers['key-marker'] && uploadIdMarker === (markers['upload-id-marker'] ?? '');
  return isSame ? undefined : { 'key-marker': keyMarker, ...(uploadIdMarker !== '' && { 'upload-id-marker': uploadIdMarker }) };
}

/** At the root of a bucket there may be others' uploads. */
const isOurs = (settings: S3Settings, key: string): boolean => longLivedKinds.some((kind) => nameIn(settings, kind, key) !== undefined);
