/** The reference deployment, run by Compose 2 on a real Engine with a real Redis: what its labels say, cuts of replicas, and the way back from nothing. */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDockerEngine } from '../../src/platform/docker/engine.ts';
import { readInventory } from '../../src/platform/docker/inventory.ts';
import { importImage, startDockerEngine } from '../docker-engine.ts';
import { requireNewestCompose, requirePeer, scratch } from '../peers.ts';
import { type Document, documents, holdfastProgram, run } from '../programs.ts';

const example = join(import.meta.dirname, '..', '..', 'examples', 'auto-claude', 'compose.yaml');

/** What the example leaves to its images: there is no registry here, and no network. */
const override = `services:
  app:
    image: busybox:test
    command: [sh, -c, "trap exit TERM; sleep 1000000 & wait"]
    network_mode: none
    scale: 2
    depends_on: {redis: {condition: service_healthy}}
  redis:
    image: redis:test
    working_dir: /data
    network_mode: none
    healthcheck: {test: [CMD, redis-cli, ping], interval: 1s}
`;

test('a deployment of Compose 2', async (t) => {
  const compose = requireNewestCompose(t);
  if (compose === undefined || requirePeer(t, 'redis-server') === undefined) return;
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  importImage(engine, 'busybox');
  importImage(engine, 'redis');
  const { docker, directoryOf } = engine;
  const folder = scratch(t);
  copyFileSync(example, join(folder, 'compose.yaml'));
  writeFileSync(join(folder, 'compose.override.yaml'), override);
  const environment = { DOCKER_HOST: `unix://${engine.socket}`, HOLDFAST_STATE_DIR: join(folder, 'state') };
  const composed = (...args: string[]) => run(compose, ['--project-directory', folder, ...args], { environment, exit: [0] });
  const holdfast = (...args: string[]): Document[] =>
    documents(run(holdfastProgram, ['--directory', folder, '--json', ...args], { environment, exit: [0] }).stdout);
  const [app1, app2, redis] = ['app-1', 'app-2', 'redis-1'].map((name) => `auto-claude-${name}`) as [string, string, string];
  const areUp = () => docker('ps', '--format', '{{.Names}} {{.State}}').split('\n').sort();
  const up = [app1, app2, redis].map((name) => `${name} running`);

  composed('up', '--detach', '--wait');
  holdfast('init');
  writeFileSync(join(directoryOf('auto-claude_github-data'), 'hosts.yml'), 'token');
  docker('exec', redis, 'redis-cli', 'set', 'task', 'done');

  await t.test('its labels: project, service, volume, and what waits for whose health', async () => {
    const connection = createDockerEngine({ kind: 'unix', socket: engine.socket });
    const { containers, volumes } = await readInventory(connection);
    const app = containers.find(({ name }) => name === app2);
    assert.deepEqual([app?.project, app?.service], ['auto-claude', 'app']);
    assert.deepEqual(app?.dependsOn, [{ service: 'redis', condition: 'service_healthy' }]);
    const keys = volumes.map(({ project, key, name }) => [project, key, name]);
    assert.deepEqual(
      keys,
      ['auto-claude-data', 'claude-data', 'github-data', 'projects-data', 'redis-data'].map((key) => [
        'auto-claude',
        key,
        `auto-claude_${key}`,
      ]),
    );
  });

  for (const [way, grade] of [
    ['auto', 'paused'],
    ['stop', 'stopped'],
  ] as const) {
    await t.test(`${way}: both replicas are halted before Redis, and all come back`, () => {
      const events = holdfast('backup', '--allow-empty', '--cut', way);
      const { halts } = events.find(({ event }) => event === 'cut-planned') as Document;
      assert.deepEqual(
        halts.map((group: Document[]) => group.map(({ container }) => container)),
        [[app1, app2], [redis]],
      );
      const grades = events.filter(({ event }) => event === 'snapshot').map(({ consistency }) => consistency);
      assert.deepEqual(grades, Array(5).fill(grade));
      assert.deepEqual(areUp(), up);
      assert.equal(docker('inspect', '--format', '{{.State.Health.Status}}', redis), 'healthy');
    });
  }

  await t.test('after `down --volumes` everything is restored, and Compose takes the volumes for its own', () => {
    composed('down', '--volumes');
    assert.equal(docker('volume', 'ls', '--quiet'), '');
    holdfast('restore');
    const { stderr } = composed('up', '--detach', '--wait');
    assert.doesNotMatch(stderr, /not created by|doesn't match/);
    assert.deepEqual(areUp(), up);
    assert.equal(docker('exec', redis, 'redis-cli', 'get', 'task'), 'done');
    assert.equal(readFileSync(join(directoryOf('auto-claude_github-data'), 'hosts.yml'), 'utf8'), 'token');
  });
});
