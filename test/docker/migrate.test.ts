/** From bind mounts to named volumes, with a real Docker Engine and Compose, also when it is killed at each of its steps. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { migrationSteps } from '../../src/control/migration/migration-journal.ts';
import { importImage, startDockerEngine, type TestEngine } from '../docker-engine.ts';
import { peer, requirePeer, scratch } from '../peers.ts';
import { differences, holdfastProgram } from '../programs.ts';

const compose = `# The shop
version: "2.4"
services:
  web:
    image: busybox:test
    network_mode: none   # it needs none
    command: ["sh", "-c", "trap exit TERM; echo started >> /data/log; sleep 1000 & wait"]
    stop_grace_period: 1s
    volumes:
      - ./data:/data   # what counts
      - ./settings:/settings:ro
`;

type Folder = { folder: string; migrate(...args: string[]): ReturnType<typeof outcome> };

async function outcome(command: readonly string[], folder: string, env: NodeJS.ProcessEnv, killAt?: string) {
  const child = spawn(
    holdfastProgram,
    [
      '--json',
      '--repository',
      join(folder, '..', 'repository'),
      '--password-file',
      join(folder, '..', 'key'),
      'migrate',
      'bind',
      ...command,
    ],
    {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let [stdout, stderr] = ['', ''];
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
    if (killAt !== undefined && stdout.includes(`"step":"${killAt}"`)) child.kill('SIGKILL');
  });
  const [status, signal] = await new Promise<[number | null, string | null]>((resolve) => child.once('close', (...end) => resolve(end)));
  return { status, signal, stdout, stderr };
}

function shop(t: TestContext, { docker, environment }: TestEngine): Folder & { environment: NodeJS.ProcessEnv } {
  const root = scratch(t);
  const folder = join(
    root,
    `shop${basename(root)
      .replace(/[^a-z0-9]/gi, '')
      .toLowerCase()}`,
  );
  mkdirSync(join(folder, 'data/deep'), { recursive: true });
  mkdirSync(join(folder, 'settings'));
  writeFileSync(join(folder, 'compose.yml'), compose);
  // Compose 1 knows no other name.
  execFileSync('cp', [join(folder, 'compose.yml'), join(folder, 'docker-compose.yml')]);
  execFileSync('rm', [join(folder, 'compose.yml')]);
  writeFileSync(join(folder, 'data/deep/file'), 'precious');
  chownSync(join(folder, 'data/deep/file'), 70, 70);
  chmodSync(join(folder, 'data/deep'), 0o2750);
  const env = { ...environment, HOLDFAST_STATE_DIR: join(root, 'state'), HOME: root };
  writeFileSync(join(root, 'key'), 'key-of-the-test\n', { mode: 0o600 });
  mkdirSync(join(root, 'made'));
  execFileSync(
    holdfastProgram,
    ['init', '--volume', `x=${join(folder, 'data')}`, '--repository', join(root, 'repository'), '--password-file', join(root, 'key')],
    { cwd: join(root, 'made'), env, stdio: 'pipe' },
  );
  execFileSync(peer('docker-compose') as string, ['up', '--detach'], { cwd: folder, env, stdio: 'pipe' });
  t.after(() => docker('rm', '--force', `${basename(folder)}_web_1`));
  return { folder, environment: env, migrate: (...args) => outcome(args, folder, env) };
}

test('migrate bind', async (t) => {
  const rsync = requirePeer(t, 'rsync');
  const program = requirePeer(t, 'docker-compose');
  const engine = rsync && program ? await startDockerEngine(t) : undefined;
  if (engine === undefined || rsync === undefined) return;
  importImage(engine, 'busybox');
  const { docker, directoryOf } = engine;
  const mountOf = (folder: string) =>
    docker(
      'inspect',
      '--format',
      '{{range .Mounts}}{{if eq .Destination "/data"}}{{.Type}} {{.Name}}{{end}}{{end}}',
      `${basename(folder)}_web_1`,
    );
  const isRunning = (folder: string) => docker('inspect', '--format', '{{.State.Running}}', `${basename(folder)}_web_1`) === 'true';

  await t.test('there, and back with what was written since', async (st) => {
    const { folder, migrate } = shop(st, engine);
    const file = join(folder, 'docker-compose.yml');
    const dry = await migrate('--all', '--dry-run');
    assert.equal(dry.status, 0, dry.stderr);
    assert.match(dry.stdout, /"directory":"[^"]*\/data","uses".*"files":2/);
    assert.match(dry.stdout, /read-only everywhere/);
    assert.equal(readFileSync(file, 'utf8'), compose);
    const done = await migrate('--all');
    assert.equal(done.status, 0, done.stderr);
    const changed = compose.replace('- ./data:', '- data:').concat('\nvolumes:\n  data:\n');
    assert.equal(readFileSync(file, 'utf8'), changed);
    assert.equal(readFileSync(`${file}.before-migration`, 'utf8'), compose);
    assert.equal(mountOf(folder), `volume ${basename(folder)}_data`);
    assert.ok(isRunning(folder));
    const volume = directoryOf(`${basename(folder)}_data`);
    assert.equal(statSync(join(volume, 'deep/file')).uid, 70);
    // The service has written to its log when it started.
    assert.match(differences(rsync, join(folder, 'data'), volume), /^\S+ log$/);
    writeFileSync(join(volume, 'since'), 'new');
    const back = await migrate('--undo');
    assert.equal(back.status, 0, back.stderr);
    assert.equal(readFileSync(file, 'utf8'), compose);
    assert.equal(mountOf(folder), 'bind');
    assert.equal(readFileSync(join(folder, 'data/since'), 'utf8'), 'new');
    assert.ok(isRunning(folder));
  });

  // All steps both ways with HOLDFAST_TEST_KILLS.
  const usual = ['stop carried on', 'copy undone', 'rewrite carried on', 'start undone'];
  const killed = migrationSteps.flatMap((step) => (['carried on', 'undone'] as const).map((way) => ({ step, way })));
  for (const { step, way } of killed) {
    if (!usual.includes(`${step} ${way}`) && process.env.HOLDFAST_TEST_KILLS === undefined) continue;
    await t.test(`killed at "${step}", it is ${way}`, async (st) => {
      const { folder, environment, migrate } = shop(st, engine);
      const killed = await outcome(['--all'], folder, environment, step);
      assert.equal(killed.signal, 'SIGKILL', killed.stderr);
      assert.equal(statSync(join(folder, '.holdfast-migration.json')).mode & 0o777, 0o600);
      const next = await migrate(...(way === 'undone' ? ['--undo'] : []));
      assert.equal(next.status, 0, next.stderr);
      assert.equal(mountOf(folder), way === 'undone' ? 'bind' : `volume ${basename(folder)}_data`);
      assert.ok(isRunning(folder));
      const place = way === 'undone' ? join(folder, 'data') : directoryOf(`${basename(folder)}_data`);
      assert.equal(readFileSync(join(place, 'deep/file'), 'utf8'), 'precious');
      assert.equal(existsSync(join(folder, '.holdfast-migration.json')), way !== 'undone');
    });
  }
});
