import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlatformContainer, PlatformVolume } from '../../platform/platform.ts';
import { type HaltWay, planVolumeMigration } from './plan-volume-migration.ts';

const container = (name: string, more: Partial<PlatformContainer> = {}): PlatformContainer => ({
  ...{ id: `id-of-${name}`, name, image: 'image', state: 'running', project: 'shop', service: name },
  ...{ dependsOn: [], labels: {}, mounts: [], ...more },
});
const labels = { 'com.docker.compose.project': 'shop', 'com.docker.compose.volume': 'data', 'com.docker.volume.anonymous': '' };
const volume = (name: string, users: PlatformContainer[] = []): PlatformVolume => ({
  ...{
    name,
    project: 'shop',
    key: 'data',
    anonymous: false,
    driver: 'local',
    driverOptions: {},
    labels,
    mountPoint: '/x',
    createdAt: undefined,
  },
  users: users.map((user) => ({ container: user, path: '/data', readOnly: false })),
});
const engine = (...volumes: PlatformVolume[]) => ({
  volumes,
  containers: volumes.flatMap(({ users }) => users.map((user) => user.container)),
});

type Ask = { target?: string; way?: HaltWay; here?: ReturnType<typeof engine>; there?: ReturnType<typeof engine> };
const plan = ({ target = 'copy', way = 'stop', here = engine(volume('shop_data')), there }: Ask) =>
  planVolumeMigration({ source: 'shop_data', target, inventory: here, targetInventory: there ?? here, way });

test('what runs is halted, dependents first; what does not is left', () => {
  const users = [
    container('db'),
    container('app', { dependsOn: [{ service: 'db', condition: '' }] }),
    container('old', { state: 'exited' }),
  ];
  const here = engine(volume('shop_data', users));
  const names = (way: HaltWay) => plan({ here, way }).halt.map(({ name }) => name);
  assert.deepEqual([names('stop'), names('pause'), names('live')], [['app', 'db'], ['app', 'db'], []]);
  assert.match(plan({ here, way: 'live' }).notes[0] ?? '', /read while db, app may write/);
});

test("the same name on another Engine keeps Compose's labels, a copy beside it has none", () => {
  const { 'com.docker.volume.anonymous': _, ...kept } = labels;
  assert.deepEqual(plan({ target: 'shop_data', there: engine() }).make?.labels, kept);
  assert.deepEqual(plan({ target: 'copy', there: engine() }).make?.labels, {});
  assert.deepEqual(plan({ target: 'copy' }).make?.labels, {});
});

test('a target that is there is not made; one that is in use is refused', () => {
  assert.equal(plan({ there: engine(volume('copy', [container('old', { state: 'exited' })])) }).make, undefined);
  for (const state of ['running', 'paused', 'restarting'] as const) {
    assert.throws(() => plan({ there: engine(volume('copy', [container('web', { state })])) }), {
      code: 'volume-in-use',
      message: /by container web/,
    });
  }
});

test('no source, itself, and what Swarm would start again', () => {
  assert.throws(() => plan({ here: engine() }), { code: 'volume-missing' });
  assert.throws(() => plan({ target: 'shop_data' }), { code: 'usage' });
  const here = engine(volume('shop_data', [container('web.1', { labels: { 'com.docker.swarm.service.id': 'x' } })]));
  assert.throws(() => plan({ here }), { code: 'volume-in-use', remedy: /--cut pause/ });
  assert.equal(plan({ here, way: 'pause' }).halt.length, 1);
});
