/** Where the password of a repository comes from: an option, the environment, or holdfast.yaml. Never from the command line itself. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { HoldfastError } from '../model/errors.ts';

export type PasswordSources = {
  /** `--password-file`. */
  file: string | undefined;
  environment: NodeJS.ProcessEnv;
  /** What holdfast.yaml says of the repository. */
  configured: { passwordFile: string | undefined; passwordCommand: string[] | undefined } | undefined;
  /** Relative paths start here. */
  cwd: string;
};

/**
 * The first source that there is, in this order: the option, HOLDFAST_PASSWORD_FILE, HOLDFAST_PASSWORD, holdfast.yaml, and what restic
 * uses: RESTIC_PASSWORD_FILE, RESTIC_PASSWORD. White space around a password is not part of it, as with restic.
 * @throws `password-missing` when there is none, or it cannot be read.
 */
export async function findPassword({ file, environment, configured, cwd }: PasswordSources): Promise<Buffer> {
  if (file !== undefined) return readPasswordFile(resolve(cwd, file));
  if (environment.HOLDFAST_PASSWORD_FILE) return readPasswordFile(resolve(cwd, environment.HOLDFAST_PASSWORD_FILE));
  if (environment.HOLDFAST_PASSWORD) return Buffer.from(environment.HOLDFAST_PASSWORD);
  if (configured?.passwordFile !== undefined) return readPasswordFile(configured.passwordFile);
  if (configured?.passwordCommand !== undefined) return runPasswordCommand(configured.passwordCommand, cwd);
  if (environment.RESTIC_PASSWORD_FILE) return readPasswordFile(resolve(cwd, environment.RESTIC_PASSWORD_FILE));
  if (environment.RESTIC_PASSWORD) return Buffer.from(environment.RESTIC_PASSWORD);
  throw new HoldfastError('password-missing', 'no password was given for the repository');
}

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
