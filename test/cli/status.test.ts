import assert from 'node:assert/strict';
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { daemonFolder, takePlace } from '../../src/cli/daemon-place.ts';
import { run } from '../../src/cli/run.ts';
import type { VolumeConfiguration } from '../../src/control/configuration/configuration.ts';
import { loadConfiguration } from '../../src/control/configuration/load.ts';
import { labelledFact, labelledOf } from '../../src/control/discovery/labelled.ts';
import { createEvidenceTable } from '../../src/control/state/evidence-table.ts';
import { createJobTable } from '../../src/control/state/job-table.ts';
import { createFacts } from '../../src/control/state/log-tables.ts';
import { openState } from '../../src/control/state/state.ts';
import { exitCodes } from '../../src/model/errors.ts';
import { startTestServer } from '../api/api-server.ts';
import { jobOf, snapshotOf } from '../assessed-project.ts';
import { scratch } from '../peers.ts';

async function project(t: TestContext, volumes = ['data']) {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'data/file'), 'content');
  const lines = volumes.map((name) => `  ${name}: { source: { directory: ./data } }\n`).join('');
  writeFileSync(join(folder, 'holdfast.yaml'), `project: shop\nvolumes:\n${lines}`);
  const environment = { HOLDFAST_STATE_DIR: join(folder, 'state') };
  const holdfast = async (...words: string[]) => {
    let [stdout, stderr] = ['', ''];
    const signal = new AbortController().signal;
    const streams = { stdout: { write: (text: string) => (stdout += text) }, stderr: { write: (text: string) => (stderr += text) } };
    const exit = await run(words, { ...streams, environment, cwd: folder, signal });
    return { exit, stdout, stderr };
  };
  assert.equal((await holdfast('init')).exit, exitCodes.done);
  return { folder, environment, holdfast };
}

test('the exit code says how it stands: broken without a snapshot, good with one, at risk when the newest is wrong', async (t) => {
  const { folder, holdfast } = await project(t);
  const before = await holdfast('status');
  assert.equal(before.exit, exitCodes.failed, before.stderr);
  assert.match(before.stdout, /^shop: broken\nbroken {2}data\n {10}there is no snapshot of it\n {10}-> holdfast backup data\n/);
  assert.equal((await holdfast('backup')).exit, exitCodes.done);
  const after = await holdfast('status');
  assert.equal(after.exit, exitCodes.done, after.stdout);
  assert.match(after.stdout, /good {4}data: saved \d+s ago, 7 B/);
  assert.match(after.stderr, /no daemon of this project runs here/);
  rmSync(join(folder, 'data/file'));
  assert.equal((await holdfast('backup', '--allow-empty')).exit, exitCodes.done);
  const { exit, stdout } = await holdfast('status', '--json');
  assert.equal(exit, exitCodes.incomplete);
  const [{ condition, reasons, anomalies }] = JSON.parse(stdout).volumes;
  assert.deepEqual([condition, reasons[0].kind, anomalies[0].kind], ['at-risk', 'anomaly', 'emptied']);
});

test('a volume that has always been empty is good from its first backup on, and said to be empty; one that was emptied never is', async (t) => {
  const { folder, holdfast } = await project(t);
  rmSync(join(folder, 'data/file'));
  for (const _ of ['first', 'second']) assert.equal((await holdfast('backup', '--class', 'scheduled')).exit, exitCodes.done);
  const { exit, stdout } = await holdfast('status');
  assert.equal(exit, exitCodes.done, stdout);
  assert.match(stdout, /good {4}data: saved \d+s ago, empty$/m);
  assert.match((await holdfast('drill', 'data')).stdout, /brought back, as it was: 0 files/);
  writeFileSync(join(folder, 'data/file'), 'content');
  assert.equal((await holdfast('backup', '--class', 'scheduled')).exit, exitCodes.done);
  assert.match((await holdfast('status')).stdout, /good {4}data: saved \d+s ago, 7 B/);
  rmSync(join(folder, 'data/file'));
  for (const _ of ['wiped', 'still'])
    assert.equal((await holdfast('backup', '--class', 'scheduled', '--allow-empty')).exit, exitCodes.done);
  const wiped = await holdfast('status');
  assert.equal(wiped.exit, exitCodes.incomplete, wiped.stdout);
  const { volumes } = JSON.parse((await holdfast('status', '--json')).stdout);
  assert.notEqual(volumes[0].newest.id, volumes[0].newestGood.id);
  const forget = await holdfast('forget', '--keep-last', '1', '--dry-run', '--json');
  const lines = forget.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const held = lines.find(({ id }) => id === volumes[0].newestGood.id);
  assert.deepEqual([held.action, held.held], ['keep', true]);
});

test('a repository that cannot be reached is told of, and ends nothing', async (t) => {
  const { folder, holdfast } = await project(t);
  rmSync(join(folder, 'holdfast-repository'), { recursive: true });
  const { exit, stdout } = await holdfast('status');
  assert.equal(exit, exitCodes.failed);
  assert.match(stdout, /broken {2}local\n {10}it was never reached: /);
});

test('where a daemon runs, what it knows is told, without a look into the repository', async (t) => {
  const { folder, environment, holdfast } = await project(t);
  const configuration = await loadConfiguration(join(folder, 'holdfast.yaml'));
  const place = daemonFolder(configuration, environment);
  const leave = takePlace(place);
  const state = openState(join(place, 'state.sqlite'));
  t.after(() => {
    state.close();
    leave();
  });
  const timeMs = Date.now() - 60_000;
  createEvidenceTable(state).add([snapshotOf({ project: 'shop', timeMs })]);
  createFacts(state).set('seen local', { atMs: timeMs });
  const error = { code: 'storage-denied' as const, message: 'no entry', remedy: 'ask' };
  const spec = { kind: 'check' as const, repository: 'local', part: 1, parts: 9 };
  createJobTable(state).add(jobOf({ spec, state: 'queued', attempt: 2, queuedMs: timeMs, notBeforeMs: Date.now() + 3_600_000, error }));
  rmSync(join(folder, 'holdfast-repository'), { recursive: true });
  const { exit, stdout, stderr } = await holdfast('status');
  assert.equal(exit, exitCodes.done, stdout);
  assert.match(stdout, /good {4}data: saved 1m ago, 1 GiB/);
  assert.match(stdout, /in \w+: schedule hourly/);
  assert.match(stdout, /^queued: check of local, in \d+m: attempt 1 failed: no entry$/m);
  assert.doesNotMatch(stderr, /no daemon/);
});

test('volumes that only labels declare are judged as a daemon has known them last, where no Engine answers', async (t) => {
  const { folder, environment, holdfast } = await project(t);
  const dockerHost = `unix://${join(folder, 'engine.sock')}`;
  writeFileSync(join(folder, 'holdfast.yaml'), 'project: shop\nvolumes: { data: , other: }\n');
  const { volumes, ...configuration } = await loadConfiguration(join(folder, 'holdfast.yaml'));
  const state = openState(join(daemonFolder(configuration, environment), 'state.sqlite'));
  const [data] = volumes as [VolumeConfiguration];
  createFacts(state).set(
    labelledFact,
    labelledOf(volumes, [
      { ...data, criticality: 'low' },
      { ...data, name: 'more' },
    ]),
  );
  state.close();
  for (const daemon of [false, true]) {
    if (daemon) t.after(takePlace(daemonFolder(configuration, environment)));
    const { exit, stdout, stderr } = await holdfast('--docker-host', dockerHost, 'status', '--json');
    assert.equal(exit, exitCodes.failed, stderr);
    const judged = JSON.parse(stdout).volumes.map(({ volume, criticality }: { volume: string; criticality: string }) => [
      volume,
      criticality,
    ]);
    const expected = [
      ['data', 'low'],
      ['other', 'critical'],
      ['more', 'critical'],
    ];
    assert.deepEqual(judged, expected);
    assert.equal(/volumes that only labels declare stay as they were last known: more/.test(stderr), !daemon, stderr);
  }
});

test('a daemon that answers is asked what it thinks; one that does not is no reason to say nothing', async (t) => {
  const { folder, environment, holdfast } = await project(t);
  appendFileSync(join(folder, 'holdfast.yaml'), 'daemon: { listen: "127.0.0.1:0" }\n');
  const evidence = [snapshotOf({ project: 'shop', timeMs: Date.now() - 60_000 })];
  const server = await startTestServer(t, { project: folder, evidence });
  const place = daemonFolder(await loadConfiguration(join(folder, 'holdfast.yaml')), environment);
  t.after(takePlace(place));
  copyFileSync(join(server.folder, 'address'), join(place, 'address'));
  const asked = await holdfast('status', '--json');
  const { volumes, daemon, next } = JSON.parse(asked.stdout);
  assert.deepEqual([volumes[0].newest.id, daemon], [evidence[0]?.id, true], asked.stderr);
  assert.ok(next.some(({ task }: { task: string }) => task === 'schedule hourly'));
  await server.stop();
  const alone = await holdfast('status', '--json');
  assert.equal(alone.exit, exitCodes.failed, alone.stderr);
  assert.equal(JSON.parse(alone.stdout).volumes[0].reasons[0].message, 'there is no snapshot of it');
  writeFileSync(join(place, 'address'), 'nonsense');
  assert.equal((await holdfast('status')).exit, exitCodes.failed);
});

test('a screen of many volumes names the worst, and sums up the rest', async (t) => {
  const names = Array.from({ length: 60 }, (_, index) => `volume-${index}`);
  const { holdfast } = await project(t, names);
  assert.equal((await holdfast('backup', ...names.slice(0, 30))).exit, exitCodes.done);
  const { exit, stdout } = await holdfast('status');
  assert.equal(exit, exitCodes.failed);
  assert.equal(stdout.match(/^broken {2}volume-/gm)?.length, 20);
  assert.match(stdout, /^and 10 more volumes that are not good: --all$/m);
  assert.match(stdout, /^good {4}30 volumes$/m);
  const all = (await holdfast('status', '--all')).stdout;
  assert.equal(all.match(/^(?:broken|good) +volume-/gm)?.length, 60);
});

test('a daemon elsewhere is asked by --server; one that does not answer is told of', async (t) => {
  const { folder: served } = await project(t);
  appendFileSync(join(served, 'holdfast.yaml'), 'daemon: { listen: "127.0.0.1:0" }\n');
  const { address, tokens, stop } = await startTestServer(t, { project: served });
  const folder = scratch(t);
  const ask = async (environment: NodeJS.ProcessEnv) => {
    let [stdout, stderr] = ['', ''];
    const streams = { stdout: { write: (text: string) => (stdout += text) }, stderr: { write: (text: string) => (stderr += text) } };
    const signal = new AbortController().signal;
    const exit = await run(['status', '--server', address, '--json'], { ...streams, environment, cwd: folder, signal });
    return { exit, stdout, stderr };
  };
  const { exit, stdout, stderr } = await ask({ HOLDFAST_TOKEN: tokens.viewer });
  const { project: name, condition, daemon, next } = JSON.parse(stdout || '{}');
  assert.deepEqual([name, daemon, exit], ['shop', true, { good: 0, 'at-risk': 3, broken: 1 }[condition as 'good']], stderr);
  // Which comes first depends on the time of day.
  assert.ok(next.some(({ task }: { task: string }) => task === 'schedule hourly'));
  assert.ok(next.every(({ dueMs }: { dueMs: number }, i: number) => dueMs >= (next[i - 1]?.dueMs ?? 0)));
  const restoring = await ask({ HOLDFAST_TOKEN: tokens['restore-only'] });
  assert.deepEqual([JSON.parse(restoring.stdout || '{}').open, restoring.exit], [[], exit], restoring.stderr);
  assert.equal((await ask({})).exit, exitCodes.failed);
  await stop();
  const gone = await ask({ HOLDFAST_TOKEN: tokens.viewer });
  assert.equal(gone.exit, exitCodes.failed);
  assert.match(gone.stderr, /daemon-unreachable/);
});

test('a state that is damaged inside is told of, and the repositories tell the rest', async (t) => {
  const { folder, environment, holdfast } = await project(t);
  assert.equal((await holdfast('backup')).exit, exitCodes.done);
  const place = daemonFolder(await loadConfiguration(join(folder, 'holdfast.yaml')), environment);
  mkdirSync(place, { recursive: true });
  const file = join(place, 'state.sqlite');
  openState(file).close();
  // The header, which says that all is well, stays.
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.fill(0xff, 4096));
  const { exit, stdout, stderr } = await holdfast('status');
  assert.equal(exit, exitCodes.done, stderr);
  assert.match(stdout, /good {4}data: saved/);
  assert.match(stderr, /the daemon's state is damaged/);
});
