import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { ContainerDetails, Containers, ServiceDetails } from '../../platform/containers.ts';
import { comeBack } from './come-back.ts';
import type { JournalEntry } from './journal.ts';
import { createScaler } from './scaler.ts';

/** Time passes by sleeping alone. */
function clockOf(): Clock & { nowMs: () => number } {
  let nowMs = 0;
  return {
    nowMs: () => nowMs,
    now: () => new Date(nowMs),
    sleep: async (ms: number) => {
      nowMs += ms;
    },
  };
}

type Fake = { details?: () => ContainerDetails | undefined; service?: ServiceDetails | undefined; start?: () => void };

/** An engine that writes down what it was told. */
function engineOf({ details = () => healthy('healthy'), service, start = () => undefined }: Fake) {
  const told: string[] = [];
  const containers = {
    inspect: async () => details(),
    start: async (id: string) => {
      told.push(`start ${id}`);
      start();
    },
    unpause: async (id: string) => void told.push(`unpause ${id}`),
    inspectService: async () => service,
    scaleService: async (id: string, replicas: number) => void told.push(`scale ${id} ${replicas}`),
  } as unknown as Containers;
  return { containers, told };
}

const healthy = (health: ContainerDetails['health']): ContainerDetails => ({ state: 'running', health, removedWhenStopped: false });
const stopped = (id: string): JournalEntry => ({ id, name: id, action: 'stop' });
const scaled: JournalEntry = { id: 's', name: 'web', action: 'scale', replicas: 2 };

/** Brings back, and waits for all. @returns what failed, of coming back and of health. */
async function back(groups: JournalEntry[][], fake: Fake) {
  const { containers, told } = engineOf(fake);
  const clock = clockOf();
  const { failures, health } = await comeBack(groups, { containers, clock, healthTimeoutMs: 60_000, isAwaited: () => true });
  return { told, failures, sick: await health, clock };
}

test('in the reverse order, paused ones and stopped ones', async () => {
  const { told, failures, sick } = await back([[stopped('web')], [{ id: 'db', name: 'db', action: 'pause' }]], {});
  assert.deepEqual([told, failures, sick], [['unpause db', 'start web'], [], []]);
});

test('health that never comes: the others are started all the same, and it is told when the time is over', async () => {
  const { told, failures, sick, clock } = await back([[stopped('web')], [stopped('db')]], { details: () => healthy('starting') });
  assert.deepEqual([told, failures], [['start db', 'start web'], []]);
  assert.deepEqual(
    sick.map(({ code, message }) => [code, message.includes('its health is "starting" after 60 s')]),
    [
      ['container-down', true],
      ['container-down', true],
    ],
  );
  assert.ok(clock.nowMs() < 200_000);
});

test('what does not start is tried three times, and told with the way to start it; one that is gone is nobody to wait for', async () => {
  const start = () => {
    throw new HoldfastError('engine', 'cannot start container: no space left');
  };
  const { told, failures } = await back([[stopped('web')]], { start });
  assert.equal(told.length, 3);
  assert.match(failures[0]?.message ?? '', /web was stopped for the backup and did not come back: .*no space left/);
  assert.match(failures[0]?.remedy ?? '', /docker start web/);
  assert.deepEqual((await back([[stopped('web')]], { start, details: () => undefined })).failures, []);
});

test('a service gets its replicas back, unless somebody else has given it some, or removed it', async () => {
  const service = (replicas: number, running: number): ServiceDetails => ({ name: 'web', replicas, running, alive: running });
  const again = await back([[scaled]], { service: service(0, 0) });
  assert.deepEqual([again.told, again.failures, again.sick], [['scale s 2'], [], []]);
  assert.deepEqual((await back([[scaled]], { service: service(5, 5) })).told, []);
  assert.deepEqual((await back([[scaled]], { service: undefined })).told, []);
  const { sick } = await back([[scaled]], { service: service(2, 1) });
  assert.match(sick[0]?.message ?? '', /service web was scaled to 0 .* 1 of its 2 tasks run after 60 s/);
  assert.match(sick[0]?.remedy ?? '', /docker service scale web=2/);
});

test('scaling to 0 happens once for all tasks, is waited for, and given up in the end', async () => {
  const service = { id: 's', name: 'web', replicas: 2 };
  const halt = { container: { id: 't' } as never, action: 'scale' as const, service };
  const scaler = (alive: () => number, clock = clockOf()) => {
    const { containers, told } = engineOf({});
    const asked = { ...containers, inspectService: async () => ({ name: 'web', replicas: 3, running: 0, alive: alive() }) };
    return { ...createScaler({ containers: asked as Containers, clock, stopTimeoutMs: 10_000 }), told, clock };
  };
  let left = 5;
  const ending = scaler(() => left--);
  await ending.look([halt]);
  await Promise.all([ending.scaleDown(halt), ending.scaleDown(halt)]);
  assert.deepEqual([ending.told, left], [['scale s 0'], -1]);
  // As many as there were when the cut began, whatever was planned.
  assert.deepEqual(ending.entryOf(service), { id: 's', name: 'web', action: 'scale', replicas: 3 });
  const never = scaler(() => 1);
  await assert.rejects(never.scaleDown(halt), /still has 1 tasks 40 s after/);
  assert.ok(never.clock.nowMs() < 41_000);
});
