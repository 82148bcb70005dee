import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { startDockerEngine } from '../docker-engine.ts';
import { requirePeer, requireRoot, scratch } from '../peers.ts';

const demo = join(import.meta.dirname, '..', '..', 'scripts', 'demo.ts');

/** Starts the demo on little data, with a temporary folder of its own in which everything that it leaves behind is found. */
function startDemo(t: TestContext, dockerHost: string): { child: ChildProcess; temporary: string } {
  const temporary = scratch(t);
  const environment = { HOLDFAST_DEMO_SCALE: '0.02', TMPDIR: temporary, HOME: temporary, DOCKER_HOST: dockerHost };
  const child = spawn(process.execPath, [demo, '--docker'], {
    cwd: temporary,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { child, temporary };
}

const haveAll = (t: TestContext) =>
  requireRoot(t) && (['dockerd', 'docker', 'docker-compose', 'busybox', 'redis-server'] as const).every((name) => requirePeer(t, name));

test("on the user's Docker Engine, the deployment comes back, and nothing of it stays", async (t) => {
  if (!haveAll(t)) return;
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  const labels = ['--label', 'com.docker.compose.project=auto-claude', '--label', 'com.docker.compose.volume=redis-data'];
  engine.docker('volume', 'create', ...labels, 'auto-claude_redis-data');
  const { child, temporary } = startDemo(t, `unix://${engine.socket}`);
  const [[exitCode], stdout, stderr] = await Promise.all([
    once(child, 'close'),
    text(child.stdout as NodeJS.ReadableStream),
    text(child.stderr as NodeJS.ReadableStream),
  ]);
  assert.equal(exitCode, 0, stdout + stderr);
  assert.match(stdout, /in the Docker Engine that answers/);
  assert.match(stdout, /5 snapshots \(paused\)/);
  assert.match(stdout, /four volumes: identical/);
  assert.match(stdout, /both volumes are of one instant/);
  assert.equal([...stdout.matchAll(/\d ms$/gm)].length >= 4, true, 'downtimes');
  assert.deepEqual(
    [engine.docker('ps', '--all', '--quiet'), engine.docker('volume', 'ls', '--quiet'), engine.docker('images', '--quiet')],
    ['', 'auto-claude_redis-data', ''],
    "what is the user's stays",
  );
  assert.deepEqual(readdirSync(temporary), []);
});

test('interrupted in the middle, it takes its Engine and everything else with it', async (t) => {
  if (!haveAll(t)) return;
  const { child, temporary } = startDemo(t, 'unix:///nobody/answers/here.sock');
  let said = '';
  const ended = once(child, 'close');
  await new Promise<void>((resolve) => {
    child.stdout?.on('data', (bytes) => {
      said += bytes;
      if (said.includes('$ holdfast backup')) resolve();
    });
    child.stdout?.once('close', resolve);
  });
  child.kill('SIGINT');
  const [exitCode] = await ended;
  assert.equal(exitCode, 130, said);
  assert.match(said, /in a private Docker Engine/);
  assert.deepEqual(readdirSync(temporary), []);
  assert.doesNotMatch(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }), new RegExp(temporary));
});
