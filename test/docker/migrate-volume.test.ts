/** From volume to volume, on one Engine and by ssh to another one, also when it is killed at each of its steps. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { volumeSteps } from '../../src/control/migration/volume-journal.ts';
import { exitCodes } from '../../src/model/errors.ts';
import { importImage, startDockerEngine, type TestEngine } from '../docker-engine.ts';
import { peer, requirePeer, scratch } from '../peers.ts';
import { differences, holdfastProgram } from '../programs.ts';
import { requireSshServer, serveSftp } from '../sftp-server.ts';
import { type DockerProject, dockerProject } from './volumes-project.ts';

/** A real sshd, behind which is an Engine: `ssh://other` with the environment that is returned. */
async function serveEngine(t: TestContext, engine: TestEngine): Promise<NodeJS.ProcessEnv> {
  const folder = scratch(t);
  await serveSftp(t, folder);
  const key = readFileSync(join(folder, 'authorized_keys'), 'utf8');
  const dial = `DOCKER_HOST=unix://${engine.socket} ${peer('docker')} system dial-stdio`;
  writeFileSync(join(folder, 'authorized_keys'), `command="${dial}" ${key}`);
  mkdirSync(join(folder, 'bin'));
  // The user's own ssh_config, which OpenSSH looks for in the home of the account and nowhere else.
  const script = `#!/bin/sh\nexec ${peer('ssh')} -F ${join(folder, 'ssh_config')} "$@"\n`;
  writeFileSync(join(folder, 'bin', 'ssh'), script, { mode: 0o755 });
  return { PATH: [join(folder, 'bin'), process.env.PATH].join(delimiter) };
}

async function killedAt(step: string, { folder, environment }: DockerProject, ...argv: string[]): Promise<void> {
  const child = spawn(holdfastProgram, ['--json', ...argv], { cwd: folder, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (said += text));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (said.includes(`"event":"migration","step":"${step}"`)) child.kill('SIGKILL');
  });
  const signal = await new Promise((resolve) => child.once('close', (_, name) => resolve(name)));
  assert.equal(signal, 'SIGKILL', said);
}

test('migrate volume', async (t) => {
  const rsync = requirePeer(t, 'rsync');
  const engine = rsync ? await startDockerEngine(t) : undefined;
  if (engine === undefined || rsync === undefined) return;
  importImage(engine, 'busybox');
  const { docker, directoryOf } = engine;
  const project = await dockerProject(t, engine, ['data']);
  const { folder, environment, holdfast, put } = project;
  const isRunning = (name: string) => docker('inspect', '--format', '{{.State.Status}}', name) === 'running';
  const journals = () => (existsSync(join(folder, 'state/migrations')) ? readdirSync(join(folder, 'state/migrations')) : []);
  const succeed = async (...argv: string[]) => {
    const said = await holdfast(...argv);
    assert.equal(said.exit, exitCodes.done, said.stderr + said.stdout);
    return said;
  };
  put('data', 'deep/file', 'precious');
  docker(
    ...['run', '--detach', '--name', 'app', '--network', 'none', '--stop-timeout', '0', '--volume', 'shop_data:/data'],
    ...['busybox:test', 'sh', '-c', 'chown 70:70 /data/deep; trap exit TERM; sleep 1000 & wait'],
  );

  await t.test('to a new one, and over one that holds something', async () => {
    const dry = await succeed('migrate', 'volume', 'shop_data', 'copy', '--dry-run');
    assert.match(dry.stdout, /volume shop_data -> new volume copy\nstop, and start again, container app/);
    assert.equal(docker('volume', 'ls', '--quiet', '--filter', 'name=copy'), '');
    await succeed('migrate', 'volume', 'shop_data', 'copy', '--cut', 'pause');
    assert.equal(differences(rsync, directoryOf('shop_data'), directoryOf('copy')), '');
    assert.ok(isRunning('app'));
    assert.equal(docker('volume', 'inspect', '--format', '{{json .Labels}}', 'copy'), '{}');
    writeFileSync(join(directoryOf('copy'), 'own'), 'its own');
    const refused = await holdfast('migrate', 'volume', 'shop_data', 'copy');
    assert.equal(refused.exit, exitCodes.failed);
    assert.match(refused.stderr, /the target copy holds something[\s\S]*--replace/);
    const { stdout } = await succeed('migrate', 'volume', 'shop_data', 'copy', '--cut', 'live', '--replace');
    assert.equal(differences(rsync, directoryOf('shop_data'), directoryOf('copy')), '');
    const undo = /to put back what copy held: holdfast (.*)$/m.exec(stdout)?.[1] as string;
    await succeed(...undo.split(' '));
    assert.equal(readFileSync(join(directoryOf('copy'), 'own'), 'utf8'), 'its own');
    assert.deepEqual(journals(), []);
  });

  await t.test('what speaks against it is found before anything is touched', async () => {
    const says = async (pattern: RegExp, ...argv: string[]) => assert.match((await holdfast('migrate', 'volume', ...argv)).stderr, pattern);
    await says(/there is no Docker volume missing/, 'missing', 'new');
    await says(/are the same volume/, 'shop_data', 'shop_data');
    await says(/the target shop_data is used by container app, which is running/, 'copy', 'shop_data', '--replace');
    await says(/--leave-stopped needs --cut stop/, 'shop_data', 'new', '--cut', 'pause', '--leave-stopped');
    await says(/only one of --to-docker-host and --to-context/, 'shop_data', 'new', '--to-context', 'a', '--to-docker-host', 'ssh://b');
    await says(/no migration of shop_data to new was interrupted/, 'shop_data', 'new', '--undo');
    assert.ok(isRunning('app'));
    assert.deepEqual(journals(), []);
  });

  await t.test('a repository that cannot be written leaves no container halted, and no journal', async () => {
    const { exit } = await holdfast('migrate', 'volume', 'shop_data', 'new', '--repository', join(folder, 'nowhere'));
    assert.notEqual(exit, exitCodes.done);
    assert.ok(isRunning('app'));
    assert.deepEqual(journals(), []);
  });

  // All steps both ways with HOLDFAST_TEST_KILLS.
  const killed = volumeSteps.flatMap((step) => (['carried on', 'undone'] as const).map((way) => ({ step, way })));
  for (const { step, way } of killed) {
    if (!['save carried on', 'copy undone'].includes(`${step} ${way}`) && process.env.HOLDFAST_TEST_KILLS === undefined) continue;
    await t.test(`killed at "${step}", it is ${way}`, async () => {
      docker('volume', 'create', 'full');
      writeFileSync(join(directoryOf('full'), 'own'), 'its own');
      // Replaced where something is there to be put back, made else.
      const target = step === 'make' ? 'made' : 'full';
      const words = ['migrate', 'volume', 'shop_data', target, '--replace', ...(step === 'copy' ? [] : ['--cut', 'pause'])];
      await killedAt(step, project, ...words);
      assert.equal(journals().length, 1);
      await succeed(...words, ...(way === 'undone' ? ['--undo'] : []));
      assert.ok(isRunning('app'));
      assert.deepEqual(journals(), []);
      if (way === 'carried on') assert.equal(differences(rsync, directoryOf('shop_data'), directoryOf(target)), '');
      else if (target === 'made') assert.equal(docker('volume', 'ls', '--quiet', '--filter', 'name=made'), '');
      else assert.deepEqual(readdirSync(directoryOf('full')), ['own']);
      docker('volume', 'rm', '--force', 'full', 'made');
    });
  }

  await t.test('to another host by ssh: labels, owners, everything; and what ran stays stopped', async (st) => {
    if (!requireSshServer()) return;
    const other = await startDockerEngine(st);
    if (other === undefined) return;
    const path = process.env.PATH;
    process.env.PATH = (await serveEngine(st, other)).PATH as string;
    st.after(() => {
      process.env.PATH = path as string;
    });
    const to = ['--to-docker-host', 'ssh://root@holdfast-test'];
    await killedAt(
      'copy',
      { ...project, environment: { ...environment, PATH: process.env.PATH } },
      'migrate',
      'volume',
      'shop_data',
      'shop_data',
      ...to,
      '--leave-stopped',
    );
    const { stdout } = await succeed('migrate', 'volume', 'shop_data', 'shop_data', ...to, '--leave-stopped');
    assert.match(stdout, /shop_data at ssh:\/\/holdfast-test holds what shop_data held, verified[\s\S]*left stopped: app/);
    assert.ok(!isRunning('app'));
    assert.equal(differences(rsync, directoryOf('shop_data'), other.directoryOf('shop_data')), '');
    assert.equal(other.docker('volume', 'inspect', '--format', '{{index .Labels "com.docker.compose.volume"}}', 'shop_data'), 'data');
    assert.equal(other.docker('ps', '--all', '--quiet'), '', 'no helpers are left');
    // And a restore of the project's volume to the other host, under another name.
    await succeed('restore', 'data', '--to-volume', 'restored', '--docker-host', 'ssh://root@holdfast-test', '--verify');
    assert.equal(readFileSync(join(other.directoryOf('restored'), 'deep/file'), 'utf8'), 'precious');
  });
});
