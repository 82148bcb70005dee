/** Runs Holdfast and restic as a user does, and reads what they print. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Restic } from './peers.ts';

const checkout = join(import.meta.dirname, '..');
const maxOutputBytes = 256 * 1024 * 1024;
const timeoutMs = 300_000;

export type Run = { status: number; stdout: string; stderr: string };
export type RunOptions = {
  cwd?: string;
  environment?: Record<string, string>;
  /** Exit codes that are expected; anything else is an error with what the program said. Default 0 alone. */
  exit?: readonly number[];
};

export function run(program: string, args: readonly string[], { cwd, environment = {}, exit = [0] }: RunOptions = {}): Run {
  const options = {
    cwd,
    env: { ...cleanEnvironment(), ...environment },
    encoding: 'utf8',
    maxBuffer: maxOutputBytes,
    timeout: timeoutMs,
  } as const;
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, options);
  if (error) throw error;
  if (!exit.includes(status ?? -1)) {
    throw new Error(
      `${program} ${args.join(' ')} ended with ${status ?? signal}, not ${exit.join(' or ')}\n${stdout.slice(-8000)}${stderr.slice(-8000)}`,
    );
  }
  return { status: status as number, stdout, stderr };
}

/** What a developer has set for these programs must not reach the tests. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HOLDFAST|RESTIC)_|^TZ$/.test(name)));
}

export const holdfastProgram = join(checkout, 'holdfast');

/** The checkout's `./holdfast`, working in a project's folder. */
export const holdfast = (folder: string, args: readonly string[], options: RunOptions = {}): Run =>
  run(holdfastProgram, ['--directory', folder, ...args], options);

// biome-ignore lint/suspicious/noExplicitAny: documents of other programs, whose shape each test knows
export type Document = any;

/** The lines of `--json`. */
export const documents = (text: string): Document[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('{') || line.startsWith('['))
    .map((line) => JSON.parse(line));

/** Runs with `--json`: the documents and events. */
export function holdfastJson(folder: string, args: readonly string[], options: RunOptions = {}): Document[] {
  return documents(holdfast(folder, ['--json', ...args], options).stdout);
}

/** A project's folder: `holdfast.yaml`, the key file, and a volume `data` whose settings may be given as YAML. */
export type Project = { folder: string; repository: string; passwordFile: string };

/** Writes the configuration of a project with one volume. The repository is made by `holdfast init` or by restic. */
export function projectAt(folder: string, volumeDirectory: string, settings: readonly string[] = []): Project {
  const volume = [`source: {directory: ${JSON.stringify(volumeDirectory)}}`, ...settings].map((line) => `    ${line}\n`).join('');
  const text = `project: interop\nvolumes:\n  data:\n${volume}repositories:\n  local: {url: ./repository, passwordFile: ./key}\n`;
  writeFileSync(join(folder, 'holdfast.yaml'), text);
  const passwordFile = join(folder, 'key');
  if (!existsSync(passwordFile)) writeFileSync(passwordFile, 'holdfast-key-of-the-tests\n', { mode: 0o600 });
  return { folder, repository: join(folder, 'repository'), passwordFile };
}

/** Runs restic on a project's repository. Locks that a test leaves behind would be a fault: none are broken. */
export function restic({ path }: Pick<Restic, 'path'>, project: Project, args: readonly string[], options: RunOptions = {}): Run {
  const cache = join(project.folder, 'restic-cache');
  const given = ['--repo', project.repository, '--password-file', project.passwordFile, '--cache-dir', cache, ...args];
  return run(path, given, options);
}

/** Ids of all blobs, as `data abc...` or `tree abc...`, sorted; a blob that is stored twice is there twice. */
export function blobsOf(program: Pick<Restic, 'path'>, project: Project): string[] {
  return restic(program, project, ['list', 'blobs', '--quiet', '--no-lock']).stdout.split('\n').filter(Boolean).sort();
}

/** What rsync would change to make `copy` what `original` is: empty when they are the same. The root's own metadata is left aside. */
export function differences(rsync: string, original: string, copy: string): string {
  const { stdout } = run(rsync, ['-aHAXSnci', '--delete', `${original}/`, `${copy}/`]);
  return stdout
    .split('\n')
    .filter((line) => line !== '' && !/^\S{11} \.\/$/.test(line))
    .slice(0, 50)
    .join('\n');
}
