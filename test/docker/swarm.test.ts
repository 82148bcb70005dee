/** Cuts of Swarm services on a real Engine: a Swarm of one node, on loopback. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { importImage, startDockerEngine, type TestEngine } from '../docker-engine.ts';
import { freePort } from '../free-port.ts';
import { type Document, holdfastProgram } from '../programs.ts';
import { cutProject, fillVolume } from './cut-project.ts';

const patienceMs = 30_000;

/** `2/2`: how many run, of how many. */
const replicasOf = ({ docker }: TestEngine, service: string) =>
  docker('service', 'ls', '--filter', `name=${service}`, '--format', '{{.Replicas}}');

async function until(what: string, condition: () => boolean): Promise<void> {
  const late = Date.now() + patienceMs;
  while (!condition()) {
    if (Date.now() > late) throw new Error(`not within ${patienceMs} ms: ${what}`);
    await setTimeout(20);
  }
}

function createService({ docker }: TestEngine, name: string, volume: string, ...options: string[]): void {
  const mount = `type=volume,source=${volume},target=/data`;
  const command = ['sh', '-c', 'trap exit TERM; sleep 1000000 & wait'];
  docker('service', 'create', '--detach', '--no-resolve-image', '--name', name, '--mount', mount, ...options, 'busybox:test', ...command);
}

test('cuts of Swarm services', async (t) => {
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  const { docker } = engine;
  importImage(engine, 'busybox');
  docker('swarm', 'init', '--advertise-addr', '127.0.0.1', '--listen-addr', `127.0.0.1:${await freePort()}`);
  createService(engine, 'shop_web', 'shop_data', '--replicas=2');
  createService(engine, 'shop_agent', 'shop_logs', '--mode=global');
  const running = () => until('all run', () => replicasOf(engine, 'shop_web') === '2/2' && replicasOf(engine, 'shop_agent') === '1/1');
  await running();

  await t.test('a replicated one is scaled to 0 and back; one with a task on every node is paused, and not stopped', async (t) => {
    const project = cutProject(t, engine, '{ data: { cut: stop }, logs: }');
    const { events } = project.holdfast(['backup', '--allow-empty']);
    const plan = events.find(({ event }) => event === 'cut-planned');
    assert.deepEqual(
      plan.halts.flat().map(({ action }: Document) => action),
      ['pause', 'scale', 'scale'],
    );
    const grades = events.filter(({ event }) => event === 'snapshot').map(({ volume, consistency }) => [volume, consistency]);
    assert.deepEqual(Object.fromEntries(grades), { data: 'stopped', logs: 'paused' });
    for (const { volume, downtimeMs } of events.filter(({ event }) => event === 'snapshot')) assert.ok(downtimeMs > 0, volume);
    // All of them run again when the command ends: it waits for them as for a health check.
    assert.equal(replicasOf(engine, 'shop_web'), '2/2');
    assert.deepEqual(readdirSync(join(project.folder, 'state', 'cuts')), []);
    const { stderr } = project.holdfast(['backup', '--cut', 'stop', '--allow-empty'], [1]);
    assert.match(stderr, /shop_agent, which is not replicated/);
    assert.deepEqual([replicasOf(engine, 'shop_web'), replicasOf(engine, 'shop_agent')], ['2/2', '1/1']);
  });

  await t.test('killed while it is scaled to 0: the next command brings the replicas back', async (t) => {
    const project = cutProject(t, engine, '{ data: { cut: stop } }');
    fillVolume(engine.directoryOf('shop_data'), 2000);
    const backup = spawn(holdfastProgram, ['--directory', project.folder, '--quiet', 'backup', '--no-warm-pass', '--lanes=1'], {
      env: { ...process.env, ...project.environment },
      stdio: 'ignore',
      detached: true,
    });
    const ended = once(backup, 'exit');
    await until('scaled to 0', () => backup.exitCode !== null || replicasOf(engine, 'shop_web').endsWith('/0'));
    process.kill(-(backup.pid as number), 'SIGKILL');
    await ended;
    assert.match(replicasOf(engine, 'shop_web'), /\/0$/);
    const { stderr } = project.holdfast(['unlock']);
    assert.match(stderr, /brought back what it had halted: shop_web/);
    // Tasks of before the kill may still be ending.
    const states = docker('service', 'ps', 'shop_web', '--filter', 'desired-state=running', '--format', '{{.CurrentState}}').split('\n');
    assert.deepEqual(
      states.map((state) => state.split(' ')[0]),
      ['Running', 'Running'],
    );
    assert.deepEqual(readdirSync(join(project.folder, 'state', 'cuts')), []);
  });

  docker('service', 'rm', 'shop_web', 'shop_agent');
  docker('swarm', 'leave', '--force');
});
