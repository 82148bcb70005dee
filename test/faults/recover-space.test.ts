/** What a prune removes from a storage that is full, before it has a lock: nothing that could still be needed. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { lockRepository } from '../../src/repository/locks.ts';
import { backUpInProcess, systemClock } from './engine.ts';
import { createProject, fillVolume, openProject, type Project } from './project.ts';
import { makeRoomInProcess, packsOf } from './prune-support.ts';

/** A pack that no index names, as of a backup that filled the disk. */
function leavePack({ repository }: Project): string {
  const name = 'ab'.repeat(32);
  const path = join(repository, 'data', 'ab', name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, 'never indexed');
  return name;
}

const nameOf = (path: string) => path.slice(-64);

test('packs that no index names go, and no others; without any, it says what else makes room', async (t) => {
  const project = createProject(t);
  fillVolume(project.volume, 100_000, 'room');
  await backUpInProcess(project);
  const before = packsOf(project);
  leavePack(project);
  await makeRoomInProcess(project);
  assert.deepEqual(packsOf(project), before);
  await assert.rejects(makeRoomInProcess(project), { code: 'storage-full', remedy: /forget --no-lock/ });
});

test('while an index file is missing that snapshots need, nothing goes: its packs are all that is left to make it anew of', async (t) => {
  const project = createProject(t);
  fillVolume(project.volume, 100_000, 'room');
  await backUpInProcess(project);
  const garbage = leavePack(project);
  const before = packsOf(project);
  // As a prune leaves it that was killed when the old index files were gone.
  const index = join(project.repository, 'index');
  for (const name of readdirSync(index)) rmSync(join(index, name));
  await assert.rejects(makeRoomInProcess(project), { code: 'damaged', remedy: /repair index/ });
  assert.deepEqual(packsOf(project), before);
  assert.ok(before.map(nameOf).includes(garbage));
});

test('nothing goes while somebody is at work', async (t) => {
  const project = createProject(t);
  fillVolume(project.volume, 100_000, 'room');
  await backUpInProcess(project);
  leavePack(project);
  const before = packsOf(project);
  const held = await lockRepository(await openProject(project), { exclusive: false, clock: systemClock });
  await assert.rejects(makeRoomInProcess(project), { code: 'locked' });
  await held.release();
  assert.deepEqual(packsOf(project), before);
});
