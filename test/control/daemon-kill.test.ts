/**
 * Daemons killed at random moments of their jobs; in a third of the cases the jobs are killed with them, as when a host dies.
 * HOLDFAST_TEST_DAEMON_KILLS sets how often, HOLDFAST_KILL_SEED the moments.
 */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { randomNumbers } from '../faults/project.ts';
import { holdfastJson } from '../programs.ts';
import { childrenOf, daemonProject, job, jobsOf, onlyBackups, projectFile, runsOf, startDaemon } from './daemon-process.ts';

const kills = Number(process.env.HOLDFAST_TEST_DAEMON_KILLS ?? 5);
const seed = Number(process.env.HOLDFAST_KILL_SEED ?? 1);
/** About as long as a backup takes. */
const spreadMs = 700;

test(`${kills} kills of a daemon: every instant that came has one run, and no lock stays`, {
  timeout: 60_000 + kills * 15_000,
}, async (t) => {
  const project = daemonProject(t, '{ often: { every: 2s } }');
  const random = randomNumbers(seed);
  let struck = 0;
  for (let kill = 0; kill < kills; kill++) {
    writeFileSync(join(project.folder, 'one', 'file'), `changed ${kill}`);
    const daemon = startDaemon(t, project);
    await daemon.line(job('running'));
    // Every third is let through, so that a job is not given up because it took five daemons along.
    if (kill % 3 === 2) await daemon.line(job('running'), daemon.lines.indexOf(await daemon.line(job('succeeded'))));
    await setTimeout(random() * spreadMs);
    const pid = daemon.child.pid as number;
    const children = childrenOf(pid);
    process.kill(pid, 'SIGKILL');
    if (kill % 3 === 0) for (const child of children) process.kill(child, 'SIGKILL');
    if (children.length > 0) struck++;
    await daemon.end('SIGKILL');
  }
  t.diagnostic(`${struck} of ${kills} kills struck while a child process was at work`);

  // Whatever is open comes to its end, and nothing more becomes due.
  writeFileSync(project.file, projectFile('{ often: { cron: "0 0 29 2 *" } }', onlyBackups));
  const last = startDaemon(t, project);
  await last.line(({ body }) => /next backup/.test(body));
  while (jobsOf(project).some(({ state }) => state === 'queued' || state === 'running')) await setTimeout(50);
  assert.equal(await last.end(), 0);

  const jobs = jobsOf(project);
  assert.deepEqual(
    jobs.filter(({ state }) => state !== 'succeeded').map(({ id, state, error }) => `${id} ${state} ${error?.message}`),
    [],
  );
  const runs = runsOf(project);
  const whole = [...runs].filter(([, snapshots]) => snapshots.length === 2).map(([run]) => run);
  const runOf = new Map([...runs].flatMap(([run, snapshots]) => snapshots.map(({ id }) => [id as string, run] as const)));
  const runsOfJobs = jobs.map(({ result }) => [...new Set(result?.snapshots.map(({ id }) => runOf.get(id)))]);
  assert.ok(jobs.length >= Math.max(1, kills / 5), `${jobs.length} jobs`);
  assert.deepEqual(runsOfJobs.flat().sort(), whole.sort(), 'each whole run is that of one job, and each job has one');
  assert.ok(runsOfJobs.every((of) => of.length === 1));
  t.diagnostic(`${jobs.length} jobs, ${runs.size - whole.length} runs that were cut off while they wrote their snapshots`);
  // A prune needs the repository for itself: it clears away what the killed left, and would wait for what it cannot know to be dead.
  holdfastJson(project.folder, ['prune'], { environment: project.environment });
  // Unfinished files of who was killed in the middle of a write are no locks; they go a day later.
  const locks = readdirSync(join(project.folder, 'holdfast-repository', 'locks')).filter((name) => !name.includes('-tmp-'));
  assert.deepEqual(locks, []);
  holdfastJson(project.folder, ['check', '--read-data'], { environment: project.environment });
});
