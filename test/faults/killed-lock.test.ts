/** The lock of a run that was killed blocks nobody, be it in another container; that of a living one is respected by everybody. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { requireRoot, resticVersions } from '../peers.ts';
import { createProject, ended, filesOf, fillVolume, killGroup, type Project, type Run, start } from './project.ts';

/** As a container has it: a namespace of processes of its own, in which ids begin with 1. */
const container = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];

/** Waits for something to appear, for as long as a slow machine takes. */
async function appears(path: string, child: ChildProcess): Promise<void> {
  while (!existsSync(path)) {
    assert.equal(child.exitCode, null, 'it ended');
    await setTimeout(10);
  }
}

/** A run that holds the repository exclusively until it is killed: it waits for a new password. */
async function holdExclusively(t: TestContext, project: Project, under: readonly string[] = []): Promise<ChildProcess> {
  const sign = join(project.folder, 'holding');
  rmSync(sign, { force: true });
  const child = start(project.folder, ['key', 'passwd', '--new-password-command', `touch ${sign}; exec sleep 100`], under);
  t.after(() => killGroup(child, 'SIGKILL'));
  await appears(sign, child);
  return child;
}

async function killed(child: ChildProcess): Promise<void> {
  const end = ended(child);
  killGroup(child, 'SIGKILL');
  assert.equal((await end).signal, 'SIGKILL');
}

const backUp = (project: Project, under: readonly string[] = [], args: readonly string[] = []): Promise<Run> =>
  ended(start(project.folder, ['backup', '--json', ...args], under));

function setUp(t: TestContext): Project {
  const project = createProject(t);
  fillVolume(project.volume, 1000, 'locks');
  return project;
}

async function assertBlocksWhileItLives(t: TestContext, project: Project, under: readonly string[]): Promise<void> {
  const holder = await holdExclusively(t, project, under);
  assert.equal(filesOf(project, 'locks').length, 1);
  const blocked = await backUp(project, under);
  assert.equal(blocked.code, 11, blocked.stderr);
  await killed(holder);
  assert.equal(filesOf(project, 'locks').length, 1, 'the killed run left its lock behind');
  const next = await backUp(project, under);
  assert.equal(next.code, 0, next.stderr);
  assert.deepEqual(filesOf(project, 'locks'), []);
}

test('the lock of a run that was killed does not block the next one, and did block it before', (t) =>
  assertBlocksWhileItLives(t, setUp(t), []));

test('nor does it on storages where the file system is no witness', (t) =>
  assertBlocksWhileItLives(t, setUp(t), ['env', 'HOLDFAST_PORTABLE_KERNELS=1']));

test('nor does it between containers, which see nothing of one another', (t) => {
  if (!requireRoot(t)) return;
  const [program, ...args] = container as [string, ...string[]];
  if (spawnSync(program, [...args, 'true']).status !== 0) return t.skip('this system lets nobody make a namespace');
  return assertBlocksWhileItLives(t, setUp(t), container);
});

test('--retry-lock waits until who holds the repository has finished', async (t) => {
  const project = setUp(t);
  const holder = await holdExclusively(t, project);
  const waiting = start(project.folder, ['backup', '--retry-lock', '1m']);
  const end = ended(waiting);
  // It says whom it waits for.
  await new Promise<void>((resolve) => {
    let said = '';
    waiting.stderr?.on('data', (text) => {
      said += text;
      if (/exclusively locked .* waiting/.test(said)) resolve();
    });
  });
  killGroup(holder, 'SIGTERM');
  assert.equal((await end).code, 0);
});

test('restic respects our locks, and takes those of killed runs away', async (t) => {
  const project = setUp(t);
  for (const { path, name } of resticVersions()) {
    const options = ['-r', project.repository, '--password-file', project.keyFile, '--no-cache'];
    const holder = await holdExclusively(t, project);
    const refused = spawnSync(path, [...options, 'prune'], { encoding: 'utf8' });
    assert.match(refused.stderr, /already locked/, name);
    await killed(holder);
    execFileSync(path, [...options, 'unlock'], { stdio: 'ignore' });
    assert.deepEqual(filesOf(project, 'locks'), []);
  }
});
