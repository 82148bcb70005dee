import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratch } from '../../../test/peers.ts';
import { HoldfastError } from '../../model/errors.ts';
import { defaultSockets, describeEndpoint, type EndpointOptions, findEndpoint } from './endpoint.ts';

const find = (environment: EndpointOptions['environment'], more: Partial<EndpointOptions> = {}) =>
  findEndpoint({ environment, home: undefined, uid: 0, ...more });

const refused = async (promise: Promise<unknown>, code: string, message: RegExp) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof HoldfastError);
    assert.equal(error.code, code);
    assert.match(`${error.message} ${error.remedy}`, message);
    assert.doesNotMatch(`${error.message} ${error.remedy}`, /secret/);
    return true;
  });

test('addresses of every kind', async () => {
  assert.deepEqual(await find({ DOCKER_HOST: 'unix:///a/socket' }), { kind: 'unix', socket: '/a/socket' });
  assert.deepEqual(
    await find({ DOCKER_HOST: 'unix:///a/socket' }, { host: '/b' }),
    { kind: 'unix', socket: '/b' },
    'the option goes before',
  );
  assert.deepEqual(await find({ DOCKER_HOST: 'tcp://engine:1234' }), { kind: 'tcp', host: 'engine', port: 1234, tls: undefined });
  assert.deepEqual(await find({ DOCKER_HOST: 'tcp://[::1]' }), { kind: 'tcp', host: '::1', port: 2375, tls: undefined });
  const ssh = await find({ DOCKER_HOST: 'ssh://me@engine:22' });
  assert.deepEqual(ssh, { kind: 'ssh', destination: 'me@engine', port: 22 });
  assert.equal(describeEndpoint(ssh), 'ssh://engine');
  for (const host of ['npipe://x', 'engine:1234', 'tcp://', '']) {
    if (host !== '') await refused(find({ DOCKER_HOST: host }), 'usage', /unix:\/\/\/path/);
  }
  // ssh would take these for options, and passwords show in the list of processes.
  for (const host of ['ssh://-oProxyCommand=x', 'ssh://-l@engine', 'ssh://me:secret@engine']) {
    await refused(find({ DOCKER_HOST: host }), 'usage', /ssh:\/\/\[USER@\]HOST|address/);
  }
});

test('certificates are where the docker program has them', async (t) => {
  const folder = scratch(t);
  for (const name of ['ca', 'cert', 'key']) writeFileSync(join(folder, `${name}.pem`), name);
  const tls = { ca: 'ca', cert: 'cert', key: 'key' };
  const environment = { DOCKER_HOST: 'tcp://engine', DOCKER_TLS_VERIFY: '1' };
  assert.deepEqual(await find({ ...environment, DOCKER_CERT_PATH: folder }), {
    kind: 'tcp',
    host: 'engine',
    port: 2376,
    tls: { ...tls, verify: true },
  });
  assert.deepEqual(await find({ ...environment, DOCKER_CONFIG: folder }), {
    kind: 'tcp',
    host: 'engine',
    port: 2376,
    tls: { ...tls, verify: true },
  });
  const half = scratch(t);
  writeFileSync(join(half, 'cert.pem'), 'secret');
  await refused(find({ ...environment, DOCKER_CERT_PATH: half }), 'engine-unreachable', /cert\.pem without key\.pem/);
});

function withContext(t: TestContext, name: string, meta: unknown): string {
  const home = scratch(t);
  const id = createHash('sha256').update(name).digest('hex');
  mkdirSync(join(home, '.docker/contexts/meta', id), { recursive: true });
  mkdirSync(join(home, '.docker/contexts/tls', id, 'docker'), { recursive: true });
  writeFileSync(join(home, '.docker/config.json'), JSON.stringify({ currentContext: name, auths: { registry: { auth: 'secret' } } }));
  writeFileSync(join(home, '.docker/contexts/meta', id, 'meta.json'), JSON.stringify(meta));
  writeFileSync(join(home, '.docker/contexts/tls', id, 'docker/ca.pem'), 'ca');
  return home;
}

test('contexts, current and named', async (t) => {
  const home = withContext(t, 'far', { Name: 'far', Endpoints: { docker: { Host: 'tcp://far:2376', SkipTLSVerify: false } } });
  const far = { kind: 'tcp', host: 'far', port: 2376, tls: { ca: 'ca', cert: undefined, key: undefined, verify: true } };
  assert.deepEqual(await find({}, { home }), far);
  assert.deepEqual(await find({ DOCKER_CONTEXT: 'far' }, { home }), far);
  assert.deepEqual(await find({ DOCKER_HOST: 'unix:///x' }, { home }), { kind: 'unix', socket: '/x' });
  await refused(find({ DOCKER_CONTEXT: 'nowhere' }, { home }), 'engine-unreachable', /no Docker context "nowhere"/);
  writeFileSync(join(home, '.docker/config.json'), '{"auths": "secret"');
  await refused(find({}, { home }), 'engine-unreachable', /config\.json is not JSON/);
});

test('the usual sockets, in their order', async (t) => {
  const runtime = scratch(t);
  const options = { environment: { XDG_RUNTIME_DIR: runtime }, home: '/home/me', uid: 1000 };
  assert.deepEqual(defaultSockets(options), [
    '/var/run/docker.sock',
    join(runtime, 'docker.sock'),
    '/home/me/.docker/run/docker.sock',
    '/home/me/.docker/desktop/docker.sock',
    join(runtime, 'podman/podman.sock'),
  ]);
  assert.ok(defaultSockets({ ...options, uid: 0 }).includes('/run/podman/podman.sock'));
});
