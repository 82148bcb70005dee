/** `holdfast up` as a process: what it starts with, what it takes over, how it ends. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { scratch } from '../peers.ts';
import { holdfast, holdfastJson } from '../programs.ts';
import { type DaemonProject, daemonProject, job, jobsOf, projectFile, runsOf, startDaemon } from './daemon-process.ts';

/** Due now, and not again while a test runs. */
const yearly = '{ rare: { every: 365d } }';
const locksOf = ({ folder }: DaemonProject) => readdirSync(join(folder, 'holdfast-repository', 'locks'));

test('a daemon makes up for what is due, does it once, and gathers what it knows anew when its state is gone or damaged', async (t) => {
  const project = daemonProject(t, yearly);
  const first = startDaemon(t, project);
  await first.line(job('succeeded'));
  await t.test('two daemons of one project are refused', () => {
    const { status, stderr } = holdfast(project.folder, ['up'], { environment: project.environment, exit: [1] });
    assert.equal(status, 1);
    assert.match(stderr, /a daemon of this project runs already/);
  });
  assert.equal(await first.end(), 0);
  assert.deepEqual(locksOf(project), []);

  for (const [loss, lose] of Object.entries({
    none: () => {},
    deleted: () => {
      for (const suffix of ['', '-wal', '-shm']) rmSync(project.stateFile() + suffix, { force: true });
    },
    damaged: () => writeFileSync(project.stateFile(), 'no database at all, but long enough to be looked at'),
  })) {
    const file = project.stateFile();
    lose();
    const again = startDaemon(t, project);
    // The whole start has passed: what is known was gathered, and what is due queued.
    await again.line(({ body }) => /next backup/.test(body));
    assert.equal(again.lines.find(job('queued')), undefined, loss);
    assert.equal(await again.end('SIGINT'), 0, loss);
    assert.equal(runsOf(project).size, 1, loss);
    assert.ok(readFileSync(file).subarray(0, 15).equals(Buffer.from('SQLite format 3')));
  }
  assert.equal(readdirSync(join(project.stateFile(), '..')).filter((name) => name.includes('damaged')).length > 0, true);
});

test('a stop in the middle of a backup puts it back in time, and leaves no lock; the next start carries it out', async (t) => {
  const project = daemonProject(t, yearly);
  // Not before it is asked to go on, so that it is surely in the middle.
  const hook = 'hooks: { before: [{ run: [sh, -c, "test -e ./go || exec sleep 120"] }] }\n';
  writeFileSync(project.file, readFileSync(project.file, 'utf8') + hook);
  const first = startDaemon(t, project);
  await first.line(job('running'));
  const begunMs = performance.now();
  assert.equal(await first.end('SIGTERM'), 0);
  assert.ok(performance.now() - begunMs < 60_000);
  assert.deepEqual(
    jobsOf(project).map(({ state, attempt, process: child }) => ({ state, attempt, child })),
    [{ state: 'queued', attempt: 1, child: undefined }],
  );
  assert.deepEqual(locksOf(project), []);
  writeFileSync(join(project.folder, 'go'), '');
  const second = startDaemon(t, project);
  await second.line(job('succeeded'));
  assert.equal(await second.end(), 0);
  assert.equal(jobsOf(project).length, 1);
  assert.equal(runsOf(project).size, 1);
});

test('a changed configuration takes effect by itself and at SIGHUP; a bad one is named and the old one stays', async (t) => {
  const project = daemonProject(t, '{ rare: { cron: "0 0 29 2 *" } }');
  const daemon = startDaemon(t, project);
  await daemon.line(({ body }) => /^the API listens at /.test(body));
  await daemon.line(job('succeeded'));
  const told = (pattern: RegExp) => (line: { eventName: string; body: string }) =>
    line.eventName === 'holdfast.configuration' && pattern.test(line.body);

  writeFileSync(project.file, projectFile('{ rare: { cron: "61 * * * *" } }'));
  const refused = await daemon.line(told(/61/));
  assert.equal(refused.severityText, 'ERROR');
  const asked = holdfast(project.folder, ['jobs', 'start', 'backup', '--follow'], { environment: project.environment });
  assert.match(asked.stderr, /61.*works by what was there before/s);
  assert.match(asked.stdout, /succeeded/);
  const { stdout } = holdfast(project.folder, ['status'], { environment: project.environment, exit: [3] });
  assert.match(stdout, /schedule rare/);
  const end = daemon.lines.length;
  rmSync(project.file);
  await daemon.line(told(/there is no/), end);
  writeFileSync(project.file, projectFile(yearly).replace('project: shop', 'project: other'));
  daemon.child.kill('SIGHUP');
  await daemon.line(told(/the project is other now/));

  const from = daemon.lines.length;
  writeFileSync(project.file, projectFile('{ rare: { cron: "0 0 29 2 *" }, often: { every: 2s } }'));
  daemon.child.kill('SIGHUP');
  await daemon.line(told(/in effect/), from);
  await daemon.line(job('succeeded'), from);
  assert.equal(await daemon.end(), 0);
});

/** Whether a process has something to do at SIGHUP; undefined when it is gone (proc(5), `status`). */
function takesHangups(pid: number): boolean | undefined {
  try {
    const caught = /^SigCgt:\t([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] as string;
    return (BigInt(`0x${caught}`) & 1n) === 1n;
  } catch {
    return undefined;
  }
}

test('SIGHUP from the first moment on ends no daemon: it starts, has read what is there by then, and reads it anew at the next', async (t) => {
  const project = daemonProject(t, '{ rare: { cron: "0 0 29 2 *" } }');
  const daemon = startDaemon(t, project);
  const pid = daemon.child.pid as number;
  // A program that has not begun to run yet can take no signal; from its first line on it must.
  while (takesHangups(pid) === false) await setTimeout(1);
  let sent = 0;
  const began = daemon.line(({ body }) => /^the API listens at /.test(body));
  for (let isThere = false; !isThere; sent++) {
    daemon.child.kill('SIGHUP');
    isThere = await Promise.race([began.then(() => true), setTimeout(2, false)]);
  }
  assert.ok(sent > 1);
  // Those that waited while it started are not lost, either.
  await daemon.line(({ eventName }) => eventName === 'holdfast.configuration');
  const from = daemon.lines.length;
  writeFileSync(project.file, projectFile('{ rare: { cron: "61 * * * *" } }'));
  daemon.child.kill('SIGHUP');
  await daemon.line(({ eventName, body }) => eventName === 'holdfast.configuration' && /61/.test(body), from);
  assert.equal(await daemon.end(), 0);
});

test('without a holdfast.yaml, what is found is protected, and that is said; where nothing is found, that is', (t) => {
  const folder = scratch(t);
  const environment = { HOLDFAST_STATE_DIR: join(folder, 'state') };
  const { stderr } = holdfast(folder, ['up'], { environment, exit: [2] });
  assert.match(stderr, /holdfast init/);
  assert.deepEqual(holdfastJson(folder, ['up'], { environment, exit: [2] }), []);
});
