/** A backup whose lock was lost: others may have pruned meanwhile, so nothing may rely on what was stored under it. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { HoldfastError } from '../../src/model/errors.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import type { FileKind, Storage } from '../../src/storage/storage.ts';
import { backUpInProcess, findingsOf } from './engine.ts';
import { createProject, ended, filesOf, fillVolume, killGroup, start } from './project.ts';

/** Calls back after the first file of a kind was stored. */
const afterFirst = (storage: Storage, kind: FileKind, callback: () => void): Storage => ({
  ...storage,
  async write(file, parts) {
    await storage.write(file, parts);
    if (file.kind === kind) callback();
  },
});

for (const { lostAfter, indexes } of [
  { lostAfter: 'locks', indexes: 0 },
  { lostAfter: 'data', indexes: 0 },
  { lostAfter: 'index', indexes: 1 },
] as const) {
  test(`lost after ${lostAfter} were written: no further index, no snapshot`, async (t) => {
    const project = createProject(t);
    fillVolume(project.volume, 100_000, 'lost');
    const lost = new AbortController();
    const storage = afterFirst(createLocalStorage(project.repository), lostAfter, () =>
      lost.abort(new HoldfastError('locked', 'the lock was lost')),
    );
    await assert.rejects(backUpInProcess(project, { storage, signal: lost.signal }), { code: 'locked', message: 'the lock was lost' });
    assert.equal(filesOf(project, 'index').length, indexes);
    assert.deepEqual([filesOf(project, 'snapshots'), filesOf(project, 'locks')], [[], []]);
    assert.deepEqual(await findingsOf(project), []);
    const next = await backUpInProcess(project);
    assert.equal(next.exitCode, 0);
    assert.deepEqual(await findingsOf(project), []);
  });
}

test('the machine slept, and another process took the lock for stale: who wakes names nothing', async (t) => {
  const project = createProject(t);
  fillVolume(project.volume, 6_000_000, 'slept');
  // Some seconds with its lock, however loaded the machine is.
  const child = start(project.folder, ['backup', '--json', '--limit-upload', '2MiB']);
  t.after(() => killGroup(child, 'SIGKILL'));
  const end = ended(child);
  while (filesOf(project, 'locks').length === 0) {
    assert.equal(child.exitCode, null, 'it ended');
    await setTimeout(1);
  }
  killGroup(child, 'SIGSTOP');
  assert.deepEqual([filesOf(project, 'index'), filesOf(project, 'snapshots')], [[], []], 'it was too quick');
  for (const name of filesOf(project, 'locks')) rmSync(join(project.repository, 'locks', name));
  killGroup(child, 'SIGCONT');
  const { code, stderr } = await end;
  assert.equal(code, 11, stderr);
  assert.match(stderr, /the lock of the repository was removed by another process/);
  assert.deepEqual([filesOf(project, 'index'), filesOf(project, 'snapshots')], [[], []]);
});
