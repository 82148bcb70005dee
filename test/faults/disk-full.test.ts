/** A disk that fills up while a backup writes to it, one that cannot be written, and permissions that are missing. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, lchownSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { HoldfastError } from '../../src/model/errors.ts';
import { lockRepository } from '../../src/repository/locks.ts';
import { commandLine } from '../command-line.ts';
import { resticVersions } from '../peers.ts';
import { type Disk, mountDisk } from '../small-disk.ts';
import { backUpInProcess, findingsOf, systemClock } from './engine.ts';
import {
  assertClean,
  backup,
  createProject,
  ended,
  filesOf,
  fillVolume,
  openProject,
  type Project,
  type Run,
  runRestic,
  start,
  summaryOf,
  temporaryFiles,
} from './project.ts';

const pageBytes = 4096;

const packsOf = ({ repository }: Project): number =>
  readdirSync(join(repository, 'data'), { recursive: true, encoding: 'utf8' }).filter((name) => /[0-9a-f]{64}$/.test(name)).length;

/** The only error of a run of the command line. */
function errorOf(run: Run): { code: string; message: string; remedy: string } {
  const line = run.stderr.split('\n').find((text) => text.startsWith('{'));
  assert.ok(line, run.stderr);
  return JSON.parse(line).error;
}

test('the disk fills up at every page of a backup; more room, and the next run succeeds', async (t) => {
  const disk = mountDisk(t);
  if (disk === undefined) return;
  const project = createProject(t, { repository: join(disk.folder, 'repository') });
  fillVolume(project.volume, 8_000, 'page');
  const stages = new Map<string, number>();
  let filled = 0;
  for (let room = 0; ; room += pageBytes) {
    assert.ok(room < 64 * pageBytes, 'it never succeeded');
    fillVolume(project.volume, 8_000, `page ${room}`);
    disk.leave(room);
    const before = { packs: packsOf(project), index: filesOf(project, 'index').length, snapshots: filesOf(project, 'snapshots').length };
    const error = await backUpInProcess(project).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.deepEqual(temporaryFiles(project.repository), [], `${room} bytes of room`);
    assert.deepEqual(filesOf(project, 'locks'), [], `${room} bytes of room`);
    if (error === undefined) break;
    filled++;
    assert.ok(error instanceof HoldfastError, String(error));
    assert.equal(error.code, 'storage-full', error.message);
    assert.equal(filesOf(project, 'snapshots').length, before.snapshots);
    const stored = { packs: packsOf(project) - before.packs, indexes: filesOf(project, 'index').length - before.index };
    const stage = `${stored.packs} packs, ${stored.indexes} indexes stored`;
    stages.set(stage, (stages.get(stage) ?? 0) + 1);
    disk.remount('size=64m');
    assert.deepEqual(await findingsOf(project), []);
    const next = await backUpInProcess(project);
    if (stored.packs === 2 && stored.indexes === 1) assert.equal(next.snapshots[0]?.counts.dataAdded, 0, 'it was stored already');
    assert.equal(filesOf(project, 'snapshots').length, before.snapshots + 1);
  }
  assert.ok(stages.size >= 3, `it filled up only at ${[...stages.keys()].join('; ')}`);
  disk.remount('size=64m');
  assertClean(project, { readData: true });
  t.diagnostic(`disk full survived: ${filled} (${[...stages].map(([stage, count]) => `${stage}: ${count}`).join('; ')})`);
});

test('a full disk in the middle of a large pack: exit code 1, and what to do', async (t) => {
  const disk = mountDisk(t);
  if (disk === undefined) return;
  const project = createProject(t, { repository: join(disk.folder, 'repository') });
  fillVolume(project.volume, 12_000_000, 'large');
  disk.leave(6_000_000);
  const run = await backup(project.folder);
  assert.equal(run.code, 1, run.stderr);
  const { code, message, remedy } = errorOf(run);
  assert.equal(code, 'storage-full');
  assert.match(message, /no room to store .*disk\/repository\/data\/.*ENOSPC/);
  assert.match(remedy, /make room/);
  assert.deepEqual([temporaryFiles(project.repository), filesOf(project, 'locks'), filesOf(project, 'snapshots')], [[], [], []]);
  disk.remount('size=64m');
  assertClean(project);
  summaryOf(await backup(project.folder));
  assertClean(project, { readData: true });
});

test('a disk without room for a lock: what only reads says how it works without one', async (t) => {
  const disk = mountDisk(t);
  if (disk === undefined) return;
  const project = createProject(t, { repository: join(disk.folder, 'repository') });
  fillVolume(project.volume, 20_000, 'locked out');
  summaryOf(await backup(project.folder));
  disk.leave(0);
  const stats = (...more: string[]) => ended(start(project.folder, ['stats', '--json', ...more]));
  const refused = await stats();
  assert.equal(errorOf(refused).code, 'storage-full');
  assert.match(errorOf(refused).remedy, /make room.*--no-lock/);
  const read = await stats('--no-lock');
  assert.equal(read.code, 0, read.stderr);
  assert.doesNotMatch(errorOf(await backup(project.folder)).remedy, /--no-lock/);
});

test('a disk without room for a lock: snapshots are forgotten and space is freed all the same', async (t) => {
  const disk = mountDisk(t);
  if (disk === undefined) return;
  const project = createProject(t, { repository: join(disk.folder, 'repository') });
  const snapshots: string[] = [];
  for (const seed of ['first', 'second', 'third']) {
    fillVolume(project.volume, 300_000, seed);
    snapshots.push((await backUpInProcess(project)).snapshots[0]?.id as string);
  }
  const [first, second] = snapshots as [string, string];
  const command = (...args: string[]) => commandLine(project.folder)('--json', ...args);
  const refused = async (expected: RegExp, ...args: string[]) => {
    const { exit, stderr } = await command(...args);
    assert.equal(exit, 1, stderr);
    assert.match(stderr, /"code":"storage-full"/);
    assert.match(stderr, expected);
  };
  const freed = async (...args: string[]) => {
    const { exit, stderr } = await command(...args);
    assert.equal(exit, 0, stderr);
  };
  const aside = join(project.folder, 'aside');
  disk.leave(0);
  await refused(/--no-lock/, 'forget', first);
  await refused(/--recover-no-space/, 'prune', '--lanes', '1');
  await refused(/forget --no-lock/, 'prune', '--recover-no-space', aside);
  await freed('prune', '--dry-run', '--no-lock', '--lanes', '1');
  const held = await lockRepository(await openWithRoom(project, disk), { exclusive: false, clock: systemClock });
  assert.equal((await command('forget', first, '--no-lock')).exit, 11, 'not while somebody is at work');
  await held.release();

  // What a backup leaves that fills the disk is enough to begin with.
  const garbage = join(project.repository, 'data', 'ab', 'ab'.repeat(32));
  mkdirSync(dirname(garbage), { recursive: true });
  writeFileSync(garbage, 'x'.repeat(pageBytes));
  await freed('forget', first, '--no-lock');
  disk.leave(0);
  const before = packsOf(project);
  await freed('prune', '--recover-no-space', aside, '--lanes', '1');
  assert.ok(packsOf(project) < before - 1 && !existsSync(garbage), 'packs of the first snapshot go as well');
  assert.deepEqual(readdirSync(aside), []);
  assert.deepEqual(await findingsOf(project), []);

  // The blocks of a snapshot file are enough as well.
  disk.leave(0);
  await freed('forget', second, '--no-lock');
  await freed('prune', '--recover-no-space', aside, '--lanes', '1');
  disk.remount('size=64m');
  assertClean(project, { readData: true, restics: resticVersions().slice(-1) });
});

async function openWithRoom(project: Project, disk: Disk) {
  disk.leave(8 * pageBytes);
  return openProject(project);
}

test('a repository that cannot be written to says so; it can be read', async (t) => {
  const disk = mountDisk(t);
  if (disk === undefined) return;
  const project = createProject(t, { repository: join(disk.folder, 'repository') });
  fillVolume(project.volume, 20_000, 'read-only');
  summaryOf(await backup(project.folder));
  disk.remount('ro');
  const run = await backup(project.folder);
  assert.equal(run.code, 1);
  assert.equal(errorOf(run).code, 'storage');
  assert.match(errorOf(run).message, /EROFS|read-only file system/);
  assert.match(errorOf(run).remedy, /--no-lock/);
  const snapshots = await ended(start(project.folder, ['snapshots', '--json']));
  assert.equal(snapshots.code, 0, snapshots.stderr);
  disk.remount('rw');
  summaryOf(await backup(project.folder));
});

for (const kind of ['locks', 'data', 'index', 'snapshots'] as const) {
  test(`permission to write ${kind} is lost: an error that names the file, a sound repository, and the next run carries on`, async (t) => {
    const project = createProject(t);
    fillVolume(project.volume, 50_000, 'permission');
    // Root is refused nothing: the run is an ordinary user's.
    const asUser = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    if (asUser.length > 0) giveAway(project.folder, 65534);
    const probe = await ended(start(project.folder, ['--version'], asUser));
    if (probe.code !== 0) return t.skip(`an ordinary user cannot run this checkout: ${probe.stderr.trim()}`);
    const run = () => ended(start(project.folder, ['backup', '--json'], asUser));
    chmodSync(join(project.repository, kind), 0o500);
    const refused = await run();
    assert.equal(refused.code, 1, refused.stderr);
    assert.equal(errorOf(refused).code, 'storage');
    assert.match(errorOf(refused).message, new RegExp(`repository/${kind}.*EACCES`));
    assert.deepEqual([temporaryFiles(project.repository), filesOf(project, 'locks'), filesOf(project, 'snapshots')], [[], [], []]);
    chmodSync(join(project.repository, kind), 0o700);
    const next = await run();
    const { dataAdded } = summaryOf(next);
    if (kind === 'snapshots') assert.equal(dataAdded, 0, 'packs and index were stored already');
    for (const restic of resticVersions()) runRestic(restic, project, ['check', '--no-lock']);
  });
}

function giveAway(folder: string, owner: number): void {
  chownSync(folder, owner, owner);
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })) lchownSync(join(folder, path), owner, owner);
}
