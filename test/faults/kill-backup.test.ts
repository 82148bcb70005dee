/**
 * Backups killed at random moments. Half of the kills are spread over the time that a run takes; the other half strike when the run
 * has just made, or renamed, a file of the repository, which are the moments that matter. HOLDFAST_KILLS sets their number,
 * HOLDFAST_KILL_SEED the moments.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { type FSWatcher, mkdirSync, rmSync, watch } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { resticVersions } from '../peers.ts';
import {
  assertClean,
  assertSameManifest,
  backup,
  changeVolume,
  createProject,
  ended,
  filesOf,
  fillVolume,
  holdfast,
  killGroup,
  manifest,
  type Project,
  randomNumbers,
  runRestic,
  start,
  summaryOf,
} from './project.ts';

const kills = Number(process.env.HOLDFAST_KILLS ?? 200);
const seed = Number(process.env.HOLDFAST_KILL_SEED ?? 1);
/** Both tools check after so many kills, and at the end, when they read everything. */
const checkEvery = 40;
const changeEvery = 3;

const kinds = ['locks', 'data', 'index', 'snapshots'] as const;
type Kind = (typeof kinds)[number];

/** Calls back at everything that happens in the folders of a repository. */
function watchRepository({ repository }: Project): { onEvent: (listen: ((kind: Kind) => void) | undefined) => void; close: () => void } {
  let listener: ((kind: Kind) => void) | undefined;
  const watchers: FSWatcher[] = [];
  const add = (kind: Kind, folder: string) => watchers.push(watch(folder, () => listener?.(kind)));
  for (const kind of kinds) add(kind, join(repository, kind));
  for (let n = 0; n < 256; n++) {
    const folder = join(repository, 'data', n.toString(16).padStart(2, '0'));
    mkdirSync(folder, { recursive: true });
    add('data', folder);
  }
  return {
    onEvent(listen) {
      listener = listen;
    },
    close() {
      for (const watcher of watchers) watcher.close();
    },
  };
}

/** When a run is killed: so long after its start, or so long after the n-th event in a folder. */
type Moment = { afterMs: number; event?: { kind: Kind; count: number } };

function momentOf(step: number, runMs: number, random: () => number): Moment {
  if (step % 2 === 0) return { afterMs: random() * runMs };
  // Every stored file makes several events: opened, renamed. A lock is removed at the end as well.
  const kind = kinds[Math.floor(random() * kinds.length)] as Kind;
  return { afterMs: random() < 0.5 ? 0 : random() * 5, event: { kind, count: 1 + Math.floor(random() * 3) } };
}

function strikeAt(child: ChildProcess, { afterMs, event }: Moment, watched: ReturnType<typeof watchRepository>): void {
  let timer: NodeJS.Timeout | undefined;
  const arm = () => {
    timer ??= setTimeout(() => killGroup(child, 'SIGKILL'), afterMs);
  };
  child.once('exit', () => {
    clearTimeout(timer);
    watched.onEvent(undefined);
  });
  if (event === undefined) return arm();
  let seen = 0;
  watched.onEvent((kind) => {
    if (kind !== event.kind || ++seen < event.count) return;
    if (afterMs === 0) killGroup(child, 'SIGKILL');
    else arm();
  });
}

/** All snapshots, restored by the independent tool, are what the volume was when they were taken. */
function assertSnapshotsComplete(project: Project, states: ReadonlyMap<string, string>): void {
  const [restic] = resticVersions();
  const target = join(project.folder, 'restored');
  for (const [id, state] of states) {
    if (restic) runRestic(restic, project, ['restore', id, '--no-lock', '--target', target]);
    else holdfast(project.folder, ['restore', '--at', id, '--to', target]);
    assertSameManifest(manifest(target), state, `snapshot ${id} is not what was backed up`);
    rmSync(target, { recursive: true });
  }
}

test(`${kills} backups killed with SIGKILL leave a sound repository`, async (t) => {
  const random = randomNumbers(seed);
  const project = createProject(t);
  fillVolume(project.volume, 1_500_000, 'kill');
  const begun = performance.now();
  await backup(project.folder, ['--dry-run']);
  const runMs = (performance.now() - begun) * 1.1;
  const watched = watchRepository(project);
  t.after(() => watched.close());

  /** What the volume was at each snapshot. */
  const states = new Map<string, string>();
  const ends = { killed: 0, completed: 0, rerunsFromIndex: 0 };
  const killedIn: Record<string, number> = {};
  for (let step = 0; ends.killed < kills; step++) {
    assert.ok(step < kills * 6, 'runs end before they are killed: the moments are too late');
    if (step % changeEvery === 0) changeVolume(project.volume, step, random);
    const state = manifest(project.volume);
    const before = { index: filesOf(project, 'index').length, snapshots: new Set(filesOf(project, 'snapshots')) };
    const moment = momentOf(step, runMs, random);
    const child = start(project.folder, ['backup', '--json']);
    strikeAt(child, moment, watched);
    const run = await ended(child);
    const killed = run.signal === 'SIGKILL';
    if (!killed) assert.equal(run.code, 0, run.stderr);
    ends[killed ? 'killed' : 'completed']++;
    if (killed) killedIn[moment.event?.kind ?? 'time'] = (killedIn[moment.event?.kind ?? 'time'] ?? 0) + 1;
    const fresh = filesOf(project, 'snapshots').filter((name) => !before.snapshots.has(name));
    assert.ok(fresh.length <= 1);
    for (const name of fresh) states.set(name, state);
    if (killed && fresh.length === 0 && filesOf(project, 'index').length > before.index) {
      const rerun = await backup(project.folder);
      assert.equal(summaryOf(rerun).dataAdded, 0, 'what the killed run had stored and indexed was stored again');
      ends.rerunsFromIndex++;
      for (const name of filesOf(project, 'snapshots')) if (!before.snapshots.has(name)) states.set(name, state);
    }
    if (killed && ends.killed % checkEvery === 0) assertClean(project);
  }

  const last = await backup(project.folder);
  summaryOf(last);
  for (const name of filesOf(project, 'snapshots')) if (!states.has(name)) states.set(name, manifest(project.volume));
  assertClean(project, { readData: true });
  assertSnapshotsComplete(project, states);
  holdfast(project.folder, ['restore', 'data', '--to', join(project.folder, 'last'), '--verify', '--quiet']);
  assertSameManifest(manifest(join(project.folder, 'last')), manifest(project.volume), 'the last snapshot');
  // As an operator would: the processes are gone, so restic takes their locks for stale at once.
  const [restic] = resticVersions();
  if (restic) {
    runRestic(restic, project, ['unlock']);
    assert.deepEqual(filesOf(project, 'locks'), []);
    runRestic(restic, project, ['check']);
  }
  assert.ok(kills < 100 || ends.rerunsFromIndex > 0, 'no run was killed between its index and its snapshot');
  t.diagnostic(
    `kills survived: ${ends.killed} (${JSON.stringify(killedIn)}), ${ends.completed} runs ended before; ${states.size} snapshots restored complete; ` +
      `${ends.rerunsFromIndex} reruns stored nothing anew; seed ${seed}`,
  );
});
