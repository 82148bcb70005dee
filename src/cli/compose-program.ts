/** Compose itself, which alone knows how to make containers of a compose file. */
import { spawn } from 'node:child_process';
import { HoldfastError } from '../model/errors.ts';
import type { CommandContext } from './command.ts';

const mostWords = 4000;

/** Runs `up --detach` for services of a project. @throws `command-failed`, also when Compose is not installed. */
export async function composeUp(
  { environment }: Pick<CommandContext<unknown>, 'environment'>,
  { folder, project, services }: { folder: string; project: string; services: readonly string[] },
): Promise<void> {
  const words = ['--project-name', project, 'up', '--detach', ...services];
  for (const [program, ...first] of [['docker', 'compose'], ['docker-compose']] as [string, ...string[]][]) {
    if ((await runProgram(program, [...first, 'version'], folder, environment)).exitCode !== 0) continue;
    const { exitCode, said } = await runProgram(program, [...first, ...words], folder, environment);
    if (exitCode === 0) return;
    throw new HoldfastError('command-failed', `${[program, ...first].join(' ')} up ended with exit code ${exitCode}: ${said.trim()}`);
  }
  throw new HoldfastError('command-failed', 'Compose is not installed here, so that the services cannot be started', {
    remedy: `run in ${folder} where Compose is: docker compose up --detach ${services.join(' ')}`,
  });
}

function runProgram(
  program: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<{ exitCode: number; said: string }> {
  return new Promise((resolve) => {
    let said = '';
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-mostWords);
    });
    child.once('error', (error) => resolve({ exitCode: -1, said: error.message }));
    child.once('close', (code) => resolve({ exitCode: code ?? -1, said }));
  });
}
