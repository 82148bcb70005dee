/** How the daemon starts jobs: this program, with what `holdfast up` was told that holds for jobs as well. */
import { resolve } from 'node:path';
import type { Program } from '../control/jobs/run-job.ts';
import type { CommandContext } from './command.ts';
import type { GlobalOptions } from './global-options.ts';
import { stateFolder } from './state-folder.ts';

type Context = Pick<CommandContext, 'global' | 'cwd' | 'environment'>;

/**
 * @param file the configuration that jobs read; absolute.
 * @param directory where they work: what was given as a relative path is made absolute.
 */
export function daemonProgram({ global, cwd, environment }: Context, file: string, directory: string): Program {
  const { passwordFile, passwordCommand, cacheDir, cache, dockerHost } = global;
  const option = (name: string, value: string | undefined) => (value === undefined ? [] : [name, value]);
  return {
    command: [
      ...[process.execPath, process.argv[1] as string, '--config', file],
      ...option('--password-file', passwordFile === undefined ? undefined : resolve(cwd, passwordFile)),
      ...option('--password-command', passwordCommand),
      ...option('--cache-dir', cacheDir === undefined ? undefined : resolve(cwd, cacheDir)),
      ...(cache === false ? ['--no-cache'] : []),
      ...option('--docker-host', dockerHost),
    ],
    directory,
    environment: { ...environment, ...(environment.HOLDFAST_STATE_DIR ? { HOLDFAST_STATE_DIR: stateFolder(environment) } : {}) },
  };
}

const instead = {
  repository: '--repository has no effect: jobs work on the repositories of holdfast.yaml',
  retryLock: '--retry-lock has no effect: jobs wait half an hour for locks, and are tried again',
  limitUpload: '--limit-upload has no effect: that is `daemon.limits` in holdfast.yaml',
  limitDownload: '--limit-download has no effect: that is `daemon.limits` in holdfast.yaml',
} as const satisfies Partial<Record<keyof GlobalOptions, string>>;

/** Options that mean nothing to a daemon, and what does instead; a sentence each. */
export const optionsWithoutEffect = (global: GlobalOptions): string[] =>
  Object.entries(instead).flatMap(([name, said]) => (global[name as keyof typeof instead] === undefined ? [] : [said]));
