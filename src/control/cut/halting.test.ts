import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HoldfastError } from '../../model/errors.ts';
import type { ContainerDetails, ServiceDetails } from '../../platform/containers.ts';
import type { Inventory, PlatformContainer, PlatformVolume } from '../../platform/platform.ts';
import { askHalting } from './halting.ts';
import type { VolumeOfCut } from './plan.ts';
import { whyUnstoppable } from './stoppable.ts';

const running: ContainerDetails = { state: 'running', health: undefined, removedWhenStopped: false };

function container(id: string, labels: Record<string, string> = {}): PlatformContainer {
  const mounts = [`of-${id}`, 'beside'].map((from) => ({ kind: 'volume' as const, from, path: `/${from}`, readOnly: false }));
  return { id, name: id, image: 'app', state: 'running', project: undefined, service: undefined, dependsOn: [], labels, mounts };
}

function volumeOf(user: PlatformContainer, driverOptions: Record<string, string>): PlatformVolume {
  const nothing = { project: undefined, key: undefined, anonymous: false, labels: {}, mountPoint: undefined, createdAt: undefined };
  const users = [{ container: user, path: '/data', readOnly: false }];
  return { ...nothing, name: `of-${user.id}`, driver: 'local', driverOptions, users };
}

type Wanted = {
  options?: Record<string, string>;
  /** Of another volume of the container, which is not backed up. */
  beside?: Record<string, string>;
  details?: Partial<ContainerDetails>;
  service?: () => ServiceDetails;
};

/** Why a container that writes to a volume is not to be stopped. */
async function why(user: PlatformContainer, { options = {}, beside = {}, details = {}, service }: Wanted): Promise<string | undefined> {
  const volumes = [volumeOf(user, options), { ...volumeOf(user, beside), name: 'beside' }];
  const inventory: Inventory = { volumes, containers: [user], bindMounts: [] };
  const volume: VolumeOfCut = { name: 'x', engineVolume: `of-${user.id}`, directory: undefined, app: undefined, way: 'auto' };
  const facts = await askHalting(inventory, [volume], {
    inspect: async () => ({ ...running, ...details }),
    inspectService: async () => service?.(),
  });
  return whyUnstoppable(user, facts);
}

test('an ordinary container can be stopped; not so one that is removed then', async () => {
  assert.equal(await why(container('a'), {}), undefined);
  assert.match((await why(container('a'), { details: { removedWhenStopped: true } })) ?? '', /--rm/);
});

test('nor one whose volume would be lost, or no longer be mounted', async () => {
  assert.match((await why(container('a'), { options: { type: 'tmpfs', device: 'tmpfs' } })) ?? '', /of-a in memory .* would lose it/);
  assert.match(
    (await why(container('a'), { options: { type: 'nfs', device: ':/x', o: 'addr=nas' } })) ?? '',
    /of-a, which is mounted only while/,
  );
});

test('tasks of Swarm can be ended where their service can be scaled', async () => {
  const task = container('a', { 'com.docker.swarm.service.id': 's' });
  const service = (replicas: number | undefined) => () => ({ name: 'web', replicas, running: 1, alive: 1 });
  assert.equal(await why(task, { service: service(2) }), undefined);
  assert.match((await why(task, { service: service(undefined) })) ?? '', /service web, which is not replicated/);
  const worker = () => {
    throw new HoldfastError('engine', 'This node is not a swarm manager.');
  };
  assert.match((await why(task, { service: worker })) ?? '', /manages no Swarm/);
});
