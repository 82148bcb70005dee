import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Inventory, PlatformContainer, PlatformVolume } from '../../platform/platform.ts';
import { composeVolumeLabels, planRestore, refuseTooLittleSpace, type SpaceNeed } from './plan-restore.ts';

const container = (name: string, more: Partial<PlatformContainer> = {}): PlatformContainer => ({
  ...{ id: `id-of-${name}`, name, image: 'image', state: 'running', project: 'shop', service: name },
  ...{ dependsOn: [], labels: {}, mounts: [], ...more },
});
const volume = (name: string, users: PlatformContainer[] = [], more: Partial<PlatformVolume> = {}): PlatformVolume => ({
  ...{ name, project: undefined, key: undefined, anonymous: false, driver: 'local', driverOptions: {}, labels: {} },
  ...{ mountPoint: `/volumes/${name}`, createdAt: undefined, ...more },
  users: users.map((user) => ({ container: user, path: '/data', readOnly: false })),
});
const inventory = (volumes: PlatformVolume[], more: PlatformContainer[] = []): Inventory => {
  const users = volumes.flatMap((each) => each.users.map((user) => user.container));
  return { volumes, containers: [...new Set([...users, ...more])], bindMounts: [] };
};
const target = (engineVolume: string, like?: string) => ({
  volume: 'data',
  engineVolume,
  labels: {},
  ...(like === undefined ? {} : { like }),
});

test('containers stop each once, dependents first, those of other volumes not at all', () => {
  const db = container('db');
  const app = container('app', { dependsOn: [{ service: 'db', condition: 'service_started' }] });
  const found = inventory([volume('a', [db, app]), volume('b', [app]), volume('c', [container('bystander')])]);
  const { stop, create, notes } = planRestore(found, [target('a'), target('b')]);
  assert.deepEqual(
    stop.map((group) => group.map(({ name }) => name)),
    [['app'], ['db']],
  );
  assert.deepEqual([create, notes], [[], []]);
});

test('containers that do not run and hold the volume are named, once', () => {
  const exited = container('old', { state: 'exited' });
  const { stop, notes } = planRestore(inventory([volume('a', [exited, exited])]), [target('a')]);
  assert.deepEqual(stop, []);
  assert.deepEqual(notes, ['container old, which is exited, mounts a: it gets the restored content when it starts']);
});

test('a paused container and one of Swarm are refused, with what to do', () => {
  const refusal = (user: PlatformContainer) => () => planRestore(inventory([volume('a', [user])]), [target('a')]);
  assert.throws(refusal(container('web', { state: 'paused' })), { code: 'volume-in-use', remedy: /docker unpause web/ });
  const task = container('web.1', { service: 'web', labels: { 'com.docker.swarm.service.id': 'x' } });
  assert.throws(refusal(task), { code: 'volume-in-use', remedy: /docker service scale web=0/ });
});

test('a volume in memory is refused', () => {
  const memory = volume('a', [], { driverOptions: { type: 'tmpfs', device: 'tmpfs' } });
  assert.throws(() => planRestore(inventory([memory]), [target('a')]), { code: 'unsupported' });
});

test('a missing volume is made like the one that was saved, but never at the same place', () => {
  const plugin = volume('plugin', [], { driver: 'rexray', driverOptions: { size: '10' } });
  const limited = volume('limited', [], { driverOptions: { size: '10G' } });
  const nfs = volume('nfs', [], { driverOptions: { type: 'nfs', o: 'addr=host', device: ':/export' } });
  const found = inventory([plugin, limited, nfs]);
  const made = (like?: string) => planRestore(found, [target('new', like)]);
  assert.deepEqual(made('plugin').create[0], { name: 'new', driver: 'rexray', driverOptions: { size: '10' }, labels: {} });
  assert.deepEqual(made('limited').create[0]?.driverOptions, { size: '10G' });
  assert.deepEqual(made().create[0], { name: 'new', driver: 'local', driverOptions: {}, labels: {} });
  const copy = made('nfs');
  assert.deepEqual(copy.create[0]?.driverOptions, {});
  assert.deepEqual(copy.notes, ['nfs is at :/export: its copy is an ordinary volume of the Engine']);
});

test("Compose's labels have the version of the project's containers", () => {
  const labels = { 'com.docker.compose.version': '2.20.0' };
  assert.deepEqual(composeVolumeLabels('shop', 'data', { containers: [container('app', { labels })] }), {
    ...{ 'com.docker.compose.project': 'shop', 'com.docker.compose.volume': 'data', ...labels },
  });
  assert.equal(
    composeVolumeLabels('other', 'data', { containers: [container('app', { labels })] })['com.docker.compose.version'],
    undefined,
  );
});

test('space counts by file system; what is there is reused', () => {
  const need = (name: string, more: Partial<SpaceNeed>): SpaceNeed => ({
    ...{ volume: name, directory: `/${name}`, device: 1, availableBytes: 100, neededBytes: 60, presentBytes: 0, ...more },
  });
  refuseTooLittleSpace([need('a', {}), need('b', { device: 2 })]);
  refuseTooLittleSpace([need('a', {}), need('b', { presentBytes: 20 })]);
  // What one volume has too much is no room for another.
  assert.throws(() => refuseTooLittleSpace([need('a', { neededBytes: 101 }), need('b', { presentBytes: 1000 })]), { code: 'target-full' });
  assert.throws(() => refuseTooLittleSpace([need('a', {}), need('b', {})]), {
    code: 'target-full',
    message: /restoring a, b takes about 120 B/,
  });
});
