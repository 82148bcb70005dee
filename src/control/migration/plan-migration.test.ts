import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HostBind, type MigrationRequest, planMigration } from './plan-migration.ts';

const bind = (service: string, directory: string, more: Partial<HostBind['entry']> & Pick<Partial<HostBind>, 'kind'> = {}): HostBind => {
  const { kind = 'directory', ...entry } = more;
  return {
    ...{ file: '/srv/shop/compose.yml', directory, kind },
    entry: { service, from: directory, path: '/data', readOnly: false, hindrance: undefined, ...entry } as HostBind['entry'],
  };
};
const plan = (binds: HostBind[], more: Partial<MigrationRequest> = {}) =>
  planMigration({ ...{ project: 'shop', folder: '/srv/shop', binds, services: undefined, takenKeys: [], takenVolumes: [] }, ...more });
const reasonOf = (found: HostBind, ...others: HostBind[]) => plan([found, ...others]).staying[0]?.reason ?? 'none';

test('a directory that several services mount becomes one volume', () => {
  const { volumes, staying } = plan([
    bind('web', '/srv/shop/data'),
    bind('worker', '/srv/shop/data', { readOnly: true }),
    bind('db', '/srv/shop/db'),
  ]);
  assert.deepEqual(
    volumes.map(({ key, engineVolume, uses }) => [key, engineVolume, uses.map(({ service }) => service)]),
    [
      ['data', 'shop_data', ['web', 'worker']],
      ['db', 'shop_db', ['db']],
    ],
  );
  assert.deepEqual(staying, []);
});

test('what stays says why', () => {
  assert.match(reasonOf(bind('web', '/gone', { kind: 'missing' })), /not there/);
  assert.match(reasonOf(bind('web', '/srv/shop/nginx.conf', { kind: 'other' })), /no directory/);
  for (const path of ['/', '/etc', '/etc/nginx', '/var/run', '/var/lib/docker/volumes', '/dev'])
    assert.match(reasonOf(bind('web', path)), /part of the system/);
  for (const path of ['/srv/shop', '/srv']) assert.match(reasonOf(bind('web', path)), /project itself/);
  assert.match(reasonOf(bind('web', '/srv/shop/settings', { readOnly: true })), /read-only everywhere/);
  assert.match(reasonOf(bind('web', '/srv/data'), bind('db', '/srv/data/db')), /overlaps with \/srv\/data\/db/);
  assert.match(reasonOf(bind('web', '/srv/data', { hindrance: 'it has options' })), /it has options/);
  assert.equal(reasonOf(bind('web', '/etcetera')), 'none');
  assert.equal(reasonOf(bind('web', '/srv/data'), bind('db', '/srv/data-2')), 'none');
});

test('names are new, and such as Compose takes', () => {
  const keys = (paths: string[], more: Partial<MigrationRequest> = {}) =>
    plan(
      paths.map((path) => bind('web', path)),
      more,
    ).volumes.map(({ key }) => key);
  assert.deepEqual(keys(['/a/data', '/b/data', '/c/data']), ['data', 'web-data', 'data-2']);
  assert.deepEqual(keys(['/a/Ünder Score_1.x']), ['nder-score_1.x']);
  assert.deepEqual(keys(['/a/...']), ['data']);
  assert.deepEqual(keys(['/a/data'], { takenKeys: ['data'] }), ['web-data']);
  assert.deepEqual(keys(['/a/data'], { takenVolumes: ['shop_data'] }), ['web-data']);
});

test('only the services that are named; those without bind mounts are a mistake', () => {
  const binds = [bind('web', '/srv/a'), bind('db', '/srv/b')];
  assert.deepEqual(
    plan(binds, { services: ['db'] }).volumes.map(({ key }) => key),
    ['b'],
  );
  assert.throws(() => plan(binds, { services: ['cache'] }), { code: 'usage', message: /service cache has no bind mounts/ });
});
