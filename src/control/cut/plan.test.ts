import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HoldfastError } from '../../model/errors.ts';
import type { ContainerState, Inventory, MountedBy, PlatformContainer } from '../../platform/platform.ts';
import { applicationOfImage } from '../recipes/application.ts';
import { haltGroups } from './order.ts';
import { type ApplicationFacts, planCut as decide, type VolumeOfCut } from './plan.ts';
import type { HaltingFacts } from './stoppable.ts';

type Wanted = { image?: string; state?: ContainerState; dependsOn?: string[]; labels?: Record<string, string> };

const container = (service: string, { image = 'app', state = 'running', dependsOn = [], labels = {} }: Wanted = {}): PlatformContainer => ({
  id: `id-${service}`,
  name: `shop-${service}-1`,
  image,
  state,
  project: 'shop',
  service,
  dependsOn: dependsOn.map((name) => ({ service: name, condition: 'service_started' })),
  labels,
  mounts: [],
});

const writes = (user: PlatformContainer): MountedBy => ({ container: user, path: '/data', readOnly: false });
const reads = (user: PlatformContainer): MountedBy => ({ ...writes(user), readOnly: true });

function inventory(users: Record<string, MountedBy[]>, labels: Record<string, string> = {}): Inventory {
  const volumes = Object.entries(users).map(([name, usedBy]) => ({
    ...{ name, project: 'shop', key: name, anonymous: false, driver: 'local', driverOptions: {}, labels },
    ...{ mountPoint: `/v/${name}`, createdAt: undefined, users: usedBy },
  }));
  const all = [...new Set(Object.values(users).flatMap((usedBy) => usedBy.map((user) => user.container)))];
  return { volumes, containers: all, bindMounts: [] };
}

const volume = (name: string, more: Partial<VolumeOfCut> = {}): VolumeOfCut => ({
  ...{ name, engineVolume: name, directory: `/v/${name}`, app: undefined, way: 'auto' as const },
  ...more,
});
const facts = (more: Partial<ApplicationFacts> = {}): ApplicationFacts => ({
  redisAppendOnly: new Map(),
  ownContainer: undefined,
  ...more,
});
const stoppable: HaltingFacts = { unstoppable: new Map(), services: new Map(), stopTimeoutsMs: new Map() };
const planCut = (known: Inventory, volumes: readonly VolumeOfCut[], applications: ApplicationFacts, halting = stoppable) =>
  decide(known, volumes, applications, halting);
const wayOf = (users: MountedBy[], more: Partial<VolumeOfCut> = {}, known = facts(), labels = {}) =>
  planCut(inventory({ data: users }, labels), [volume('data', more)], known).volumes[0]?.way;

test('the way follows from what runs', () => {
  assert.equal(wayOf([]), 'live');
  assert.equal(wayOf([reads(container('web'))]), 'live');
  assert.equal(wayOf([writes(container('web', { state: 'exited' }))]), 'live');
  assert.equal(wayOf([writes(container('web'))]), 'pause');
  assert.equal(wayOf([writes(container('db', { image: 'postgres:16' }))]), 'pause');
  const redis = writes(container('redis', { image: 'redis:7-alpine' }));
  const saying = (answer: boolean | 'unknown') => facts({ redisAppendOnly: new Map([['id-redis', answer]]) });
  assert.equal(wayOf([redis], {}, saying(true)), 'pause');
  assert.equal(wayOf([redis], {}, saying(false)), 'dump');
  assert.equal(wayOf([redis], {}, saying('unknown')), 'stop');
  assert.equal(wayOf([redis, writes(container('worker'))], {}, saying(false)), 'stop');
});

test('what is asked goes before labels, a label of the volume before one of the container', () => {
  const labelled = writes(container('web', { labels: { 'holdfast.cut': 'stop' } }));
  assert.equal(wayOf([labelled]), 'stop');
  assert.equal(wayOf([labelled], {}, facts(), { 'holdfast.cut': 'live' }), 'live');
  assert.equal(wayOf([labelled], { way: 'pause' }, facts(), { 'holdfast.cut': 'live' }), 'pause');
  assert.throws(() => wayOf([labelled], {}, facts(), { 'holdfast.cut': 'freeze' }), /holdfast.cut says "freeze"/);
});

test('what depends on others is halted first, also across what is not halted; a container once, by the strongest way', () => {
  const db = container('db');
  const cache = container('cache', { dependsOn: ['db'] });
  const web = container('web', { dependsOn: ['cache'] });
  const plan = planCut(
    inventory({ a: [writes(db), reads(cache)], b: [writes(web)], c: [writes(web)] }),
    [volume('a'), volume('b'), volume('c', { way: 'stop' })],
    facts(),
  );
  assert.deepEqual(
    plan.halts.map((group) => group.map((halt) => [halt.container.service, halt.action])),
    [[['web', 'stop']], [['db', 'pause']]],
  );
});

test('a circle of dependencies is halted all the same', () => {
  const all = [container('a', { dependsOn: ['b'] }), container('b', { dependsOn: ['a'] }), container('c')];
  assert.equal(haltGroups(all, all).flat().length, 3);
});

test('the container that this runs in, and one that others paused, are not halted: the volume is uncertain', () => {
  const [own, paused] = [container('own'), container('paused', { state: 'paused' })];
  const plan = planCut(
    inventory({ data: [writes(own)], more: [writes(paused)] }),
    [volume('data'), volume('more')],
    facts({ ownContainer: 'id-own' }),
  );
  assert.deepEqual([plan.halts, plan.volumes.map(({ uncertain }) => uncertain)], [[], [true, true]]);
});

test('directories are read live unless asked otherwise', () => {
  const web = container('web');
  const mounted: Inventory = { volumes: [], containers: [web], bindMounts: [{ from: '/srv/app/data', users: [writes(web)] }] };
  const directory = volume('data', { engineVolume: undefined, directory: '/srv/app' });
  assert.equal(planCut(mounted, [directory], facts()).volumes[0]?.way, 'live');
  assert.deepEqual(planCut(mounted, [{ ...directory, way: 'stop' }], facts()).halts.flat()[0]?.container, web);
  assert.deepEqual(planCut(mounted, [{ ...directory, directory: '/srv/application', way: 'stop' }], facts()).halts, []);
});

test('what cannot be is refused', () => {
  const code = (expected: string) => (error: unknown) => error instanceof HoldfastError && error.code === expected;
  const swarm = writes(container('web', { labels: { 'com.docker.swarm.service.id': 'x' } }));
  assert.throws(() => wayOf([swarm], { way: 'stop' }), code('unsupported'));
  assert.equal(wayOf([swarm]), 'pause');
  const dump = { way: 'dump' } as const;
  assert.throws(() => wayOf([writes(container('web'))], dump), code('usage'));
  assert.throws(() => wayOf([], { ...dump, app: 'postgres' }), code('usage'));
  const redis = writes(container('redis', { image: 'redis' }));
  assert.throws(() => wayOf([redis], dump, facts({ redisAppendOnly: new Map([['id-redis', true]]) })), /append-only/);
});

test('what stops for good is paused unless it was asked to be stopped: then that is refused', () => {
  const redis = writes(container('redis', { image: 'redis:7' }));
  const known = inventory({ data: [redis] });
  const vanishing = { ...stoppable, unstoppable: new Map([['id-redis', 'would be removed when it stops (--rm)']]) };
  const planned = planCut(known, [volume('data')], facts(), vanishing);
  assert.deepEqual(planned.volumes[0]?.way, 'pause');
  assert.match(planned.volumes[0]?.reason ?? '', /shop-redis-1 would be removed when it stops \(--rm\)/);
  assert.deepEqual(
    planned.halts.flat().map(({ action }) => action),
    ['pause'],
  );
  const asked = () => planCut(known, [volume('data', { way: 'stop' })], facts(), vanishing);
  assert.throws(asked, (error) => error instanceof HoldfastError && error.code === 'unsupported' && error.volume === 'data');
  // One that doesn't run is not touched, and one that only reads isn't either.
  const still = inventory({ data: [writes(container('redis', { state: 'exited' })), reads(container('web'))] });
  assert.deepEqual(planCut(still, [volume('data', { way: 'stop' })], facts(), vanishing).halts, []);
});

test('a container that restarts again and again is not halted: the volume is uncertain', () => {
  const planned = planCut(
    inventory({ data: [writes(container('web', { state: 'restarting' }))] }),
    [volume('data', { way: 'stop' })],
    facts(),
  );
  assert.deepEqual([planned.halts, planned.volumes[0]?.uncertain], [[], true]);
});

test('a replicated service of Swarm is scaled to 0, all its tasks as one; others are paused or refused', () => {
  const task = (number: number) => ({ ...container('web', { labels: { 'com.docker.swarm.service.id': 's' } }), id: `t${number}` });
  const known = inventory({ data: [writes(task(1)), writes(task(2))] });
  const service = (replicas: number | undefined) => ({ ...stoppable, services: new Map([['s', { id: 's', name: 'shop_web', replicas }]]) });
  const stop = [volume('data', { way: 'stop' })];
  assert.deepEqual(
    planCut(known, stop, facts(), service(2)).halts.map((group) => group.map(({ container: { id }, action }) => [id, action])),
    [
      [
        ['t1', 'scale'],
        ['t2', 'scale'],
      ],
    ],
  );
  assert.throws(() => planCut(known, stop, facts(), service(undefined)), /service shop_web, which is not replicated/);
  assert.throws(() => planCut(known, stop, facts()), /manages no Swarm/);
  assert.equal(planCut(known, [volume('data')], facts(), service(undefined)).volumes[0]?.way, 'pause');
});

test('applications by their images', () => {
  const known = [
    'redis:7',
    'docker.io/bitnami/redis@sha256:00',
    'valkey/valkey:8',
    'postgis/postgis:16-3.4',
    'host:5000/x/mariadb',
    'mysql',
    'mongo:7',
  ];
  assert.deepEqual(known.map(applicationOfImage), ['redis', 'redis', 'redis', 'postgres', 'mariadb', 'mysql', 'mongo']);
  const others = ['redis-exporter', 'mongo-express:1', 'redisinsight', 'postgrest/postgrest', 'app', 'redis-server-test/app'];
  assert.deepEqual(others.map(applicationOfImage).filter(Boolean), []);
});

test('SQLite is copied while it is used, where its files can be reached', () => {
  const users = [writes(container('web')), writes(container('worker'))];
  assert.equal(wayOf(users, { app: 'sqlite' }), 'dump');
  assert.equal(wayOf(users, { app: 'sqlite', way: 'pause' }), 'pause');
  assert.equal(wayOf(users, { app: 'sqlite', streamed: true }), 'pause');
  assert.equal(wayOf([], { app: 'sqlite' }), 'live', 'nothing writes');
  assert.equal(wayOf([], { app: 'sqlite', engineVolume: undefined }), 'dump', 'nobody knows who writes to a directory');
  assert.throws(() => wayOf(users, { app: 'sqlite', way: 'dump', streamed: true }), /read from a stream/);
});
