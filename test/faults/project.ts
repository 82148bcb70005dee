/** A small project for the tests of faults: a volume that changes by a seed, its repository, and the command line as a process. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { EngineEvent } from '../../src/model/events.ts';
import { openRepository, type Repository } from '../../src/repository/repository.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { type Restic, resticVersions, scratch } from '../peers.ts';

export const checkout = join(import.meta.dirname, '..', '..');
const main = join(checkout, 'bin', 'holdfast.js');
/** Long enough for a machine under load; nothing that works takes it. */
const boundMs = 120_000;

export type Project = { folder: string; volume: string; repository: string; keyFile: string };

/** Numbers in [0, 1) from a seed, the same on every machine (mulberry32, T. Ettinger, public domain). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes that no compressor makes smaller, by a name. */
export function randomBytesOf(name: string, length: number): Buffer {
  return createHash('shake256', { outputLength: length }).update(name).digest();
}

/** A project with an empty volume `data` and a new repository. */
export function createProject(t: Pick<TestContext, 'after'>, { repository }: { repository?: string } = {}): Project {
  const folder = scratch(t);
  const volume = join(folder, 'volume');
  mkdirSync(volume);
  const extra = repository === undefined ? [] : ['--repository', repository];
  holdfast(folder, ['init', '--volume', `data=${volume}`, ...extra]);
  return { folder, volume, repository: repository ?? join(folder, 'holdfast-repository'), keyFile: join(folder, 'holdfast.key') };
}

/** Small files, and a few that are random: about `bytes` in all. */
export function fillVolume(volume: string, bytes: number, seed: string): void {
  for (let d = 0; d < 5; d++) {
    mkdirSync(join(volume, `folder-${d}`), { recursive: true });
    for (let f = 0; f < 20; f++) writeFileSync(join(volume, `folder-${d}`, `file-${f}`), `${seed} ${d} ${f}\n`.repeat(f + 1));
  }
  for (let r = 0; r < 4; r++) writeFileSync(join(volume, `random-${r}`), randomBytesOf(`${seed} ${r}`, Math.floor(bytes / 4)));
}

export type Run = { code: number | null; signal: NodeJS.Signals | null; events: EngineEvent[]; stderr: string };

/** Starts the command line in a process group of its own, so that a signal to the group reaches all of it. */
export function start(folder: string, args: readonly string[], under: readonly string[] = []): ChildProcess {
  const [program, ...rest] = [...under, process.execPath, main, ...args] as [string, ...string[]];
  return spawn(program, rest, { cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'], timeout: boundMs, killSignal: 'SIGKILL' });
}

/** Waits for the end of a process that `start` began with `--json`. */
export async function ended(child: ChildProcess): Promise<Run> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (text) => (stdout += text));
  child.stderr?.on('data', (text) => (stderr += text));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, stderr, events: eventsOf(stdout) };
}

/** A killed process may leave half a line. */
const eventsOf = (stdout: string) =>
  stdout
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as EngineEvent);

export const killGroup = (child: ChildProcess, signal: NodeJS.Signals): void => {
  try {
    process.kill(-(child.pid as number), signal);
  } catch (error) {
    // It has ended already.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
};

export const backup = (folder: string, args: readonly string[] = []): Promise<Run> => ended(start(folder, ['backup', '--json', ...args]));

/** Runs a command that must succeed. @returns its standard output. */
export function holdfast(folder: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { cwd: folder, encoding: 'utf8', timeout: boundMs });
  assert.equal(status, 0, `holdfast ${args.join(' ')}: ${stderr}${stdout}`);
  return stdout;
}

/** What a run stored, of all its volumes. */
export function summaryOf(run: Run): { dataAdded: number; totalBytesProcessed: number } {
  assert.equal(run.code, 0, run.stderr);
  const snapshots = run.events.filter((event) => event.event === 'snapshot');
  assert.ok(snapshots.length > 0);
  const sum = (pick: (summary: (typeof snapshots)[number]['summary']) => number) => snapshots.reduce((all, s) => all + pick(s.summary), 0);
  return { dataAdded: sum((s) => s.dataAdded), totalBytesProcessed: sum((s) => s.totalBytesProcessed) };
}

export const runRestic = ({ path }: Restic, { repository, keyFile }: Project, args: readonly string[]): string =>
  execFileSync(path, ['-r', repository, '--password-file', keyFile, '--no-cache', ...args], {
    encoding: 'utf8',
    timeout: boundMs,
    stdio: ['ignore', 'pipe', 'pipe'],
  });

/** Both tools call the repository clean: Holdfast, and every restic at hand. restic does not lock: a killed run's lock may be there. */
export function assertClean(project: Project, { readData = false, restics = resticVersions() } = {}): void {
  const read = readData ? ['--read-data'] : [];
  holdfast(project.folder, ['check', ...read]);
  for (const restic of restics) runRestic(restic, project, ['check', '--no-lock', ...read]);
}

/** The names in a folder of the repository, temporary files of interrupted writers left out. */
export const filesOf = (project: Project, kind: 'locks' | 'index' | 'snapshots'): string[] =>
  readdirSync(join(project.repository, kind)).filter((name) => /^[0-9a-f]{64}$/.test(name));

/** All files of a repository that are none: what interrupted writers leave behind. */
export function temporaryFiles(repository: string): string[] {
  return readdirSync(repository, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('-tmp-'));
}

export async function openProject(project: Project, storage: Storage = createLocalStorage(project.repository)): Promise<Repository> {
  return openRepository(storage, Buffer.from(readFileSync(project.keyFile, 'utf8').trim()));
}

const known = new Map<string, Repository>();

/** Like {@link openProject}; of a repository that was opened before, the key is not derived again, which takes longer than a prune. */
export async function reopenProject(project: Project, storage: Storage = createLocalStorage(project.repository)): Promise<Repository> {
  const config = readFileSync(join(project.repository, 'config'), 'base64');
  const repository = known.get(config) ?? (await openProject(project));
  known.set(config, repository);
  return { ...repository, storage };
}

/** Path, type, mode, size, mtime and content of everything in a directory, as lines. */
export function manifest(directory: string): string {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((path) => {
      const full = join(directory, path);
      const stat = lstatSync(full, { bigint: true });
      const content = stat.isFile() ? createHash('sha256').update(readFileSync(full)).digest('hex') : '';
      const target = stat.isSymbolicLink() ? readlinkSync(full) : '';
      return [path, stat.mode.toString(8), stat.isFile() ? stat.size : '', stat.mtimeNs, content, target].join(' ');
    })
    .join('\n');
}

/** Changes a volume in one of the ways in which volumes change. */
export function changeVolume(volume: string, step: number, random: () => number): void {
  const pick = Math.floor(random() * 5);
  const folder = join(volume, `folder-${pick}`);
  writeFileSync(join(folder, `new-${step}`), randomBytesOf(`new ${step}`, 1 + Math.floor(random() * 100_000)));
  rmSync(join(folder, `file-${Math.floor(random() * 20)}`), { force: true });
  chmodSync(folder, random() < 0.5 ? 0o755 : 0o700);
  if (random() < 0.3) writeFileSync(join(volume, `random-${pick % 4}`), randomBytesOf(`random ${step}`, 300_000 + step));
  if (random() < 0.3) utimesSync(join(volume, 'random-0'), step, step + 0.25);
}

/** Fails with the first lines that differ. */
export function assertSameManifest(actual: string, expected: string, message: string): void {
  if (actual === expected) return;
  const [a, b] = [actual.split('\n'), expected.split('\n')];
  const at = a.findIndex((line, i) => line !== b[i]);
  assert.fail(`${message}: line ${at}: ${a[at]} instead of ${b[at]}`);
}
