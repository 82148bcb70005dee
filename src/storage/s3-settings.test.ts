import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseS3Address } from './s3-settings.ts';

const place = (url: string, options?: Record<string, string>) => {
  const { endpoint, region, bucket, prefix, pathStyle, location } = parseS3Address({ url, ...(options && { options }) });
  return { endpoint, region, bucket, prefix, pathStyle, location };
};
const amazon = { endpoint: undefined, region: undefined, bucket: 'buck.et', prefix: '', pathStyle: false, location: 's3://buck.et' };
const own = {
  endpoint: 'https://host:9000',
  region: undefined,
  bucket: 'bucket',
  prefix: 'pre/fix',
  pathStyle: true,
  location: 's3:https://host:9000/bucket/pre/fix',
};

test("a bucket of AWS, by name and by restic's forms", () => {
  assert.deepEqual(place('s3://buck.et'), amazon);
  assert.deepEqual(place('s3://buck.et/'), amazon);
  assert.deepEqual(place('s3:s3.amazonaws.com/buck.et'), amazon);
  assert.deepEqual(place('s3:https://s3.amazonaws.com/buck.et'), amazon);
  assert.deepEqual(place('s3://s3.amazonaws.com/buck.et'), amazon);
  const irish = { ...amazon, region: 'eu-west-1', prefix: 'p', location: 's3://buck.et/p' };
  assert.deepEqual(place('s3:s3.eu-west-1.amazonaws.com/buck.et/p'), irish);
  assert.deepEqual(place('s3:s3-eu-west-1.amazonaws.com/buck.et/p'), irish);
  assert.deepEqual(place('s3:s3.dualstack.eu-west-1.amazonaws.com/buck.et/p'), irish);
  assert.deepEqual(place('s3://buck.et/p?region=eu-west-1'), irish);
  assert.deepEqual(place('s3:s3.us-gov-west-1.amazonaws.com/buck.et').region, 'us-gov-west-1');
});

test('a bucket of a compatible server', () => {
  for (const url of [
    's3:host:9000/bucket/pre/fix',
    's3:https://host:9000/bucket/pre//fix/',
    's3://host:9000/bucket/pre/fix',
    's3:/host:9000/bucket/pre/fix',
  ])
    assert.deepEqual(place(url), own, url);
  assert.deepEqual(place('s3://bucket/pre/fix?endpoint=https://host:9000'), own);
  assert.deepEqual(place('s3://bucket/pre/fix', { endpoint: 'host:9000' }), own);
  assert.deepEqual(place('s3://bucket/pre/fix?endpoint=host:9000&pathStyle=false&region=xy').pathStyle, false);
  assert.equal(place('s3:http://[::1]:80/bucket').endpoint, 'http://[::1]');
  assert.equal(place('s3://bucket/a%20b/%C3%A9').prefix, 'a b/é');
  assert.equal(place('s3:s3.amazonaws.com.evil.example/bucket').endpoint, 'https://s3.amazonaws.com.evil.example');
});

test('the query goes before the options', () => {
  const settings = parseS3Address({
    url: 's3://bucket?region=a&connections=3&timeout=7s',
    options: { region: 'b', profile: 'c', connectTimeout: '2s', anonymous: 'true', storageClass: 'STANDARD_IA' },
  });
  assert.equal(settings.region, 'a');
  assert.equal(settings.profile, 'c');
  assert.equal(settings.anonymous, true);
  assert.equal(settings.storageClass, 'STANDARD_IA');
  assert.deepEqual([settings.connections, settings.connectTimeoutMs, settings.idleTimeoutMs], [3, 2000, 7000]);
});

test('object lock and encryption', () => {
  const { objectLock, serverSideEncryption } = parseS3Address({
    url: 's3://bucket?objectLock=governance&retainDays=30&serverSideEncryption=aws:kms&kmsKeyId=alias/backups',
  });
  assert.deepEqual(objectLock, { mode: 'GOVERNANCE', retainDays: 30 });
  assert.deepEqual(serverSideEncryption, { algorithm: 'aws:kms', kmsKeyId: 'alias/backups' });
});

test('what cannot be used is refused, and never repeated where it may hold a secret', () => {
  const wrong: [url: string, message: RegExp][] = [
    ['s3:', /bucket|host/],
    ['s3://', /bucket/],
    ['s3:host', /bucket/],
    ['s3:host/', /bucket/],
    ['s3:https:///bucket', /host/],
    ['s3://abc/../x', /prefix/],
    ['s3://b%zz/x', /escape/],
    ['s3:https://key:hush@host/bucket', /credentials/],
    ['s3://key:hush@host/bucket', /credentials/],
    ['s3://bucket?endpoint=https://key:hush@host', /credentials/],
    ['s3://bucket?endpoint=host/path', /without a path/],
    ['s3:host/bucket?endpoint=other', /an endpoint too/],
    ['s3://bucket?secretAccessKey=hush', /no option "secretAccessKey"/],
    ['s3://bucket?pathStyle=yes', /pathStyle is true or false/],
    ['s3://bucket?objectLock=compliance', /needs retainDays/],
    ['s3://bucket?retainDays=3', /needs objectLock/],
    ['s3://bucket?objectLock=legal&retainDays=3', /compliance or governance/],
    ['s3://bucket?objectLock=compliance&retainDays=0', /whole number from 1/],
    ['s3://bucket?objectLock=compliance&retainDays=1e3', /whole number/],
    ['s3://bucket?serverSideEncryption=rot13', /AES256 or aws:kms/],
    ['s3://bucket?kmsKeyId=x', /AES256 or aws:kms/],
    ['s3://bucket?serverSideEncryption=AES256&kmsKeyId=x', /needs serverSideEncryption: aws:kms/],
    ['s3://bucket?connections=0', /whole number/],
    ['s3://bucket?timeout=5', /timeout is a duration/],
  ];
  for (const [url, message] of wrong) {
    assert.throws(
      () => parseS3Address({ url }),
      (error: Error & { code: string; remedy: string }) => {
        assert.equal(error.code, 'usage', url);
        assert.match(error.message, message, url);
        assert.doesNotMatch(error.message + error.remedy, /hush/, url);
        return true;
      },
    );
  }
});
