import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HoldfastError } from '../../model/errors.ts';
import type { ContainerDetails, Containers } from '../../platform/containers.ts';
import type { Inventory, PlatformContainer, PlatformVolume } from '../../platform/platform.ts';
import { refuseTransient, stopAll } from './start-again.ts';

const named = (name: string) => ({ id: `id-of-${name}`, name });
const running: ContainerDetails = { state: 'running', health: undefined, removedWhenStopped: false };
const never = new AbortController().signal;

test('containers of a group end together, each in the time that it asks for; the next group waits for them', async () => {
  const told: string[] = [];
  const ends = new Map<string, () => void>();
  const containers = {
    inspect: async (id: string) => ({ ...running, ...(id === 'id-of-db' ? { stopTimeoutMs: 300_000 } : {}) }),
    stop: (id: string, { timeoutMs }: { timeoutMs: number }) => {
      told.push(`${id} ${timeoutMs}`);
      return new Promise<void>((resolve) => ends.set(id, resolve));
    },
    start: async () => undefined,
  };
  const turn = () => new Promise(setImmediate);
  const stopping = stopAll({ containers, signal: never, onStep: ({ container }) => told.push(`${container} stopped`) }, [
    [named('web'), named('worker')],
    [named('db')],
  ]);
  await turn();
  assert.deepEqual(told, ['id-of-web 30000', 'id-of-worker 30000']);
  ends.get('id-of-worker')?.();
  await turn();
  assert.equal(told.at(-1), 'worker stopped');
  ends.get('id-of-web')?.();
  await turn();
  assert.deepEqual(told.slice(3), ['web stopped', 'id-of-db 300000']);
  ends.get('id-of-db')?.();
  await stopping;
});

test('when one cannot be stopped, the others of its group have ended before that is told, and no further one is touched', async () => {
  const told: string[] = [];
  const containers: Pick<Containers, 'inspect' | 'stop' | 'start'> = {
    inspect: async () => running,
    stop: async (id) => {
      if (id === 'id-of-web') throw new HoldfastError('engine', 'no');
      await new Promise(setImmediate);
    },
    start: async () => undefined,
  };
  const stopping = stopAll({ containers, signal: never, onStep: ({ container }) => told.push(container) }, [
    [named('web'), named('worker')],
    [named('db')],
  ]);
  await assert.rejects(stopping, { code: 'engine' });
  assert.deepEqual(told, ['worker']);
});

test('what would be lost with a container is refused: itself, and what it holds in memory', async () => {
  const container = { ...named('app'), mounts: [{ kind: 'volume', from: 'cache', path: '/cache', readOnly: false }] };
  const inventory = (type: string): Inventory => ({
    volumes: [{ name: 'cache', driver: 'local', driverOptions: { type, device: type } } as unknown as PlatformVolume],
    containers: [container as unknown as PlatformContainer],
    bindMounts: [],
  });
  const refusal = (details: Partial<ContainerDetails>, type: string) =>
    refuseTransient({ inspect: async () => ({ ...running, ...details }) }, inventory(type), [named('app')]);
  await refusal({}, 'nfs');
  await assert.rejects(refusal({}, 'tmpfs'), { code: 'volume-in-use', message: /app mounts .* holds the volume cache in memory/ });
  await assert.rejects(refusal({ removedWhenStopped: true }, 'nfs'), { code: 'volume-in-use', message: /--rm/, remedy: /docker stop app/ });
});
