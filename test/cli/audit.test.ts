import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { hostname, release } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Finding } from '../../src/control/discovery/audit.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

const volumeNames = ['projects-data', 'claude-data', 'github-data', 'auto-claude-data'];

/** The reference deployment, with the volumes that its operators once backed up, or all of them. */
function deployment(t: TestContext, declared: readonly string[]): string {
  const folder = scratch(t);
  const mounts = volumeNames.map((name) => `      - ${name}:/${name}`).join('\n');
  const volumes = [...volumeNames, 'redis-data'].map((name) => `  ${name}:`).join('\n');
  writeFileSync(
    join(folder, 'compose.yaml'),
    `services:\n  app:\n    image: app\n    volumes:\n${mounts}\n  redis:\n    image: redis:7\n    volumes: ["redis-data:/data"]\nvolumes:\n${volumes}\n`,
  );
  writeFileSync(
    join(folder, 'holdfast.yaml'),
    `project: auto-claude\nvolumes:\n${declared.map((name) => `  ${name}: {}`).join('\n')}\nrepositories: {offsite: {url: "s3://bucket/path"}}\n`,
  );
  return folder;
}

const findingsOf = (stdout: string): Finding[] =>
  stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Finding);

test('the volume that the old backup command forgot is found from the files alone, and fails a build', async (t) => {
  const forgetful = commandLine(deployment(t, ['projects-data', 'claude-data', 'auto-claude-data', 'redis-data']));
  const { exit, stdout } = await forgetful('audit', '--static', '--json');
  assert.equal(exit, 3);
  assert.deepEqual(
    findingsOf(stdout).map(({ kind, volume, severity }) => [kind, volume, severity]),
    [['undeclared', 'github-data', 'critical']],
  );
  assert.match(
    (await forgetful('audit', '--static')).stdout,
    /critical: the volume github-data is in no backup.*app uses it at \/github-data/,
  );
  assert.equal((await forgetful('audit', '--static', '--fail-on', 'never')).exit, 0);
  assert.equal((await forgetful('audit', '--static', '--fail-on', 'catastrophe')).exit, 2);
  const complete = commandLine(deployment(t, [...volumeNames, 'redis-data']));
  assert.deepEqual(await complete('audit', '--static', '--json'), { exit: 0, stdout: '', stderr: '' });
});

test('a project of plain directories: never backed up, then too old, then in order', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'data/file'), 'content');
  const holdfast = commandLine(folder);
  await holdfast('init', '--volume', 'data=data');
  const kinds = async () => findingsOf((await holdfast('audit', '--json')).stdout).map(({ kind }) => kind);
  assert.deepEqual((await kinds()).toSorted(), ['never-backed-up', 'one-key', 'one-place']);
  await holdfast('backup');
  assert.deepEqual((await kinds()).toSorted(), ['one-key', 'one-place']);
  await holdfast('key', 'add', '--generate', 'second.key');
  assert.deepEqual(await kinds(), ['one-place']);
});

/** An Engine that knows 500 volumes of a project and 200 containers, and counts what it is asked. */
async function largeEngine(t: TestContext, folder: string): Promise<{ address: string; asked: string[] }> {
  const labels = { 'com.docker.compose.project': 'large' };
  const volumes = Array.from({ length: 500 }, (_, i) => ({
    Name: `large_v${i}`,
    Driver: 'local',
    Mountpoint: join(folder, `v${i}`),
    Labels: { ...labels, 'com.docker.compose.volume': `v${i}`, ...(i === 7 ? { 'holdfast.criticality': 'low' } : {}) },
    Options: null,
  }));
  const containers = Array.from({ length: 200 }, (_, i) => ({
    Id: String(i).padStart(64, '0'),
    Names: [`/c${i}`],
    Image: 'image',
    State: 'running',
    Labels: { ...labels, 'com.docker.compose.service': `s${i}` },
    Mounts: [0, 1].map((n) => ({ Type: 'volume', Name: `large_v${i * 2 + n}`, Destination: `/m${n}`, RW: true })),
  }));
  const asked: string[] = [];
  const answers: Record<string, unknown> = {
    '/volumes': { Volumes: volumes },
    '/containers/json': containers,
    '/info': { Name: hostname(), KernelVersion: release() },
  };
  const server = createServer(({ url = '' }, response) => {
    const path = new URL(url, 'http://engine').pathname;
    asked.push(path);
    response.end(JSON.stringify(answers[path] ?? {}));
  });
  const socket = join(folder, 'engine.sock');
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { address: `unix://${socket}`, asked };
}

test('500 volumes and 200 containers take three questions, and little time', async (t) => {
  const folder = scratch(t);
  for (let i = 0; i < 500; i++) mkdirSync(join(folder, `v${i}`));
  const { address, asked } = await largeEngine(t, folder);
  const declared = Array.from({ length: 499 }, (_, i) => `  v${i}:`).join('\n');
  const holdfast = commandLine(folder);
  await holdfast('init', '--volume', 'v0=v0');
  writeFileSync(join(folder, 'holdfast.yaml'), `project: large\nvolumes:\n${declared}\n`);
  for (const command of ['volumes', 'audit']) {
    asked.length = 0;
    const before = process.cpuUsage();
    const { stdout, stderr } = await holdfast(command, '--json', '--docker-host', address);
    const { user, system } = process.cpuUsage(before);
    t.diagnostic(`${command}: ${Math.round((user + system) / 1000)} ms of CPU`);
    assert.equal(stderr, '');
    assert.deepEqual(asked.toSorted(), ['/containers/json', '/info', '/volumes']);
    assert.ok(user + system < 3_000_000);
    const documents = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    if (command === 'volumes') {
      assert.equal(documents.length, 499);
      assert.deepEqual(
        documents
          .filter(({ volume }) => volume === 'v7')
          .map(({ criticality, state, mountedBy }) => [criticality, state, mountedBy[0].service]),
        [['low', 'unprotected', 's3']],
      );
    } else {
      const undeclared = documents.filter(({ kind }) => kind === 'undeclared').map(({ volume }) => volume);
      assert.deepEqual(undeclared, ['v499']);
      assert.equal(documents.filter(({ kind }) => kind === 'never-backed-up').length, 499);
    }
  }
});

test('volumes --watch shows them until it is interrupted', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  await commandLine(folder)('init', '--volume', 'data=data');
  const holdfast = spawn(join(import.meta.dirname, '../../holdfast'), ['volumes', '--json', '--watch', '1s'], { cwd: folder });
  let rows = 0;
  for await (const text of holdfast.stdout.setEncoding('utf8')) {
    rows += (text.match(/"volume":"data"/g) ?? []).length;
    if (rows === 2) holdfast.kill('SIGINT');
  }
  assert.ok(rows >= 2);
  // More than timers know would be no time at all.
  for (const wrong of ['1ms', '30d']) assert.equal((await commandLine(folder)('volumes', '--watch', wrong)).exit, 2);
});
