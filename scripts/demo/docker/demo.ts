/**
 * The demo on Docker: the reference deployment with a real Redis under load is discovered, backed up with next to no downtime, destroyed by
 * `docker compose down -v` under a guard, and restored; what came back is proved to be what was there, at one instant. Nothing of it stays.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createStyle, tableLines } from '../../../src/cli/output/text.ts';
import { formatCount } from '../../../src/cli/output/units.ts';
import { formatDuration, formatSize } from '../../../src/model/quantities.ts';
import { imageChanges, makeImageArchive } from '../../engine/images.ts';
import { volumeNames } from '../deployment.ts';
import { DemoFailure } from '../holdfast.ts';
import { chapter, say } from '../narrate.ts';
import { findProgram } from '../programs.ts';
import { type Application, createApplication, queued, redisAnswers, startApplication, workGoesOn } from './application.ts';
import { createPrograms, demoEnvironment, findCompose, findEngine, type Programs, requireProgram } from './engine.ts';
import { fingerprint, proveOneInstant, proveSame } from './proof.ts';

const checkout = join(import.meta.dirname, '..', '..', '..');
const launcher = join(checkout, 'holdfast');

/** Where Holdfast cannot read a volume's directory, it makes this image, which is empty, and leaves it for the next time. */
const helperImage = 'holdfast-helper:1';

// biome-ignore lint/suspicious/noExplicitAny: documents of the command line, whose shapes docs/cli.md describes
type Event = any;
type Downtime = { how: string; downtimeMs: number };
type Demo = { application: Application; programs: Programs; scratch: string; downtimes: Downtime[] };

/** @param scale of the data: 1 is about 250 MB. @returns the exit code. */
export async function runDockerDemo(scale: number): Promise<number> {
  const startedMs = performance.now();
  const scratch = await mkdtemp(join(tmpdir(), 'holdfast-demo-'));
  const programs = createPrograms(demoEnvironment(scratch));
  const endings: (() => unknown)[] = [() => rmSync(scratch, { recursive: true, force: true })];
  let interruptedBy: number | undefined;
  for (const [signal, exitCode] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const, ['SIGHUP', 129] as const]) {
    process.on(signal, () => {
      if (interruptedBy === undefined) process.stderr.write('\ninterrupted; what was made is removed\n');
      interruptedBy ??= exitCode;
      programs.interrupt();
    });
  }
  let failed = false;
  const complain = (error: unknown) => {
    failed = true;
    process.stderr.write(`\nFAILED: ${error instanceof DemoFailure ? error.message : (error as Error).stack}\n`);
  };
  try {
    const demo = await prepare(programs, scratch, endings, scale);
    await run(demo);
  } catch (error) {
    // What fails after an interruption fails because of it.
    if (interruptedBy === undefined) complain(error);
  }
  programs.beginCleaning();
  for (const end of endings.reverse()) await Promise.resolve().then(end).catch(complain);
  if (interruptedBy !== undefined) return interruptedBy;
  if (failed) return 1;
  console.log(`\nDone in ${formatDuration(performance.now() - startedMs)}; all that was made is removed.`);
  return 0;
}

/** @param endings gets what undoes this. */
async function prepare(programs: Programs, scratch: string, endings: (() => unknown)[], scale: number): Promise<Demo> {
  chapter('An application and its five volumes');
  const engine = await findEngine(programs);
  if (engine.stop) endings.push(engine.stop);
  say(engine.name);
  for (const name of ['redis-server', 'busybox'] as const) requireProgram(name);
  const client = requireProgram('docker');
  const image = `${basename(scratch).toLowerCase()}:demo`;
  // A private Engine takes all with it.
  if (!engine.stop) {
    const helperWasThere = (await dockerSaid(programs, client, ['images', '--quiet', helperImage])) !== '';
    endings.push(() => programs.run(client, ['rmi', '--force', image, ...(helperWasThere ? [] : [helperImage])]));
  }
  await dockerSaid(programs, client, ['import', ...imageChanges, makeImageArchive('redis', scratch), image]);
  // A name that no project of the user has: what is called so will be removed.
  const folder = join(scratch, `auto-claude-demo-${randomBytes(4).toString('hex')}`);
  const application = createApplication({
    folder,
    image,
    programs,
    composeCommand: await findCompose(programs),
  });
  if (!engine.stop) endings.push(() => application.compose('down', '--volumes', '--timeout', '1'));
  await startApplication(application, programs, scratch, {
    seed: 'holdfast-demo',
    scale,
    checkout,
    hasGit: findProgram('git') !== undefined,
  });
  say('app writes a number to its journal, in one volume, then to its queue in Redis, in another, dozens of times a second');
  return { application, programs, scratch, downtimes: [] };
}

async function dockerSaid(programs: Programs, client: string, args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await programs.run(client, args);
  if (exitCode !== 0) throw new DemoFailure(`docker ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

async function run(demo: Demo): Promise<void> {
  const { application, downtimes } = demo;
  chapter('What is there, and what is not protected');
  await holdfast(demo, ['init']);
  await show(demo, ['volumes']);
  chapter('Backups, while the application works');
  await backUp(demo, 'first backup, most of it while everything runs', []);
  await stopAndTar(demo);
  await backUp(demo, 'the next: stopped, read, started', ['--cut', 'stop', '--no-warm-pass']);
  await backUp(demo, 'the next: read while everything runs, then what changed, paused', []);
  await workGoesOn(application);
  console.log(`\n${downtimeTable(downtimes).join('\n')}`);

  chapter('Disaster: docker compose down -v, under a guard');
  const before = await fingerprint(application);
  const acknowledged = await queued(application);
  const down = [...application.composeCommand, 'down', '--volumes', '--timeout', '1'];
  const { events } = await holdfast(demo, ['guard', '--', ...down]);
  const undo = events.find(({ event }) => event === 'guard').undo as string;
  const left = await application.docker('volume', 'ls', '--quiet', '--filter', `name=^${basename(application.folder)}_`);
  if (left !== '') throw new DemoFailure(`these volumes should be gone: ${left}`);
  say('containers and volumes are gone');

  chapter('Recovery');
  const restore = await holdfast(demo, undo.split(' ').slice(1));
  const restored = restore.events.filter(({ event }) => event === 'restored');
  const sum = (of: string) => restored.reduce((total, { result }) => total + result[of], 0);
  say(
    `${restored.length} volumes, ${formatCount(sum('filesRestored'), 'file or link', 'files and links')}, ${formatSize(sum('bytesWritten'))}, in ${restore.seconds.toFixed(1)} s`,
  );
  proveSame(before, await fingerprint(application));
  await application.compose('up', '--detach', 'redis');
  await redisAnswers(application);
  await proveOneInstant(application, acknowledged);
  await application.compose('up', '--detach');
  await workGoesOn(application);
  say('the application works again, where it was at the restore point');
}

/** Runs one command with `--json`, and shows it. @throws DemoFailure. */
async function holdfast({ programs, application }: Demo, args: readonly string[]): Promise<{ events: Event[]; seconds: number }> {
  say(`$ holdfast ${args.map((arg) => (arg.startsWith('/') ? basename(arg) : arg)).join(' ')}`);
  const { exitCode, stdout, stderr, seconds } = await programs.run(launcher, ['--json', ...args], { cwd: application.folder });
  if (exitCode !== 0)
    throw new DemoFailure(`holdfast ${args.join(' ')} ended with exit code ${exitCode}:\n${stderr}${stdout.slice(-2000)}`);
  const lines = stdout.split('\n').filter((line) => line !== '');
  return { events: lines.map((line) => JSON.parse(line)), seconds };
}

/** The same as people see it. */
async function show({ programs, application }: Demo, args: readonly string[]): Promise<void> {
  say(`$ holdfast ${args.join(' ')}`);
  const { exitCode, stdout, stderr } = await programs.run(launcher, args, { cwd: application.folder });
  if (exitCode !== 0) throw new DemoFailure(`holdfast ${args.join(' ')} ended with exit code ${exitCode}:\n${stderr}`);
  for (const line of stdout.trimEnd().split('\n')) say(line);
}

async function backUp(demo: Demo, how: string, options: readonly string[]): Promise<void> {
  await workGoesOn(demo.application);
  const { events, seconds } = await holdfast(demo, ['backup', ...options]);
  const snapshots = events.filter(({ event }) => event === 'snapshot');
  const stored = snapshots.reduce((sum, { summary }) => sum + summary.dataAddedPacked, 0);
  const grades = new Set(snapshots.map(({ consistency }) => consistency));
  const halted = events.find(({ event }) => event === 'cut-finished').containers as { downtimeMs: number }[];
  const downtimeMs = Math.max(...halted.map((container) => container.downtimeMs));
  say(
    `${snapshots.length} snapshots (${[...grades].join(', ')}), ${formatSize(stored)} newly stored, in ${seconds.toFixed(1)} s; the application was halted for ${downtimeMs} ms`,
  );
  demo.downtimes.push({ how, downtimeMs });
}

/** What operators do by hand. */
async function stopAndTar({ application, scratch, downtimes, programs }: Demo): Promise<void> {
  const { docker, container, engineVolume, image } = application;
  const containers = [await container('app'), await container('redis')];
  const mounts = volumeNames.map((name) => `--volume=${engineVolume(name)}:/source/${name}:ro`);
  say('by hand, to compare: docker stop, docker run ... tar czf, docker start');
  const startedMs = performance.now();
  await docker('stop', ...containers);
  const tar = '"$0" run --rm --network=none "$@" tar -czf - -C /source . > "$ARCHIVE"';
  const script = tar.replace('$ARCHIVE', join(scratch, 'by-hand.tar.gz'));
  const { exitCode, stderr } = await programs.run('sh', ['-c', script, requireProgram('docker'), ...mounts, image]);
  if (exitCode !== 0) throw new DemoFailure(`tar: ${stderr}`);
  await docker('start', ...containers.toReversed());
  downtimes.push({ how: 'by hand: docker stop, tar czf, docker start', downtimeMs: Math.round(performance.now() - startedMs) });
}

function downtimeTable(downtimes: readonly Downtime[]): string[] {
  const rows = downtimes.map(({ how, downtimeMs }) => [how, `${downtimeMs} ms`]);
  return tableLines([{ title: 'HOW' }, { title: 'DOWNTIME', align: 'right' }], rows, createStyle(false));
}
