/** Where the password of a repository comes from: an option, the environment, or holdfast.yaml. Never from the command line itself. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { HoldfastError } from '../model/errors.ts';

export type PasswordSources = {
  /** `--password-file`. */
  file: string | undefined;
  /** `--password-command`. */
  command?: string;
  environment: NodeJS.ProcessEnv;
  /** What the environment calls the password beside `PASSWORD`: `FROM_` for the source of a copy. */
  role?: 'FROM_' | 'NEW_';
  /** What holdfast.yaml says of the repository. */
  configured?: { passwordFile: string | undefined; passwordCommand: string[] | undefined };
  /** Relative paths start here. */
  cwd: string;
  /** Asks somebody; undefined when nobody is there. */
  ask?: () => Promise<Buffer>;
};

/**
 * The first source that there is, in this order: the options, HOLDFAST_PASSWORD_FILE, HOLDFAST_PASSWORD_COMMAND, HOLDFAST_PASSWORD,
 * holdfast.yaml, what restic uses (RESTIC_PASSWORD_FILE, RESTIC_PASSWORD_COMMAND, RESTIC_PASSWORD), and whoever sits at the terminal. White
 * space around a password is not part of it, as with restic.
 * @throws `password-missing` when there is none, or it cannot be read.
 */
export async function findPassword(sources: PasswordSources): Promise<Buffer> {
  const { file, command, environment, role = '', configured, cwd, ask } = sources;
  if (file !== undefined) return readPasswordFile(resolve(cwd, file));
  if (command !== undefined) return runPasswordCommand(inShell(command), cwd);
  const ours = await fromEnvironment(environment, `HOLDFAST_${role}`, cwd);
  if (ours !== undefined) return ours;
  if (configured?.passwordFile !== undefined) return readPasswordFile(configured.passwordFile);
  if (configured?.passwordCommand !== undefined) return runPasswordCommand(configured.passwordCommand, cwd);
  const restics = await fromEnvironment(environment, `RESTIC_${role}`, cwd);
  if (restics !== undefined) return restics;
  if (ask !== undefined) return ask();
  throw new HoldfastError('password-missing', 'no password was given for the repository');
}

async function fromEnvironment(environment: NodeJS.ProcessEnv, prefix: string, cwd: string): Promise<Buffer | undefined> {
  const file = environment[`${prefix}PASSWORD_FILE`];
  if (file) return readPasswordFile(resolve(cwd, file));
  const command = environment[`${prefix}PASSWORD_COMMAND`];
  if (command) return runPasswordCommand(inShell(command), cwd);
  const password = environment[`${prefix}PASSWORD`];
  return password ? Buffer.from(password) : undefined;
}

const inShell = (command: string): string[] => ['/bin/sh', '-c', command];

async function readPasswordFile(path: string): Promise<Buffer> {
  let text: string;
  try {
    text = (await readFile(path, 'utf8')).trim();
  } catch (cause) {
    throw new HoldfastError('password-missing', `cannot read the password file ${path}`, {
      file: path,
      remedy: 'put the key file back from the copy that you keep elsewhere, or name another with --password-file',
      cause,
    });
  }
  if (text === '') throw new HoldfastError('password-missing', `the password file ${path} is empty`, { file: path });
  return Buffer.from(text);
}

async function runPasswordCommand([program, ...parameters]: string[], cwd: string): Promise<Buffer> {
  try {
    const { stdout } = await promisify(execFile)(program as string, parameters, { cwd, timeout: 60_000 });
    const password = stdout.split('\n')[0]?.trim() ?? '';
    if (password !== '') return Buffer.from(password);
  } catch (cause) {
    // What the command printed may hold the secret: only its name and exit are told.
    const code = (cause as { code?: unknown }).code;
    throw new HoldfastError('password-missing', `the password command ${program} failed (${String(code)})`);
  }
  throw new HoldfastError('password-missing', `the password command ${program} printed nothing`);
}
