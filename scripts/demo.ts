/**
 * Shows on real files what Holdfast is for: makes the volumes of an example deployment, backs them up, changes them, backs them up
 * again, destroys them in three ways, recovers each time and proves that what came back is what was there. It ends with exit code
 * 0 only if everything was identical. All of it happens in one scratch folder, which is named and stays; nothing else does.
 *
 * With `--docker` it is another demo, on a Docker Engine: see scripts/demo/docker/demo.ts.
 *
 * HOLDFAST_DEMO_SCALE is the amount of data, 1 by default, 0.3 on Docker: 1 is about 250 MB.
 */
import { copyFileSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatCount } from '../src/cli/output/units.ts';
import { loadConfiguration } from '../src/control/configuration/load.ts';
import { formatDuration, formatSize } from '../src/model/quantities.ts';
import { totals } from './demo/compare.ts';
import { changeDeployment, type Deployment, makeDeployment, type VolumeName, volumeNames } from './demo/deployment.ts';
import { corruptVolume, deleteOneFile, loseHost } from './demo/disasters.ts';
import { runDockerDemo } from './demo/docker/demo.ts';
import { ask, DemoFailure, eventsOf, holdfast } from './demo/holdfast.ts';
import { chapter, say } from './demo/narrate.ts';
import { findProgram, runProgram } from './demo/programs.ts';
import { prove, type Reference, remember } from './demo/proof.ts';
import { startRedis } from './demo/redis.ts';
import { type Objectives, objectiveTable, type Recovery, type Step, stepTable } from './demo/report.ts';
import { countTasks } from './demo/state.ts';

type Demo = {
  scratch: string;
  /** The folder of the project on the host that will be lost. */
  project: string;
  volumes: string;
  repository: string;
  /** Where the key and holdfast.yaml are kept besides. */
  elsewhere: string;
  steps: Step[];
  recoveries: Recovery[];
};

const checkout = join(import.meta.dirname, '..');

function prepare(scratch: string): Demo {
  const project = join(scratch, 'host', 'auto-claude');
  const elsewhere = join(scratch, 'elsewhere');
  for (const folder of [project, elsewhere]) mkdirSync(folder, { recursive: true });
  const volumes = join(project, 'volumes');
  return { scratch, project, volumes, repository: join(scratch, 'repository'), elsewhere, steps: [], recoveries: [] };
}

async function run(demo: Demo, scale: number): Promise<void> {
  const deployment = await deploy(demo, scale);
  await firstBackup(demo);
  const reference = await secondBackup(demo, deployment);
  await check(demo);
  const objectives = await objectivesOf(demo);
  const newProject = await recoverHost(demo, deployment, reference);
  await recoverFile(demo, newProject, reference);
  await recoverVolume(demo, newProject, reference);
  await askRestic(demo);
  conclude(demo, objectives, reference);
}

async function deploy({ scratch, volumes }: Demo, scale: number): Promise<Deployment> {
  chapter('An application and its five volumes');
  const choice = { seed: 'holdfast-demo', scale, checkout, hasGit: findProgram('git') !== undefined };
  return makeDeployment(volumes, scratch, choice, findProgram('redis-server'));
}

async function firstBackup(demo: Demo): Promise<void> {
  const { project, repository, elsewhere, scratch } = demo;
  chapter('First backup');
  const volumeOptions = volumeNames.flatMap((name) => ['--volume', `${name}=./volumes/${name}`]);
  await holdfast(project, ['init', ...volumeOptions, '--repository', repository]);
  for (const name of ['holdfast.key', 'holdfast.yaml']) copyFileSync(join(project, name), join(elsewhere, name));
  say(`the key and holdfast.yaml are copied off the host, as it says: to ${elsewhere.slice(scratch.length + 1)}/`);
  await backUp(demo, 'first backup');
}

async function backUp({ project, steps }: Demo, what: string): Promise<void> {
  const { lines, seconds } = await holdfast(project, ['backup']);
  let [files, bytes, storedBytes] = [0, 0, 0];
  for (const { volume, summary } of eventsOf(lines, 'snapshot')) {
    files += summary.totalFilesProcessed;
    bytes += summary.totalBytesProcessed;
    storedBytes += summary.dataAddedPacked;
    say(
      `${volume.padEnd(17)} ${formatCount(summary.totalFilesProcessed).padStart(6)} files ${formatSize(summary.totalBytesProcessed).padStart(9)}, ${formatSize(summary.dataAddedPacked).padStart(9)} newly stored`,
    );
  }
  steps.push({ what, files, bytes, storedBytes, seconds, result: `restore point of ${volumeNames.length} volumes` });
}

async function secondBackup(demo: Demo, deployment: Deployment): Promise<Reference> {
  chapter('Work goes on');
  await changeDeployment(demo.volumes, deployment);
  await deployment.redis?.stop();
  chapter('Second backup: only what changed is stored');
  await backUp(demo, 'backup after the changes');
  return remember(demo.volumes, volumeNames, join(demo.scratch, 'lost-host', 'auto-claude', 'volumes'));
}

async function check({ project, steps }: Demo): Promise<void> {
  chapter('Is every byte of the repository sound?');
  const { seconds } = await holdfast(project, ['check', '--read-data']);
  say('no errors found');
  steps.push({ what: 'check --read-data', seconds, result: 'no errors' });
}

/** The strictest objectives of the volumes. */
async function objectivesOf({ project }: Demo): Promise<Objectives> {
  const { volumes } = await loadConfiguration(join(project, 'holdfast.yaml'));
  return {
    rpoMs: Math.min(...volumes.map(({ objectives }) => objectives.rpoMs)),
    rtoMs: Math.min(...volumes.map(({ objectives }) => objectives.rtoMs)),
  };
}

type Disaster = { title: string; volumes: readonly VolumeName[]; struckAtMs: number };

/** Restores after a disaster, and measures both objectives by it. */
async function recover(demo: Demo, project: string, { title, volumes, struckAtMs }: Disaster, args: readonly string[]): Promise<Step> {
  const { lines } = await holdfast(project, ['restore', ...args]);
  const timeMs = Date.now() - struckAtMs;
  const restored = eventsOf(lines, 'restored');
  const sum = (of: 'filesRestored' | 'bytesWritten' | 'filesUnchanged' | 'entriesDeleted'): number =>
    restored.reduce((total, { result }) => total + result[of], 0);
  say(
    `${formatCount(sum('filesRestored'), 'file or link', 'files and links')} restored (${formatSize(sum('bytesWritten'))} written), ${formatCount(sum('filesUnchanged'))} unchanged, ${formatCount(sum('entriesDeleted'))} removed, in ${formatDuration(timeMs)}`,
  );
  demo.recoveries.push({ disaster: title, pointMs: struckAtMs - (await restorePointMs(project, volumes)), timeMs });
  return { what: `recover ${title}`, files: sum('filesRestored'), bytes: sum('bytesWritten'), seconds: timeMs / 1000, result: '' };
}

type SnapshotLine = { time: string; run: string; volume: string };

/** When the newest restore point was begun, as far as these volumes go: what was written later may be lost. */
async function restorePointMs(project: string, volumes: readonly VolumeName[]): Promise<number> {
  const { lines } = await ask<SnapshotLine>(project, ['snapshots', ...volumes]);
  const newestRun = lines.at(-1)?.run;
  return Math.min(...lines.filter(({ run }) => run === newestRun).map(({ time }) => Date.parse(time)));
}

async function recoverFile(demo: Demo, project: string, reference: Reference): Promise<void> {
  const volumes = join(project, 'volumes');
  chapter('Disaster: a file is deleted by mistake');
  const path = deleteOneFile(join(volumes, 'projects-data'));
  const disaster: Disaster = { title: 'one file', volumes: ['projects-data'], struckAtMs: Date.now() };
  say(`lost: projects-data/${path}`);
  const step = await recover(demo, project, disaster, ['projects-data', '--path', path]);
  const folder = join('projects-data', path, '..');
  demo.steps.push({ ...step, result: await prove(reference, volumes, ['projects-data'], folder) });
}

async function recoverVolume(demo: Demo, project: string, reference: Reference): Promise<void> {
  const volumes = join(project, 'volumes');
  chapter('Disaster: a volume is corrupted');
  corruptVolume(join(volumes, 'auto-claude-data'));
  const disaster: Disaster = { title: 'one volume', volumes: ['auto-claude-data'], struckAtMs: Date.now() };
  say('auto-claude-data: database overwritten in places with its times unchanged, state encrypted, half of the logs gone, a ransom note');
  const step = await recover(demo, project, disaster, ['auto-claude-data', '--delete', '--verify']);
  demo.steps.push({ ...step, result: await prove(reference, volumes, ['auto-claude-data']) });
}

/** Returns the folder of the project on the new host, where life goes on. */
async function recoverHost(demo: Demo, deployment: Deployment, reference: Reference): Promise<string> {
  const { scratch, elsewhere, steps } = demo;
  chapter('Disaster: the host is lost, with all volumes, key and configuration');
  loseHost(join(scratch, 'host'), join(scratch, 'lost-host'));
  const disaster: Disaster = { title: 'everything', volumes: volumeNames, struckAtMs: Date.now() };
  const project = join(scratch, 'new-host', 'auto-claude');
  mkdirSync(project, { recursive: true });
  for (const name of ['holdfast.key', 'holdfast.yaml']) copyFileSync(join(elsewhere, name), join(project, name));
  say('left: the repository, and the copies of key and configuration; both are taken to a new host');
  const step = await recover(demo, project, disaster, []);
  const volumes = join(project, 'volumes');
  steps.push({ ...step, result: await prove(reference, volumes, volumeNames) });
  await askApplications(volumes, deployment, scratch);
  return project;
}

/** Those who will use the data have the last word. */
async function askApplications(volumes: string, { choice, redis, redisKeys }: Deployment, scratch: string): Promise<void> {
  say(`SQLite finds its database sound: ${formatCount(countTasks(join(volumes, 'auto-claude-data')), 'row')}`);
  const git = findProgram('git');
  if (choice.hasGit && git !== undefined) {
    const repository = join(volumes, 'projects-data', 'importer');
    const { exitCode, stderr } = await runProgram(git, ['-C', repository, 'fsck', '--full', '--no-progress'], scratch);
    if (exitCode !== 0) throw new DemoFailure(`git fsck finds the repository damaged:\n${stderr}`);
    say('git fsck finds its repository sound');
  }
  const server = findProgram('redis-server');
  if (redis === undefined || server === undefined) return;
  const restarted = await startRedis(server, join(volumes, 'redis-data'), scratch);
  const keys = await restarted.countKeys();
  await restarted.stop();
  if (keys !== redisKeys) throw new DemoFailure(`Redis loads ${keys} keys from its dump; it saved ${redisKeys}`);
  say(`Redis loads its dump: ${formatCount(keys, 'key')}, as before`);
}

async function askRestic({ repository, elsewhere, steps }: Demo): Promise<void> {
  const restic = findProgram('restic');
  if (restic === undefined) return;
  chapter('The same repository, seen by restic');
  const args = ['--no-cache', '--repo', repository, '--password-file', join(elsewhere, 'holdfast.key'), 'check', '--read-data'];
  say(`$ restic ${args.join(' ')}`);
  const { exitCode, stdout, stderr, seconds } = await runProgram(restic, args, elsewhere);
  if (exitCode !== 0) throw new DemoFailure(`restic check ended with exit code ${exitCode}:\n${stdout}${stderr}`);
  say('no errors were found');
  steps.push({ what: 'restic check --read-data', seconds, result: 'no errors' });
}

function conclude({ steps, recoveries }: Demo, objectives: Objectives, reference: Reference): void {
  const { files, bytes } = [...reference.listings.values()]
    .map(totals)
    .reduce((sum, part) => ({ files: sum.files + part.files, bytes: sum.bytes + part.bytes }));
  const everything = recoveries.find(({ disaster }) => disaster === 'everything') as Recovery;
  console.log(`\n${stepTable(steps).join('\n')}\n\n${objectiveTable(recoveries, objectives).join('\n')}`);
  console.log(
    `\nMeasured on this data (${formatCount(files, 'file')}, ${formatSize(bytes)}) and this machine: everything was back in ${formatDuration(everything.timeMs)}. How long your own data takes\nis for a rehearsal to tell: holdfast restore --to DIRECTORY --verify. The work lost is as old as the newest backup: have one\nevery ${formatDuration(objectives.rpoMs)}, or more often.`,
  );
}

/** Little enough for a minute. */
const dockerScale = 0.3;

async function main(): Promise<number> {
  const startedMs = performance.now();
  const scale = Number(process.env.HOLDFAST_DEMO_SCALE ?? 1);
  if (!(scale >= 0.01 && scale <= 20)) {
    process.stderr.write('HOLDFAST_DEMO_SCALE is a number from 0.01 to 20\n');
    return 1;
  }
  const [option, ...more] = process.argv.slice(2);
  if (more.length > 0 || (option !== undefined && option !== '--docker')) {
    process.stderr.write('usage: npm run demo [-- --docker]\n');
    return 1;
  }
  if (option === '--docker') return runDockerDemo(process.env.HOLDFAST_DEMO_SCALE === undefined ? dockerScale : scale);
  const scratch = mkdtempSync(join(tmpdir(), 'holdfast-demo-'));
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      process.stderr.write(`\ninterrupted; what was made is in ${scratch}\n`);
      process.exit(exitCode);
    });
  }
  // Where the checkout may not be written to, the command line would leave its compile cache in the user's home.
  process.env.XDG_CACHE_HOME = join(scratch, 'cache');
  console.log(`Five volumes of an application are made, backed up, changed, destroyed in three ways and recovered, in\n${scratch}`);
  try {
    await run(prepare(scratch), scale);
    console.log(`\nDone in ${formatDuration(performance.now() - startedMs)}. To look around: ${scratch}\nTo clean up: rm -rf ${scratch}`);
    return 0;
  } catch (error) {
    if (!(error instanceof DemoFailure)) throw error;
    process.stderr.write(`\nFAILED: ${error.message}\n\nTo look into it: ${scratch}\n`);
    return 1;
  }
}

// Not process.exitCode: after a failure, a Redis may still be running, which would keep the demo alive; exiting ends it.
process.exit(await main());
