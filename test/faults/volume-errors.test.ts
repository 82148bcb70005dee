/** A volume whose disk fails: what cannot be read is named, everything else is safe, and nobody takes it for a success. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { requirePeer, requireRoot } from '../peers.ts';
import { assertClean, backup, createProject, ended, fillVolume, holdfast, start } from './project.ts';

test('a file that the disk cannot read (EIO): exit code 3, named, and all others are in the snapshot', async (t) => {
  if (!requireRoot(t)) return;
  let mounted = '';
  t.after(() => mounted === '' || execFileSync('umount', [mounted]));
  const project = createProject(t);
  fillVolume(project.volume, 50_000, 'input error');
  const broken = join(project.volume, 'folder-0', 'broken');
  writeFileSync(broken, '');
  // A regular file whose reading fails with EIO: the memory of this process, at an address where nothing is.
  const { status, stderr } = spawnSync('mount', ['--bind', `/proc/${process.pid}/mem`, broken], { encoding: 'utf8' });
  if (status !== 0) return t.skip(`nothing can be mounted here: ${stderr.trim()}`);
  mounted = broken;
  const run = await backup(project.folder);
  assert.equal(run.code, 3, run.stderr);
  const problems = run.events.filter((event) => event.event === 'file-problem');
  assert.deepEqual(
    problems.map(({ file, problem, message }) => ({ file, problem, message })),
    [{ file: 'folder-0/broken', problem: 'unreadable', message: 'cannot read: EIO' }],
  );
  const [snapshot] = run.events.filter((event) => event.event === 'snapshot');
  assert.equal(snapshot?.unreadable, 1);
  const target = join(project.folder, 'restored');
  holdfast(project.folder, ['restore', 'data', '--to', target]);
  assert.ok(existsSync(join(target, 'folder-0', 'file-19')));
  assert.equal(existsSync(join(target, 'folder-0', 'broken')), false);
  assertClean(project);
});

test('attributes that cannot be read (EIO): exit code 3, counted, and the content is in the snapshot', async (t) => {
  const [strace, setfattr, getfattr] = [requirePeer(t, 'strace'), requirePeer(t, 'setfattr'), requirePeer(t, 'getfattr')];
  if (strace === undefined || setfattr === undefined || getfattr === undefined) return;
  const project = createProject(t);
  for (const name of ['one', 'two']) writeFileSync(join(project.volume, name), name);
  const set = spawnSync(setfattr, ['-n', 'user.key', '-v', 'value', join(project.volume, 'one')], { encoding: 'utf8' });
  if (set.status !== 0) return t.skip(`no attribute can be set here: ${set.stderr.trim()}`);
  const failing = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=flistxattr', '-e', 'inject=flistxattr:error=EIO'];
  const probe = spawnSync(strace, [...failing, 'true'], { encoding: 'utf8' });
  if (probe.status !== 0) return t.skip(`nothing can be traced here: ${probe.stderr.trim()}`);
  const run = await ended(start(project.folder, ['backup', '--json'], [strace, ...failing]));
  assert.equal(run.code, 3, run.stderr);
  const warnings = run.events.filter((event) => event.event === 'warning');
  assert.deepEqual(
    warnings.map(({ warning, count }) => ({ warning, count })),
    // The root's own among them.
    [{ warning: 'extended attributes could not be read (EIO)', count: 3 }],
  );
  const [snapshot] = run.events.filter((event) => event.event === 'snapshot');
  assert.equal(snapshot?.unreadable, 0);
  const target = join(project.folder, 'restored');
  holdfast(project.folder, ['restore', 'data', '--to', target]);
  assert.equal(readFileSync(join(target, 'two'), 'utf8'), 'two');

  // Though nothing has changed, what could not be read is looked at again.
  assert.equal((await backup(project.folder)).code, 0);
  holdfast(project.folder, ['restore', 'data', '--to', `${target}-2`]);
  assert.match(execFileSync(getfattr, ['-d', '--absolute-names', join(`${target}-2`, 'one')], { encoding: 'utf8' }), /user\.key="value"/);
});
