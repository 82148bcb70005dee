/** Several programs on one repository at the same time. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { lockRepository } from '../../src/repository/locks.ts';
import { requireRestic } from '../peers.ts';
import { systemClock } from './engine.ts';
import { assertClean, backup, createProject, ended, filesOf, fillVolume, openProject, type Project, start, summaryOf } from './project.ts';

function startRestic(path: string, { repository, keyFile }: Project, args: readonly string[]): ChildProcess {
  return spawn(path, ['-r', repository, '--password-file', keyFile, '--no-cache', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
    killSignal: 'SIGKILL',
  });
}

async function endOf(child: ChildProcess): Promise<{ code: number | null; text: string }> {
  let text = '';
  child.stdout?.on('data', (chunk) => (text += chunk));
  child.stderr?.on('data', (chunk) => (text += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, text };
}

/** Resolves when a lock has appeared, with the program stopped that took it. */
function stoppedWithLock(project: Project, child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const watcher = watch(join(project.repository, 'locks'), () => {
      if (filesOf(project, 'locks').length === 0) return;
      watcher.close();
      child.kill('SIGSTOP');
      resolve();
    });
    child.once('exit', () => reject(new Error('it ended before it was seen to lock')));
  });
}

test('two Holdfasts back up into one repository at the same time', async (t) => {
  const project = createProject(t);
  fillVolume(project.volume, 6_000_000, 'together');
  const runs = await Promise.all([backup(project.folder), backup(project.folder), backup(project.folder, ['--force'])]);
  for (const run of runs) summaryOf(run);
  assert.equal(filesOf(project, 'snapshots').length, 3);
  assert.deepEqual(filesOf(project, 'locks'), []);
  assertClean(project, { readData: true });
  assert.equal(summaryOf(await backup(project.folder)).dataAdded, 0);
});

for (const name of ['stock', 'newest'] as const) {
  test(`Holdfast and ${name} restic back up into one repository at the same time`, async (t) => {
    const restic = requireRestic(t, name);
    if (restic === undefined) return;
    const project = createProject(t);
    fillVolume(project.volume, 6_000_000, 'both');
    const [theirs, ours] = await Promise.all([
      endOf(startRestic(restic.path, project, ['backup', project.volume])),
      backup(project.folder),
    ]);
    assert.equal(theirs.code, 0, theirs.text);
    summaryOf(ours);
    assert.equal(filesOf(project, 'snapshots').length, 2);
    assertClean(project, { readData: true });
  });

  test(`while ${name} restic prunes, a backup is refused with exit code 11, and says who is at work`, async (t) => {
    const restic = requireRestic(t, name);
    if (restic === undefined) return;
    const project = createProject(t);
    fillVolume(project.volume, 100_000, 'prune');
    summaryOf(await backup(project.folder));
    const prune = startRestic(restic.path, project, ['prune']);
    t.after(() => prune.kill('SIGKILL'));
    const pruned = endOf(prune);
    await stoppedWithLock(project, prune);
    const refused = await backup(project.folder);
    assert.equal(refused.code, 11, refused.stderr);
    assert.match(
      refused.stderr,
      new RegExp(`"code":"locked","message":"the repository is exclusively locked since .* by process ${prune.pid} of `),
    );
    assert.equal(filesOf(project, 'locks').length, 1, 'the lock of the refused run was left, or that of restic robbed');
    prune.kill('SIGCONT');
    const { code, text } = await pruned;
    assert.equal(code, 0, text);
    summaryOf(await backup(project.folder));
    assertClean(project);
  });

  test(`while Holdfast backs up, ${name} restic does not prune`, async (t) => {
    const restic = requireRestic(t, name);
    if (restic === undefined) return;
    const project = createProject(t);
    fillVolume(project.volume, 100_000, 'backup');
    const child = start(project.folder, ['backup', '--json']);
    t.after(() => child.kill('SIGKILL'));
    const ours = ended(child);
    await stoppedWithLock(project, child);
    const prune = await endOf(startRestic(restic.path, project, ['prune']));
    assert.notEqual(prune.code, 0);
    assert.match(prune.text, new RegExp(`locked by PID ${child.pid} `));
    child.kill('SIGCONT');
    summaryOf(await ours);
    assertClean(project);
  });
}

test('who has nothing to do but to wait for the lock is there until it is given up', async (t) => {
  const project = createProject(t);
  const held = await lockRepository(await openProject(project), { exclusive: false, clock: systemClock });
  const { code, stderr } = await ended(start(project.folder, ['forget', '--keep-last', '1', '--retry-lock', '1s']));
  await held.release();
  assert.equal(code, 11, stderr);
  assert.match(stderr, /: waiting/);
});
