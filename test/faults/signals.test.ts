import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readdirSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  assertClean,
  backup,
  createProject,
  ended,
  filesOf,
  fillVolume,
  type Project,
  type Run,
  randomBytesOf,
  start,
  summaryOf,
  temporaryFiles,
} from './project.ts';

const largeBytes = 8 * 1024 * 1024;
const largeFiles = 12;

/** More than packs hold, so that there are some in the middle of the run. */
function largeProject(t: TestContext): Project {
  const project = createProject(t);
  for (let n = 0; n < largeFiles; n++) writeFileSync(join(project.volume, `large-${n}`), randomBytesOf(`signal ${n}`, largeBytes));
  return project;
}

/** Runs a backup, and acts when something appears in a folder of the repository. */
async function strikeAt(project: Project, folder: string, act: (child: ChildProcess) => void): Promise<Run> {
  const child = start(project.folder, ['backup', '--json', '--lanes', '2']);
  const watcher = watch(join(project.repository, folder), () => {
    watcher.close();
    act(child);
  });
  const run = await ended(child);
  watcher.close();
  return run;
}

/** The same, when a pack is complete. */
async function strikeAtPack(project: Project, act: (child: ChildProcess) => void): Promise<Run> {
  const child = start(project.folder, ['backup', '--json', '--lanes', '2']);
  const poll = setInterval(() => {
    const found = readdirSync(join(project.repository, 'data'), { recursive: true, encoding: 'utf8' });
    if (!found.some((path) => /^..[/][0-9a-f]{64}$/.test(path))) return;
    clearInterval(poll);
    act(child);
  }, 2);
  const run = await ended(child);
  clearInterval(poll);
  return run;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} in the middle: what was read is stored and indexed, nothing is left behind, the next run is cheap`, async (t) => {
    const project = largeProject(t);
    const run = await strikeAtPack(project, (child) => child.kill(signal));
    assert.equal(run.code, 130, run.stderr);
    const error = run.stderr.split('\n').find((line) => line.startsWith('{'));
    assert.match(error ?? '', new RegExp(`"code":"interrupted","message":"interrupted by ${signal}"`));
    assert.deepEqual(filesOf(project, 'locks'), []);
    assert.deepEqual(filesOf(project, 'snapshots'), []);
    assert.deepEqual(temporaryFiles(project.repository), []);
    assert.ok(filesOf(project, 'index').length > 0, 'what was stored is in no index');
    assertClean(project);
    const { dataAdded } = summaryOf(await backup(project.folder));
    const total = largeFiles * largeBytes;
    // A pack of 16 MiB at least was complete.
    assert.ok(dataAdded <= total - 16 * 1024 * 1024, `the next run stored ${dataAdded} of ${total} bytes again`);
    assertClean(project, { readData: true });
  });
}

test('SIGINT before anything was stored', async (t) => {
  const project = createProject(t);
  fillVolume(project.volume, 100_000, 'early');
  const run = await strikeAt(project, 'locks', (child) => child.kill('SIGINT'));
  assert.equal(run.code, 130, run.stderr);
  assert.deepEqual([filesOf(project, 'locks'), filesOf(project, 'snapshots'), temporaryFiles(project.repository)], [[], [], []]);
  assertClean(project);
  summaryOf(await backup(project.folder));
});

test('who asks twice does not wait: the process ends at once, and the repository is sound', async (t) => {
  const project = largeProject(t);
  const run = await strikeAtPack(project, (child) => {
    child.kill('SIGINT');
    child.kill('SIGTERM');
  });
  assert.equal(run.code, 130);
  assert.equal(run.stderr.includes('interrupted by'), false, 'it ended in the long way');
  assert.deepEqual(filesOf(project, 'snapshots'), []);
  assertClean(project);
  summaryOf(await backup(project.folder));
  assertClean(project, { readData: true });
});
