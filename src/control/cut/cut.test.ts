import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';
import type { ContainerState, Inventory, PlatformContainer } from '../../platform/platform.ts';
import { createCut } from './cut.ts';
import { findJournals } from './journal.ts';
import { type CutPlan, planCut, type VolumeOfCut } from './plan.ts';

/** An engine with `web`, which depends on `db`; each has a volume of its own. It tells what was asked of it, and can be made to fail. */
function engineOf(t: TestContext, failing: readonly string[] = []) {
  const states = new Map<string, ContainerState>([
    ['web', 'running'],
    ['db', 'running'],
  ]);
  const asked: string[] = [];
  const containerOf = (name: string): PlatformContainer => ({
    ...{ id: name, name, image: 'an-image', state: states.get(name) ?? 'exited', project: 'shop', service: name, labels: {}, mounts: [] },
    dependsOn: name === 'web' ? [{ service: 'db', condition: 'service_started' }] : [],
  });
  const inventory = (): Inventory => {
    const containers = [...states.keys()].map(containerOf);
    const base = { anonymous: false, driver: 'local', driverOptions: {}, mountPoint: undefined, createdAt: undefined, labels: {} };
    const volumes = containers.map((container) => {
      const users = [{ container, path: '/data', readOnly: false }];
      return { ...base, name: `shop_${container.name}`, project: 'shop', key: container.name, users };
    });
    return { volumes, containers, bindMounts: [] };
  };
  const does = (what: string, state: ContainerState) => async (id: string) => {
    asked.push(`${what} ${id}`);
    if (failing.includes(`${what} ${id}`)) throw new HoldfastError('engine', `cannot ${what} ${id}`);
    states.set(id, state);
  };
  const containers = {
    inventory: async () => inventory(),
    inspect: async (id: string) => ({ state: states.get(id), health: undefined, removedWhenStopped: false }),
    pause: does('pause', 'paused'),
    unpause: does('unpause', 'running'),
    stop: does('stop', 'exited'),
    start: does('start', 'running'),
  } as unknown as Containers;
  const stateFolder = mkdtempSync(join(tmpdir(), 'holdfast-cut-'));
  t.after(() => rmSync(stateFolder, { recursive: true }));
  return { containers, inventory, asked, states, stateFolder };
}

const volumes = ['web', 'db'].map(
  (name): VolumeOfCut => ({ name, engineVolume: `shop_${name}`, directory: undefined, app: undefined, way: 'pause' }),
);
const noFacts = { unstoppable: new Map(), services: new Map(), stopTimeoutsMs: new Map() };
const planOf = (inventory: Inventory, of = volumes): CutPlan =>
  planCut(inventory, of, { redisAppendOnly: new Map(), ownContainer: undefined }, noFacts);
/** Nobody waits. */
const clock: Clock = { now: () => new Date(), sleep: async () => undefined };

function cutOf(
  { containers, inventory, stateFolder }: ReturnType<typeof engineOf>,
  { of = volumes, signal = new AbortController().signal, maxDowntimeMs = 60_000 } = {},
) {
  const plan = planOf(inventory(), of);
  const journal = { run: '20260101T000000Z-aa', project: 'shop', reach: {}, hooks: { onError: [], after: [] } };
  const times = { stopTimeoutMs: 1_000, healthTimeoutMs: 1_000, maxDowntimeMs };
  return createCut({
    ...{ containers, plan, volumes: of, applications: [], stateFolder, journal, clock, signal },
    ...times,
    nowMs: () => performance.now(),
  });
}

const gradesOf = async (cut: ReturnType<typeof createCut>) =>
  Object.fromEntries([...(await cut.end())].map(([name, { consistency }]) => [name, consistency]));
const isUp = ({ states }: ReturnType<typeof engineOf>) => [...states.values()].every((state) => state === 'running');

test('what depends on others is halted first and comes back last; what is halted is written down before', async (t) => {
  const engine = engineOf(t);
  const cut = cutOf(engine, { of: volumes.map((volume) => (volume.name === 'db' ? { ...volume, way: 'stop' } : volume)) });
  const { pause } = engine.containers;
  let written: unknown;
  engine.containers.pause = async (id) => {
    written = (await findJournals(engine.stateFolder))[0]?.journal.groups;
    await pause(id);
  };
  await cut.begin();
  assert.deepEqual(written, [[{ id: 'web', name: 'web', action: 'pause' }], [{ id: 'db', name: 'db', action: 'stop', timeoutMs: 1_000 }]]);
  assert.deepEqual(await gradesOf(cut), { web: 'paused', db: 'stopped' });
  assert.deepEqual(engine.asked, ['pause web', 'stop db', 'start db', 'unpause web']);
  const { failures, isBack, downtimes } = await cut.finish();
  assert.deepEqual([failures, isBack, downtimes.length], [[], true, 2]);
});

test('what cannot be halted spoils the grade, and what was halted before comes back at once', async (t) => {
  const engine = engineOf(t, ['pause db']);
  const cut = cutOf(engine);
  await cut.begin();
  assert.ok(isUp(engine));
  assert.deepEqual(await gradesOf(cut), { web: 'crash', db: 'crash' });
  const { failures, isBack } = await cut.finish();
  assert.deepEqual([failures.map(({ message }) => message), isBack], [['cannot pause db'], true]);
});

test('what does not come back is told of, and tried after the others; the journal has to stay', async (t) => {
  const engine = engineOf(t, ['unpause db']);
  const cut = cutOf(engine);
  await cut.begin();
  await cut.end();
  const { failures, isBack } = await cut.finish();
  assert.deepEqual([failures.map(({ code }) => code), isBack, engine.states.get('web')], [['container-down'], false, 'running']);
});

test('an interruption brings everything back; so does finish alone, whatever happened before', async (t) => {
  const engine = engineOf(t);
  const controller = new AbortController();
  const cut = cutOf(engine, { signal: controller.signal });
  await cut.begin();
  controller.abort();
  await cut.finish();
  assert.ok(isUp(engine));
  const another = engineOf(t);
  const left = cutOf(another);
  await left.begin();
  assert.ok(!isUp(another));
  await left.finish();
  assert.ok(isUp(another));
});

test('containers are halted no longer than allowed; a time beyond what timers know is no instant one', async (t) => {
  const engine = engineOf(t);
  const cut = cutOf(engine, { maxDowntimeMs: 1 });
  const { unpause } = engine.containers;
  const back = Promise.withResolvers<void>();
  engine.containers.unpause = async (id) => {
    await unpause(id);
    if (isUp(engine)) back.resolve();
  };
  await cut.begin();
  await back.promise;
  assert.deepEqual(await gradesOf(cut), { web: 'crash', db: 'crash' });
  assert.match((await cut.finish()).failures[0]?.message ?? '', /came back before everything was read/);

  const timers = t.mock.method(globalThis, 'setTimeout');
  const long = cutOf(engineOf(t), { maxDowntimeMs: 400 * 86_400_000 });
  await long.begin();
  const longest = Math.max(...timers.mock.calls.map(({ arguments: [, ms] }) => Number(ms)));
  assert.ok(longest > 86_400_000 && longest < 2 ** 31, String(longest));
  assert.deepEqual(await gradesOf(long), { web: 'paused', db: 'paused' });
  await long.finish();
});

test('a container that began to write in the middle, and nobody halted, spoils the grade of what it writes to', async (t) => {
  const engine = engineOf(t);
  const cut = cutOf(engine);
  await cut.begin();
  // Somebody else has resumed it.
  engine.states.set('db', 'running');
  assert.deepEqual(await gradesOf(cut), { web: 'paused', db: 'crash' });
  await cut.finish();
});
