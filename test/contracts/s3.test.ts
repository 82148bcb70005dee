import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, type TestContext, test } from 'node:test';
import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
} from '@aws-sdk/client-s3';
import { createS3Storage } from '../../src/storage/s3.ts';
import { renewRetention } from '../../src/storage/s3-retention.ts';
import type { FileRef, Storage } from '../../src/storage/storage.ts';
import { requireS3, type S3User, serveS3, useCredentials } from '../s3-server.ts';
import { runStorageContract } from './storage.ts';

const dayMs = 24 * 60 * 60 * 1000;
const name = 'ab'.repeat(32);
const pack: FileRef = { kind: 'data', name };

if (requireS3()) {
  const { endpoint, owner, client, addUser, allow, limit } = await serveS3({ after: (end) => after(end as () => void) });
  let buckets = 0;

  /** A storage in a bucket of its own, which it has yet to make, used as `user`. */
  function open(t: TestContext, { user = owner, bucket = `bucket-${++buckets}`, options = {} as Record<string, string> } = {}) {
    useCredentials(t, user);
    const address = { url: `s3:${endpoint}/${bucket}/pre/fix`, options };
    const storage = createS3Storage(address);
    t.after(() => storage.close?.());
    return { storage, bucket, address };
  }

  async function created(t: TestContext, options: Record<string, string> = {}) {
    const opened = open(t, { options });
    await opened.storage.create();
    return opened;
  }

  runStorageContract("Ceph's S3", async (t) => open(t).storage);

  test("the layout is restic's: packs in folders by the beginning of their names, the other kinds flat", async (t) => {
    const { storage, bucket } = await created(t);
    for (const kind of ['data', 'index', 'keys', 'locks', 'snapshots', 'config'] as const)
      await storage.write({ kind, name }, [Buffer.of(1)]);
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    const expected = ['config', `data/ab/${name}`, `index/${name}`, `keys/${name}`, `locks/${name}`, `snapshots/${name}`];
    assert.deepEqual(
      Contents.map(({ Key }) => Key),
      expected.map((path) => `pre/fix/${path}`),
    );
  });

  test('without prefix the repository is in the root of the bucket, and other objects there are left aside', async (t) => {
    const { bucket } = await created(t);
    const storage = createS3Storage({ url: `s3:${endpoint}/${bucket}/` });
    const other = createS3Storage({ url: `s3:${endpoint}/${bucket}/data/ab` });
    t.after(() => Promise.all([storage.close?.(), other.close?.()]));
    await storage.write(pack, [Buffer.of(1, 2)]);
    await other.write({ kind: 'index', name }, [Buffer.of(1)]);
    assert.deepEqual(await listed(storage), [{ name, sizeBytes: 2 }]);
  });

  test('a wrong secret is refused access, and told to nobody', async (t) => {
    await created(t);
    const wrong = { AWS_ACCESS_KEY_ID: owner.environment.AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: 'a wrong secret' };
    const { storage } = open(t, { user: { name: 'x', environment: wrong }, bucket: `bucket-${buckets}` });
    const operations = [
      () => storage.read(pack),
      () => storage.sizeOf(pack),
      () => storage.write(pack, [Buffer.of(1)]),
      () => storage.remove(pack),
      () => listed(storage),
    ];
    for (const operation of operations) {
      await assert.rejects(operation(), (error: Error & { code: string }) => {
        assert.equal(error.code, 'storage-denied');
        assert.doesNotMatch(JSON.stringify([error.message, error.cause, error]), /a wrong secret|KEYOF/);
        return true;
      });
    }
  });

  test("somebody else's bucket is refused", async (t) => {
    const { bucket } = await created(t);
    const { storage } = open(t, { user: addUser('stranger'), bucket });
    await assert.rejects(storage.write(pack, [Buffer.of(1)]), { code: 'storage-denied' });
  });

  test('a list of more than one page', async (t) => {
    const { storage } = await created(t);
    const names = Array.from({ length: 1050 }, () => randomBytes(32).toString('hex')).sort();
    await Promise.all(names.map((one) => storage.write({ kind: 'index', name: one }, [Buffer.of(1)])));
    assert.deepEqual((await listed(storage, 'index')).map((file) => file.name).sort(), names);
  });

  test('a long file is sent in parts', async (t) => {
    const { storage, bucket } = await created(t, { storageClass: 'STANDARD' });
    const content = randomBytes(40_000_000);
    await storage.write(pack, [content.subarray(0, 5_000_000), content.subarray(5_000_000, 35_000_000), content.subarray(35_000_000)]);
    const { ETag } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: `pre/fix/data/ab/${name}` }));
    assert.match(ETag ?? '', /-3"$/);
    assert.ok((await storage.read(pack)).equals(content));
    assert.equal(await storage.sizeOf(pack), content.length);
    assert.equal((await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads, undefined);
  });

  test('parts that a killed writer left are removed when they are old, and nobody else’s', async (t) => {
    const { storage, bucket } = await created(t);
    const begin = (Key: string) => client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }));
    await begin(`pre/fix/data/ab/${name}`);
    await begin('elsewhere/upload');
    const uploads = async () => (await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads?.length;
    await storage.removeLeftovers?.(dayMs);
    assert.equal(await uploads(), 2);
    await storage.removeLeftovers?.(-dayMs);
    assert.equal(await uploads(), 1);
  });

  test('a bucket that is full says so', async (t) => {
    const { storage, bucket } = await created(t);
    limit(bucket, 4096);
    await assert.rejects(storage.write(pack, [Buffer.alloc(100_000)]), { code: 'storage-full' });
    await assert.rejects(storage.write(pack, [Buffer.alloc(34_000_000)]), { code: 'storage-full' });
    assert.deepEqual(await listed(storage), []);
  });

  test('locked objects cannot be deleted for good, and their locks are renewed', async (t) => {
    const { storage, bucket, address } = await created(t, { objectLock: 'compliance', retainDays: '10' });
    await storage.write({ kind: 'config', name }, [Buffer.of(1)]);
    await storage.write(pack, [Buffer.of(1, 2)]);
    await storage.write({ kind: 'locks', name }, [Buffer.of(1)]);

    const Key = `pre/fix/data/ab/${name}`;
    const lockEnd = async () =>
      (await client.send(new HeadObjectCommand({ Bucket: bucket, Key }))).ObjectLockRetainUntilDate?.getTime() ?? 0;
    const first = await lockEnd();
    assert.ok(Math.abs(first - Date.now() - 10 * dayMs) < 60_000);
    const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
    const gone = await Promise.allSettled(
      Versions.map(({ Key: key, VersionId }) => client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key, VersionId }))),
    );
    assert.deepEqual(
      Versions.map(({ Key: key }, i) => [key?.split('/')[2], gone[i]?.status]),
      [
        ['config', 'rejected'],
        ['data', 'rejected'],
        ['locks', 'fulfilled'],
      ],
    );

    assert.deepEqual(await renewRetention(address), { files: 2, extended: 0 });
    assert.equal(await lockEnd(), first);
    const later = new Date(Date.now() + 6 * dayMs);
    assert.deepEqual(await renewRetention(address, { now: later }), { files: 2, extended: 2 });
    assert.ok(Math.abs((await lockEnd()) - first - 6 * dayMs) < 60_000);
    assert.deepEqual(await renewRetention(address, { now: later }), { files: 2, extended: 0 });
    // A shorter term shortens no lock.
    assert.deepEqual(await renewRetention({ ...address, options: { objectLock: 'governance', retainDays: '3' } }), {
      files: 2,
      extended: 0,
    });

    await storage.remove(pack);
    assert.deepEqual(await listed(storage), []);
    assert.deepEqual(await renewRetention(address, { now: new Date(Date.now() + 14 * dayMs) }), { files: 1, extended: 1 });
    await assert.rejects(renewRetention({ url: address.url }), { code: 'usage' });
  });

  test('a bucket without object lock refuses locked files', async (t) => {
    const { bucket } = await created(t);
    const { storage } = open(t, { bucket, options: { objectLock: 'governance', retainDays: '1' } });
    await assert.rejects(storage.write(pack, [Buffer.of(1)]), { code: 'unsupported' });
  });

  test('who may not delete can do all that a backup does', async (t) => {
    const { storage: all, bucket } = await created(t);
    const user: S3User = addUser('appender');
    const at = (path: string) => `arn:aws:s3:::${bucket}${path}`;
    await allow(bucket, user, [
      { Action: ['s3:ListBucket', 's3:GetBucketLocation'], Resource: [at('')] },
      { Action: ['s3:GetObject', 's3:PutObject'], Resource: [at('/pre/fix/*')] },
      { Action: ['s3:DeleteObject'], Resource: [at('/pre/fix/locks/*')] },
    ]);
    await all.write(pack, [Buffer.of(1)]);
    const { storage } = open(t, { user, bucket });
    await storage.create();
    await storage.write({ kind: 'index', name }, [Buffer.of(1)]);
    await storage.write({ kind: 'locks', name }, [Buffer.of(1)]);
    await storage.remove({ kind: 'locks', name });
    assert.deepEqual(await listed(storage, 'locks'), []);
    for (const file of [pack, { kind: 'index', name }, { kind: 'config', name }] as const)
      await assert.rejects(storage.remove(file), { code: 'storage-denied' });
    assert.equal((await storage.read(pack)).length, 1);
    await storage.removeLeftovers?.(0);
  });
}

async function listed(storage: Storage, kind: FileRef['kind'] = 'data') {
  return Array.fromAsync(storage.list(kind));
}
