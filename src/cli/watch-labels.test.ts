import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { configurationOf } from '../../test/assessed-project.ts';
import { scratch } from '../../test/peers.ts';
import type { Configuration, VolumeConfiguration } from '../control/configuration/configuration.ts';
import type { ControlEvent } from '../control/control-plane.ts';
import type { EngineEvent } from '../platform/docker/engine-events.ts';
import { keepLabelled } from './keep-labelled.ts';
import { concerns, watchLabels } from './watch-labels.ts';

/** An Engine that tells of events, and can go away and come back. */
async function fakeEngine(t: TestContext) {
  const socket = join(scratch(t), 'engine.sock');
  const followers = new Set<ServerResponse>();
  let asked = 0;
  const server = createServer((request, response) => {
    asked++;
    assert.match(decodeURIComponent(request.url as string), /^\/events\?filters=\{"type":\["container","volume"\],"event":/);
    response.flushHeaders();
    followers.add(response);
    response.on('close', () => followers.delete(response));
  });
  const listen = () => once(server.listen(socket), 'listening');
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  await listen();
  t.after(() => server.listening && stop());
  return {
    socket,
    listen,
    stop,
    asked: () => asked,
    tell: (event: EngineEvent) => {
      for (const follower of followers) follower.write(`${JSON.stringify(event)}\n`);
    },
  };
}

const written = configurationOf({ volume: { source: { kind: 'by-name' } } });
const [data] = written.volumes as [VolumeConfiguration];
const labelled = (name: string) => ({ ...data, name });
const volumeEvent = (name: string): EngineEvent => ({ Type: 'volume', Action: 'create', Actor: { ID: name } });

/** A daemon whose looks find `found`; what it is told is gathered. */
function fakeDaemon(t: TestContext, findEngine: () => Promise<string | undefined>, start: Configuration = written) {
  const facts = new Map<string, unknown>();
  const listeners = new Set<(event: ControlEvent) => void>();
  const said: string[] = [];
  const fake = { looks: 0, found: [data], engine: true, configuration: start };
  let change = Promise.withResolvers<void>();
  const changed = () => {
    change.resolve();
    change = Promise.withResolvers();
  };
  const daemon = {
    facts: {
      get: <Value>(name: string) => facts.get(name) as Value | undefined,
      set: (name: string, value: unknown) => void facts.set(name, JSON.parse(JSON.stringify(value))),
      remove: (name: string) => void facts.delete(name),
    },
    configure(next: Configuration, by = 'file') {
      fake.configuration = next;
      for (const listener of by === 'file' ? listeners : []) listener({ event: 'configuration', accepted: true, message: '' });
      changed();
    },
    async *read() {
      fake.looks++;
      yield Buffer.from(JSON.stringify({ engine: fake.engine, volumes: fake.found }));
      changed();
    },
    subscribe(listener: (event: ControlEvent) => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const begin = () => {
    const keeper = keepLabelled(daemon, start);
    const end = new AbortController();
    const onChange = (message: string, severity: string) => {
      said.push(`${severity}: ${message}`);
      changed();
    };
    const pace = { settleMs: 1, leastGapMs: 1, againMs: 5 };
    const running = watchLabels({ daemon, keeper, findEngine, onChange, onFailure: assert.ifError, pace }, end.signal);
    const stop = async () => {
      end.abort();
      await running;
    };
    t.after(stop);
    return { keeper, stop };
  };
  /** Until something is so. */
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await change.promise;
  };
  return { fake, said, begin, until, names: () => fake.configuration.volumes.map(({ name }) => name) };
}

test('volumes that labels declare come with the Engine and its events, and go when a second look says so, which is told of once', async (t) => {
  const engine = await fakeEngine(t);
  const { fake, said, begin, until, names } = fakeDaemon(t, async () => engine.socket);
  fake.found = [data, labelled('more')];
  begin();
  await until(() => names().includes('more'));
  fake.found = [data, labelled('more'), labelled('third')];
  engine.tell(volumeEvent('third'));
  await until(() => names().includes('third'));
  const both = ['more', 'third'].map((name) => `info: backups hold what labels declare, too: ${name}`);
  assert.deepEqual(said, both);
  const before = fake.looks;
  fake.found = [data, labelled('third')];
  engine.tell(volumeEvent('more'));
  await until(() => said.length > 2);
  assert.ok(fake.looks >= before + 2);
  await until(() => !names().includes('more'));
  assert.deepEqual(names(), ['data', 'third']);
  assert.match(
    said.slice(2).join(),
    /^warn: no label declares more any more, nor does holdfast.yaml: no backup holds this from now on; its snapshots stay$/,
  );
});

test('while no Engine answers, what labels declared stays, over a restart and a changed file too, and that is told once', async (t) => {
  const engine = await fakeEngine(t);
  const { fake, said, begin, until, names } = fakeDaemon(t, async () => engine.socket);
  fake.found = [data, labelled('more')];
  const first = begin();
  await until(() => names().includes('more'));
  said.length = 0;
  await engine.stop();
  await until(() => said.length > 0);
  await first.stop();
  const second = begin();
  await until(() => said.length > 1);
  second.keeper.configure(configurationOf({ volume: { source: { kind: 'by-name' } }, volumes: ['data', 'own'] }));
  assert.deepEqual(names(), ['data', 'own', 'more']);
  for (const sentence of said)
    assert.match(sentence, /^warn: no Docker Engine answers: volumes that only labels declare stay as .*: more$/);
  // It answers, and its own Engine behind it doesn't.
  fake.engine = false;
  fake.found = [];
  const looks = fake.looks;
  await engine.listen();
  await until(() => fake.looks > looks);
  assert.deepEqual(names(), ['data', 'own', 'more']);
  assert.equal(said.length, 2);
});

test('a project of directories asks no Engine', async (t) => {
  let asked = 0;
  const directories = configurationOf();
  const { fake, begin } = fakeDaemon(
    t,
    async () => {
      asked++;
      return undefined;
    },
    directories,
  );
  const { stop } = begin();
  await stop();
  assert.deepEqual([asked, fake.looks], [0, 0]);
});

test('what is not the project, nor has a label of Holdfast, is no reason to look', () => {
  const container = (labels: Record<string, string>): EngineEvent => ({
    Type: 'container',
    Action: 'create',
    Actor: { ID: 'x', Attributes: labels },
  });
  assert.equal(concerns(volumeEvent('shop_data'), 'shop'), true);
  assert.equal(concerns(volumeEvent('a'.repeat(64)), 'shop'), false, 'anonymous');
  assert.equal(concerns(container({ 'com.docker.compose.project': 'shop' }), 'shop'), true);
  assert.equal(concerns(container({ 'holdfast.enabled': 'false' }), 'shop'), true);
  assert.equal(concerns(container({ 'com.docker.compose.project': 'other' }), 'shop'), false);
  assert.equal(concerns(container({ 'holdfast.helper': '1' }), 'shop'), false);
  assert.equal(concerns({}, 'shop'), false);
});
