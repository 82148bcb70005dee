/** The disk of the daemon's state is full, or its file is taken away while it works. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Document, holdfast } from '../programs.ts';
import { mountDisk } from '../small-disk.ts';
import { daemonProject, job, runsOf, startDaemon } from './daemon-process.ts';

test('on a state disk that is full, backups go on and status tells; when there is room, it is over', async (t) => {
  const disk = mountDisk(t, '16m');
  if (disk === undefined) return;
  const project = daemonProject(t, '{ often: { every: 2s } }');
  project.environment.HOLDFAST_STATE_DIR = disk.folder;
  const daemon = startDaemon(t, project);
  try {
    await daemon.line(job('succeeded'));
    const filler = join(disk.folder, 'filler');
    try {
      writeFileSync(filler, Buffer.alloc(32 * 2 ** 20));
    } catch {
      // As much as there is room for.
    }
    await daemon.line(({ body }) => /cannot write its state/.test(body));
    const before = runsOf(project).size;
    const from = daemon.lines.length;
    const { attributes } = await daemon.line(job('running'), from);
    const isThat = (line: Document) => line.attributes?.['holdfast.job.id'] === attributes['holdfast.job.id'];
    await daemon.line((line) => isThat(line) && job('succeeded')(line), from);
    assert.ok(runsOf(project).size > before);
    const { stdout } = holdfast(project.folder, ['status'], { environment: project.environment, exit: [1, 3] });
    assert.match(stdout, /cannot write its state since .*full/);
    assert.doesNotMatch(stdout, /not reached|never reached/);
    const until = daemon.lines.length;
    rmSync(filler);
    await daemon.line(({ body }) => /^project shop.*good/.test(body) || /^shop.*good/.test(body), until);
    assert.equal(await daemon.end(), 0);
  } finally {
    // Before the disk is taken away.
    await daemon.end('SIGKILL');
  }
});

test('a state that is taken away is noticed within seconds, and ends the daemon with an error: the next start gathers what there is', async (t) => {
  const project = daemonProject(t, '{ rare: { every: 365d } }');
  const first = startDaemon(t, project);
  await first.line(job('succeeded'));
  const file = project.stateFile();
  for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true });
  assert.equal(await first.ended, 1);
  assert.match(first.complaints(), /state-lost|was removed or replaced/);
});
