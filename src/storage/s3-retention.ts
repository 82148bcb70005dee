/** Object lock with a retention that is renewed: files stay locked for as long as they live, and no longer than the term after that. */
import { createHash } from 'node:crypto';
import { HoldfastError } from '../model/errors.ts';
import { listObjects } from './s3-bucket.ts';
import { connectS3, type S3Connection, type S3Request } from './s3-connection.ts';
import { keyOf, longLivedKinds, nameIn, retainUntil } from './s3-place.ts';
import { parseS3Address, type S3Settings } from './s3-settings.ts';
import { fewAtOnce, persistently } from './s3-steps.ts';
import type { StorageAddress } from './storage.ts';

export type RenewedRetention = { files: number; extended: number };

export type RenewalOptions = {
  /** Default: now. */
  now?: Date;
  signal?: AbortSignal;
  /** Called after each file. */
  onProgress?: (soFar: RenewedRetention) => void;
};

/**
 * Extends the locks of all files of the repository (but of `locks/`, which have none) that end within half of `retainDays`, to `retainDays`
 * from now. Called at least every half of `retainDays`, it leaves no file that is still needed without a lock; what was forgotten and
 * pruned is not extended, and can be deleted for good when its lock ends. Never shortens a lock. Interrupted, it is simply called again.
 * Requests: one a file, and one more for each that is extended.
 * @throws `usage` when the address has no `objectLock`; `storage-denied` without s3:GetObjectRetention and s3:PutObjectRetention;
 * `interrupted`; `storage`.
 */
export async function renewRetention(
  address: Pick<StorageAddress, 'url' | 'options'>,
  options: RenewalOptions = {},
): Promise<RenewedRetention> {
  const { now = new Date(), signal, onProgress } = options;
  const settings = parseS3Address(address);
  if (settings.objectLock === undefined)
    throw new HoldfastError('usage', `${settings.location} is used without objectLock: there is no retention to renew`);
  const connection = connectS3(settings);
  const renewed: RenewedRetention = { files: 0, extended: 0 };
  try {
    await fewAtOnce(lockedFiles(connection, settings), settings.connections, async (key) => {
      if (signal?.aborted) throw new HoldfastError('interrupted', 'interrupted: not all locks are extended');
      const outcome = await persistently(() => renew(connection, settings, key, now));
      if (outcome === 'missing') return;
      renewed.files += 1;
      if (outcome === 'extended') renewed.extended += 1;
      onProgress?.({ ...renewed });
    });
    return renewed;
  } finally {
    await connection.close();
  }
}

async function* lockedFiles(connection: S3Connection, settings: S3Settings): AsyncGenerator<string> {
  yield keyOf(settings, { kind: 'config', name: '' });
  for (const kind of longLivedKinds) {
    for await (const page of listObjects(connection, settings, kind))
      for (const { key } of page) if (nameIn(settings, kind, key) !== undefined) yield key;
  }
}

async function renew({ perform }: S3Connection, settings: S3Settings, key: string, now: Date): Promise<'extended' | 'kept' | 'missing'> {
  const { location, objectLock } = settings;
  const until = retainUntil(settings, now);
  const enough = new Date((now.getTime() + until.getTime()) / 2);
  try {
    return await perform('extend the lock of', `${location}: ${key}`, async (ask) => {
      const { response } = await ask({ method: 'HEAD', key });
      const currentMs = Date.parse(response.header('x-amz-object-lock-retain-until-date') ?? '');
      if (currentMs > enough.getTime()) return 'kept';
      // Compliance cannot be turned into governance; it can be extended.
      const mode = response.header('x-amz-object-lock-mode') === 'COMPLIANCE' ? 'COMPLIANCE' : (objectLock?.mode ?? '');
      await ask({ method: 'PUT', key, query: { retention: '' }, ...retentionOf(mode, until) });
      return 'extended';
    });
  } catch (error) {
    // Removed since it was listed.
    if (error instanceof HoldfastError && error.code === 'file-missing') return 'missing';
    throw error;
  }
}

function retentionOf(mode: string, until: Date): Pick<S3Request, 'body' | 'headers'> {
  const term = `<Mode>${mode}</Mode><RetainUntilDate>${until.toISOString()}</RetainUntilDate>`;
  const body = Buffer.from(`<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${term}</Retention>`);
  // Source: the API reference of PutObjectRetention: it wants a checksum.
  return { body: [body], headers: { 'content-md5': createHash('md5').update(body).digest('base64') } };
}
