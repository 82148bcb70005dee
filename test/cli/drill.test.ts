import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { daemonFolder } from '../../src/cli/daemon-place.ts';
import { run } from '../../src/cli/run.ts';
import { loadConfiguration } from '../../src/control/configuration/load.ts';
import { createJobTable } from '../../src/control/state/job-table.ts';
import { openState } from '../../src/control/state/state.ts';
import { exitCodes } from '../../src/model/errors.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

/** Two volumes, saved; and a folder for drills. */
async function project(t: TestContext) {
  const folder = scratch(t);
  for (const name of ['first', 'second', 'drills']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'first/file'), 'content');
  mkdirSync(join(folder, 'first/closed'));
  writeFileSync(join(folder, 'first/closed/file'), 'closed');
  chmodSync(join(folder, 'first/closed'), 0o500);
  writeFileSync(Buffer.concat([Buffer.from(join(folder, 'first/')), Buffer.from([0xff, 0xfe])]), 'a name of bytes');
  symlinkSync('/etc', join(folder, 'first/link'));
  writeFileSync(join(folder, 'second/file'), 'x'.repeat(100_000));
  const holdfast = commandLine(folder);
  assert.equal((await holdfast('init', '--volume', 'first=first', '--volume', 'second=second')).exit, exitCodes.done);
  const backup = await holdfast('backup');
  assert.equal(backup.exit, exitCodes.done, backup.stderr);
  const drills = join(folder, 'drills');
  return { folder, holdfast, drills, drill: (...words: string[]) => holdfast('drill', '--scratch', drills, ...words) };
}

const documents = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

test('brings back every volume, verified and timed, and leaves nothing', async (t) => {
  const { drill, drills } = await project(t);
  const { exit, stdout, stderr } = await drill('--json');
  assert.equal(exit, exitCodes.done, stderr);
  const drilled = documents(stdout).filter(({ event }) => event === 'drilled');
  assert.deepEqual(
    drilled.map(({ volume, files, verified }) => [volume, files, verified]),
    [
      ['first', 4, true],
      ['second', 1, true],
    ],
  );
  assert.ok(drilled.every(({ durationMs }) => durationMs > 0));
  assert.equal(documents(stdout).at(-1).event, 'run-finished');
  // Nobody is told of a place that is no more.
  assert.ok(!stdout.includes('holdfast-drill-'));
  assert.deepEqual(readdirSync(drills), []);
});

test('says what it would do, and does nothing of it', async (t) => {
  const { drill, drills } = await project(t);
  const { exit, stdout } = await drill('second', '--dry-run');
  assert.equal(exit, exitCodes.done);
  assert.match(stdout, /^second: would restore [0-9a-f]{8} \(97.7 KiB\) into .*drills\n$/);
  assert.deepEqual(readdirSync(drills), []);
});

test('damage ends it with 1, and the other volumes are brought back all the same', async (t) => {
  const { folder, drill, drills } = await project(t);
  const data = join(folder, 'holdfast-repository/data');
  for (const name of readdirSync(data, { recursive: true, encoding: 'utf8' })) {
    if (!/[0-9a-f]{64}$/.test(name)) continue;
    const pack = join(data, name);
    const bytes = readFileSync(pack);
    // The first blob of the pack of contents, or of trees.
    bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20);
    chmodSync(pack, 0o600);
    writeFileSync(pack, bytes);
  }
  const { exit, stdout } = await drill('--json');
  assert.equal(exit, exitCodes.failed);
  const drilled = documents(stdout).filter(({ event }) => event === 'drilled');
  assert.equal(drilled.length, 2);
  assert.ok(drilled.some(({ verified }) => !verified));
  assert.deepEqual(readdirSync(drills), []);
});

test('of a volume whose newest snapshot is empty, the good one before is brought back', async (t) => {
  const { folder, holdfast, drill } = await project(t);
  const good = documents((await holdfast('snapshots', '--json', 'second')).stdout)[0].id;
  writeFileSync(join(folder, 'second/file'), '');
  rmSync(join(folder, 'second/file'));
  assert.equal((await holdfast('backup', 'second', '--allow-empty')).exit, exitCodes.done);
  const { exit, stdout } = await drill('second', '--json');
  assert.equal(exit, exitCodes.done);
  assert.equal(documents(stdout).find(({ event }) => event === 'drilled').snapshot, good);
});

test('too little room is found out before, and a volume without a snapshot is no success', async (t) => {
  const { folder, holdfast, drill } = await project(t);
  const nowhere = await holdfast('drill', '--scratch', join(folder, 'nowhere'));
  assert.equal(nowhere.exit, exitCodes.failed);
  assert.match(nowhere.stderr, /no scratch space/);
  const yaml = join(folder, 'holdfast.yaml');
  mkdirSync(join(folder, 'third'));
  writeFileSync(yaml, readFileSync(yaml, 'utf8').replace(/^( +)second:/m, '$1third: { source: { directory: ./third } }\n$1second:'));
  const { exit, stderr } = await drill();
  assert.equal(exit, exitCodes.failed);
  assert.match(stderr, /third: there is no snapshot of it/);
});

test('what a drill that was killed has left is removed by the next one, and that of a living one is not', async (t) => {
  const { drill, drills } = await project(t);
  const dead = join(drills, 'holdfast-drill-dead00');
  const alive = join(drills, 'holdfast-drill-alive0');
  const stranger = join(drills, 'holdfast-drill-young0');
  for (const folder of [dead, alive, stranger]) mkdirSync(join(folder, 'volume'), { recursive: true });
  const hold = (folder: string) =>
    `const { DatabaseSync } = require('node:sqlite'); const lock = new DatabaseSync(${JSON.stringify(join(folder, '.running'))}); lock.exec('BEGIN EXCLUSIVE'); console.log('held'); setInterval(() => lock, 1000)`;
  const holders = [dead, alive].map((folder) =>
    spawn(process.execPath, ['--no-warnings', '-e', hold(folder)], { stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  t.after(() => holders.map((holder) => holder.kill('SIGKILL')));
  await Promise.all(holders.map((holder) => once(holder.stdout as NonNullable<typeof holder.stdout>, 'data')));
  holders[0]?.kill('SIGKILL');
  await once(holders[0] as NonNullable<(typeof holders)[0]>, 'exit');
  const { exit, stderr } = await drill();
  assert.equal(exit, exitCodes.done, stderr);
  assert.match(stderr, /removed .*holdfast-drill-dead00/);
  assert.deepEqual(readdirSync(drills).sort(), ['holdfast-drill-alive0', 'holdfast-drill-young0']);
});

test('one that is made by hand counts for a daemon that ever ran here, and one of a daemon is left to it', async (t) => {
  const { folder, drills } = await project(t);
  const environment = { HOLDFAST_STATE_DIR: join(folder, 'state') };
  const drill = async (more: NodeJS.ProcessEnv = {}) => {
    let [stdout, stderr] = ['', ''];
    const exit = await run(['drill', '--scratch', drills, '--json'], {
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      environment: { ...environment, ...more },
      cwd: folder,
      signal: new AbortController().signal,
    });
    assert.equal(exit, exitCodes.done, stderr);
    return documents(stdout).filter(({ event }) => event === 'drilled');
  };
  await drill();
  assert.ok(!existsSync(environment.HOLDFAST_STATE_DIR), 'where no daemon ever ran, nothing is left');

  const path = join(daemonFolder(await loadConfiguration(join(folder, 'holdfast.yaml')), environment), 'state.sqlite');
  openState(path).close();
  await drill({ HOLDFAST_JOB: '1' });
  const made = await drill();
  const state = openState(path);
  t.after(() => state.close());
  const [job, ...others] = createJobTable(state).list({ kind: 'drill' }, { limit: 9 });
  assert.deepEqual(others, []);
  assert.deepEqual([job?.state, job?.exitCode, job?.schedule], ['succeeded', 0, undefined]);
  assert.match(job?.startedBy ?? '', /^user /);
  assert.deepEqual(
    job?.result?.drilled,
    made.map(({ event: _, ...rest }) => rest),
  );
  for (const { durationMs, readBackMs } of made) assert.ok(readBackMs >= 0 && readBackMs <= durationMs);
  // One that nobody can read is the daemon's to put in order.
  writeFileSync(`${path}-broken`, 'no database');
  renameSync(`${path}-broken`, path);
  await drill();
  assert.equal(readFileSync(path, 'utf8'), 'no database');
});
