/** `forget` and `tag` beside restic: on its repositories, with its results, and accepted by it afterwards. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readdirSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { encodeSnapshot } from '../../src/format/snapshot-file.ts';
import { createRepository, openRepository, sealJsonFile } from '../../src/repository/repository.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { commandLine } from '../command-line.ts';
import { type Restic, requireRestic, scratch } from '../peers.ts';
import { documents, holdfast, holdfastJson, holdfastProgram, type Project, projectAt, restic } from '../programs.ts';
import { scratchOptions, scratchPassword } from '../scratch-repository.ts';

/** A repository whose key opens at once, for programs that open it time and again. */
async function quickProject(t: TestContext): Promise<Project> {
  const folder = scratch(t);
  const project = projectAt(folder, join(folder, 'a'));
  writeFileSync(project.passwordFile, scratchPassword);
  await createRepository(createLocalStorage(project.repository), scratchOptions);
  return project;
}

/** Six snapshots of restic, of two paths and hosts. */
async function resticProject(t: TestContext, program: Restic): Promise<Project> {
  const project = await quickProject(t);
  const days = ['2024-11-01 12:00:00', '2024-11-02 08:00:00', '2024-11-02 20:00:00'];
  for (const [place, path] of ['a', 'b'].entries()) {
    const directory = join(project.folder, path);
    mkdirSync(directory);
    for (const [day, time] of days.entries()) {
      writeFileSync(join(directory, 'file'), `${path} on day ${day}`);
      restic(program, project, ['backup', '--host', `host-${place}`, '--time', time, '--tag', `day-${day}`, '--tag', 'x', directory]);
    }
  }
  return project;
}

/** The same in another place: what one program did, the other did not. */
function copyOf(t: TestContext, project: Project): Project {
  const folder = scratch(t);
  cpSync(project.repository, join(folder, 'repository'), { recursive: true });
  return { ...project, folder, repository: join(folder, 'repository') };
}

const ids = ({ repository }: Project) => readdirSync(join(repository, 'snapshots')).sort();

/** Pointed at a repository without a `holdfast.yaml`. */
async function holdfastAt({ repository, passwordFile }: Project, ...args: string[]): Promise<void> {
  const { exit, stderr } = await commandLine('/')('--repository', repository, '--password-file', passwordFile, ...args);
  assert.equal(exit, 0, stderr);
}

/** All that the snapshots hold but their ids; restic doesn't keep tags in order. */
async function contents({ repository }: Project): Promise<object[]> {
  const snapshots = await listSnapshots(await openRepository(createLocalStorage(repository), scratchPassword));
  return snapshots
    .map(({ id: _, tags, ...rest }) => ({ ...rest, tags: tags.sort() }))
    .sort((a, b) => (`${a.time}${a.hostname}` < `${b.time}${b.hostname}` ? -1 : 1));
}

for (const name of ['stock', 'newest'] as const) {
  test(`forgets what ${name} restic forgets of its own repository, and restic finds it sound`, async (t) => {
    const program = requireRestic(t, name);
    if (!program) return;
    const project = await resticProject(t, program);
    const cases = [
      ['--keep-daily', '1'],
      ['--keep-last', '1', '--group-by', 'host'],
      ['--keep-last', '2', '--group-by', ''],
      ['--keep-within', '1d', '--keep-tag', 'day-0', '--host', 'host-1'],
      ['--keep-daily', '1', '--tag', 'day-1,x', '--tag', 'day-2'],
      ['--keep-last', '1', '--path', join(project.folder, 'b')],
    ];
    for (const args of cases) {
      const [one, other] = [copyOf(t, project), copyOf(t, project)];
      restic(program, one, ['forget', ...args]);
      await holdfastAt(other, 'forget', '--force', ...args);
      assert.deepEqual(ids(other), ids(one), args.join(' '));
      if (args !== cases[0]) continue;
      assert.equal(ids(other).length, 2);
      restic(program, other, ['prune']);
      restic(program, other, ['check', '--read-data']);
    }
  });

  test(`changes tags as ${name} restic does`, async (t) => {
    const program = requireRestic(t, name);
    if (!program) return;
    const project = await resticProject(t, program);
    for (const args of [
      ['--add', 'new,x'],
      ['--remove', 'x,day-1'],
      ['--set', 'only'],
      ['--add', 'new', '--host', 'host-1', '--tag', 'day-2'],
    ]) {
      const [one, other] = [copyOf(t, project), copyOf(t, project)];
      for (const change of [args, ['--add', 'again']]) {
        restic(program, one, ['tag', ...change]);
        await holdfastAt(other, 'tag', ...(change.includes('--host') ? [] : ['--all']), ...change);
        assert.deepEqual(await contents(other), await contents(one), [...args, ...change].join(' '));
      }
      restic(program, other, ['check']);
    }
  });
}

test('killed while it forgets, it leaves a repository that restic calls sound, and carries on', async (t) => {
  const program = requireRestic(t, 'newest');
  if (!program) return;
  const project = await quickProject(t);
  const { folder } = project;
  mkdirSync(join(folder, 'a'));
  writeFileSync(join(folder, 'a', 'file'), 'content');
  holdfast(folder, ['backup', '--class', 'scheduled']);
  await multiply(project, 1000);
  const snapshots = join(project.repository, 'snapshots');

  const child = spawn(holdfastProgram, ['--directory', folder, 'forget', '--keep-last', '3'], { stdio: 'ignore' });
  const watching = watch(snapshots, () => child.kill('SIGKILL'));
  await once(child, 'exit');
  watching.close();
  const left = readdirSync(snapshots).length;
  assert.ok(left > 3 && left < 1001, `${left} snapshots are left`);
  restic(program, project, ['unlock', '--remove-all']);
  restic(program, project, ['check']);

  const said = holdfastJson(folder, ['forget', '--keep-last', '3']);
  assert.deepEqual(said.at(-1), { forgotten: left - 3, kept: 3, held: 0, failed: 0, dryRun: false });
  assert.equal(documents(restic(program, project, ['snapshots', '--json']).stdout)[0].length, 3);
});

/** Snapshots like the one that there is, each a second older. */
async function multiply(project: Project, count: number): Promise<void> {
  const repository = await openRepository(createLocalStorage(project.repository), scratchPassword);
  const [snapshot] = await listSnapshots(repository);
  assert.ok(snapshot);
  for (let second = 1; second <= count; second++) {
    const time = new Date(Date.parse(snapshot.time) - second * 1000).toISOString();
    const { name, sealed } = sealJsonFile(repository, encodeSnapshot({ ...snapshot, time }));
    writeFileSync(join(project.repository, 'snapshots', name), sealed);
  }
}
