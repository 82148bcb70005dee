import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { findAccess } from './s3-access.ts';
import { parseS3Address } from './s3-settings.ts';

const keys = { AWS_ACCESS_KEY_ID: 'AKID', AWS_SECRET_ACCESS_KEY: 'hush' };
const noFiles = { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null', AWS_EC2_METADATA_DISABLED: 'true' };

async function found(t: TestContext, url: string, environment: NodeJS.ProcessEnv, options: Record<string, string> = {}) {
  const access = await findAccess(parseS3Address({ url, options }), environment);
  t.after(() => access.close());
  return { region: access.region, url: (await access.bucketUrl(access.region)).href, credentials: await access.credentials() };
}

/** The SDK looks into the environment of the process. */
function inEnvironment(t: TestContext, variables: Record<string, string>): NodeJS.ProcessEnv {
  const before = { ...process.env };
  t.after(() => {
    process.env = before;
  });
  const rest = Object.entries(before).filter(([name]) => !name.startsWith('AWS_'));
  process.env = { ...Object.fromEntries(rest), ...variables };
  return process.env;
}

test('hosts of AWS follow from region and bucket, by the environment alone and as the SDK says', async (t) => {
  const cases: [url: string, region: string, expected: string][] = [
    ['s3://some-bucket/p', 'eu-west-1', 'https://some-bucket.s3.eu-west-1.amazonaws.com/'],
    ['s3://some-bucket/p', 'us-east-1', 'https://some-bucket.s3.us-east-1.amazonaws.com/'],
    ['s3://some-bucket/p', 'cn-north-1', 'https://some-bucket.s3.cn-north-1.amazonaws.com.cn/'],
    ['s3://some-bucket/p', 'us-gov-west-1', 'https://some-bucket.s3.us-gov-west-1.amazonaws.com/'],
    ['s3://with.dots/p', 'eu-west-1', 'https://s3.eu-west-1.amazonaws.com/with.dots/'],
    ['s3://some-bucket/p?pathStyle=true', 'eu-west-1', 'https://s3.eu-west-1.amazonaws.com/some-bucket/'],
  ];
  const files = profiles(t, '[default]\naws_access_key_id = FILED\naws_secret_access_key = s\n');
  for (const [url, region, expected] of cases) {
    assert.equal((await found(t, url, { ...noFiles, ...keys, AWS_REGION: region })).url, expected);
    const bySdk = await found(t, url, inEnvironment(t, { ...files, AWS_REGION: region }));
    assert.deepEqual([bySdk.url, bySdk.credentials?.accessKeyId], [expected, 'FILED']);
  }
});

test('regions that only the SDK knows, and variables that change the hosts, are left to it', async (t) => {
  const iso = await found(t, 's3://some-bucket', inEnvironment(t, { ...noFiles, ...keys, AWS_REGION: 'us-iso-east-1' }));
  assert.equal(iso.url, 'https://some-bucket.s3.us-iso-east-1.c2s.ic.gov/');
  const variables = { ...noFiles, ...keys, AWS_REGION: 'us-east-2', AWS_USE_FIPS_ENDPOINT: 'true' };
  const fips = await found(t, 's3://some-bucket', inEnvironment(t, variables));
  assert.equal(fips.url, 'https://some-bucket.s3-fips.us-east-2.amazonaws.com/');
  const elsewhere = { ...noFiles, ...keys, AWS_REGION: 'us-east-2', AWS_ENDPOINT_URL_S3: 'https://inner.example:9000' };
  const inner = await found(t, 's3://some-bucket', inEnvironment(t, elsewhere), { pathStyle: 'true' });
  assert.equal(inner.url, 'https://inner.example:9000/some-bucket/');
});

test('an endpoint holds the bucket in its path, or in its name where that is wanted', async (t) => {
  const environment = { ...noFiles, ...keys };
  assert.equal((await found(t, 's3:https://host:9000/bucket/p', environment)).url, 'https://host:9000/bucket/');
  const named = await found(t, 's3:https://host:9000/bucket/p', environment, { pathStyle: 'false' });
  assert.equal(named.url, 'https://bucket.host:9000/');
  const address = await found(t, 's3:http://127.0.0.1:9000/bucket/p', environment, { pathStyle: 'false' });
  assert.equal(address.url, 'http://127.0.0.1:9000/bucket/');
});

test('a profile gives credentials and region', async (t) => {
  const files = profiles(t, '[other]\naws_access_key_id = OTHER\naws_secret_access_key = s\naws_session_token = t\nregion = mars-1\n');
  const options = { profile: 'other' };
  const { region, credentials } = await found(t, 's3:http://127.0.0.1:1/bucket', inEnvironment(t, { ...keys, ...files }), options);
  assert.deepEqual([region, credentials?.accessKeyId, credentials?.sessionToken], ['mars-1', 'OTHER', 't']);
});

test('without credentials anywhere it says so', async (t) => {
  await assert.rejects(found(t, 's3:http://127.0.0.1:1/bucket', inEnvironment(t, noFiles)), { name: 'CredentialsProviderError' });
  assert.equal((await found(t, 's3:http://127.0.0.1:1/bucket', noFiles, { anonymous: 'true' })).credentials, undefined);
});

test('directory buckets are refused', async (t) => {
  await assert.rejects(found(t, 's3://name--use1-az4--x-s3/p', { ...noFiles, ...keys }), { code: 'unsupported' });
});

test("a configuration that cannot be looked for is none: the environment's credentials do", async (t) => {
  // A name that is too long fails, whoever asks, as a home that others may not enter fails for all but root.
  const unreadable = { ...keys, AWS_CONFIG_FILE: `/${'x'.repeat(300)}` };
  assert.equal((await found(t, 's3:http://127.0.0.1:1/bucket', unreadable)).credentials?.accessKeyId, 'AKID');
});

function profiles(t: TestContext, content: string): Record<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'credentials');
  writeFileSync(file, content);
  return { ...noFiles, AWS_SHARED_CREDENTIALS_FILE: file };
}
