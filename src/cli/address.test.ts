import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AddressSources, addressOf, cacheRootOf } from './address.ts';
import { isLocalUrl, openStorage } from './compose.ts';

const sources = (more: Partial<AddressSources> = {}): AddressSources => ({
  url: 's3:bucket',
  global: {},
  environment: { HOME: '/home/someone' },
  cwd: '/srv/shop',
  ...more,
});
const configured = {
  options: { region: 'eu-west-1' },
  limits: { uploadBytesPerSecond: 1000, downloadBytesPerSecond: undefined },
  cache: true,
};

test('limits and options come from holdfast.yaml; the command line goes before it', () => {
  assert.deepEqual(addressOf(sources()), { url: 's3:bucket' });
  const fromFile = addressOf(sources({ configured }));
  assert.deepEqual(fromFile.options, { region: 'eu-west-1' });
  assert.deepEqual([fromFile.limits?.upload?.bytesPerSecond, fromFile.limits?.download], [1000, undefined]);
  const { limits } = addressOf(sources({ configured, global: { limitUpload: '10M', limitDownload: '1Mi' } }));
  assert.deepEqual([limits?.upload?.bytesPerSecond, limits?.download?.bytesPerSecond], [10_000_000, 1_048_576]);
  for (const limitUpload of ['fast', '0', '-1', ''])
    assert.throws(() => addressOf(sources({ global: { limitUpload } })), { code: 'usage', message: /--limit-upload/ });
});

test('the cache is where the option, the environment or the system says, and only for what is far away', () => {
  const root = (more: Partial<AddressSources>) => cacheRootOf(sources(more));
  const environment = { HOME: '/home/someone', XDG_CACHE_HOME: '/var/cache/someone', HOLDFAST_CACHE_DIR: 'cache' };
  assert.equal(root({}), '/home/someone/.cache/holdfast');
  assert.equal(root({ environment: { ...environment, HOLDFAST_CACHE_DIR: undefined } }), '/var/cache/someone/holdfast');
  assert.equal(root({ environment: { HOME: '/home/someone', XDG_CACHE_HOME: 'relative' } }), '/home/someone/.cache/holdfast');
  assert.equal(root({ environment }), '/srv/shop/cache');
  assert.equal(root({ environment, global: { cacheDir: '/tmp/here', cache: true } }), '/tmp/here');
  assert.equal(root({ global: { cache: false } }), undefined);
  assert.equal(root({ configured: { ...configured, cache: false } }), undefined);
  for (const url of ['/srv/repository', 'local:/srv/repository', 'file:///srv/repository']) assert.equal(root({ url }), undefined);
  assert.deepEqual(['/a', './a:b', 'local:a', 'rest:http://host/'].map(isLocalUrl), [true, true, true, false]);
});

test('where a storage is never shows the password in its URL', async () => {
  const urls = ['rest:https://someone:s3cret@host:8000/shop/', 'rest:http://someone:s3cret@host/'];
  for (const url of urls) {
    const storage = await openStorage({ url });
    assert.match(storage.location, /host/);
    assert.doesNotMatch(storage.location, /s3cret/);
    await storage.close?.();
  }
});
