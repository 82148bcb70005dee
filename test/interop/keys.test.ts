/** Keys that one tool adds open with the other. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requireRestic, scratch } from '../peers.ts';
import { documents, holdfast, holdfastJson, type Project, projectAt, restic } from '../programs.ts';

function setUp(t: TestContext): Project {
  const folder = scratch(t);
  const project = projectAt(folder, join(folder, 'volume'));
  holdfast(folder, ['init']);
  for (const name of ['second', 'third', 'fourth']) writeFileSync(join(folder, name), `${name} password\n`);
  return project;
}

const keyNames = ({ repository }: Project) => readdirSync(join(repository, 'keys')).sort();

for (const name of ['stock', 'newest'] as const) {
  test(`keys of Holdfast and of ${name} restic open with both, and are listed by both`, (t) => {
    const program = requireRestic(t, name);
    if (!program) return;
    const project = setUp(t);
    const { folder } = project;
    const as = (file: string): Project => ({ ...project, passwordFile: join(folder, file) });

    const [added] = holdfastJson(folder, ['key', 'add', '--new-password-file', 'second', '--user', 'alice', '--host', 'desk']);
    const listed = documents(restic(program, as('second'), ['key', 'list', '--json']).stdout)[0];
    assert.equal(listed.length, 2);
    const ours = listed.find(({ current }: { current: boolean }) => current);
    assert.deepEqual([ours.userName, ours.hostName, added.id.startsWith(ours.id)], ['alice', 'desk', true]);

    restic(program, as('second'), ['key', 'add', '--new-password-file', join(folder, 'third'), '--user', 'bob', '--host', 'phone']);
    const keys = holdfastJson(folder, ['-p', 'third', 'key', 'list']);
    assert.deepEqual(keys.map(({ id }) => id).sort(), keyNames(project));
    assert.deepEqual(
      keys.filter(({ current }) => current).map(({ username, hostname }) => [username, hostname]),
      [['bob', 'phone']],
    );

    const [replaced] = holdfastJson(folder, ['-p', 'third', 'key', 'passwd', '--new-password-file', 'fourth']);
    assert.ok(!keyNames(project).includes(replaced.replaced));
    restic(program, as('fourth'), ['check']);
    restic(program, as('third'), ['snapshots'], { exit: [1, 12] });
    holdfast(folder, ['-p', 'third', 'key', 'list'], { exit: [12] });

    holdfast(folder, ['-p', 'fourth', 'key', 'remove', added.id.slice(0, 12)]);
    restic(program, as('second'), ['snapshots'], { exit: [1, 12] });
    restic(program, as('fourth'), ['key', 'remove', replaced.replaced], { exit: [1] });
    assert.equal(keyNames(project).length, 2);
  });
}
