import { spawn } from 'node:child_process';
import { HoldfastError } from '../../model/errors.ts';
import { createRedactor } from '../redact-lines.ts';
import { oneLine } from './message.ts';

/** So much of what a command says is shown when it fails: its end. */
const wordsShown = 300;
/** More is kept, so that what is cut off here is not shown: half a secret is not known for one. */
const wordsKept = 4_096;

/**
 * Runs a program with text on its standard input; at the timeout, and at the abort, it is killed with all its children.
 * @throws `notification-failed`, without the secrets of the environment.
 */
export function runWithInput(
  command: readonly string[],
  input: string,
  {
    directory,
    environment,
    timeoutMs,
    signal,
  }: { directory: string; environment: NodeJS.ProcessEnv; timeoutMs: number; signal: AbortSignal },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const [program = '', ...args] = command;
    const name = JSON.stringify(program);
    const child = spawn(program, args, { cwd: directory, env: environment, stdio: ['pipe', 'ignore', 'pipe'], detached: true });
    let words = '';
    let why: string | undefined;
    const kill = (reason: string) => {
      why ??= reason;
      try {
        process.kill(-(child.pid as number), 'SIGKILL');
      } catch {
        // It has ended.
      }
    };
    const timer = setTimeout(() => kill(`took longer than ${timeoutMs / 1_000} s, and was killed`), timeoutMs);
    const onAbort = () => kill('was interrupted');
    signal.addEventListener('abort', onAbort);
    const settle = (failure: string | undefined, cause?: unknown) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      // What it has started in the background may keep it open.
      child.stderr.destroy();
      if (failure === undefined) resolve('exit code 0');
      else reject(new HoldfastError('notification-failed', `the command ${name} ${failure}`, { cause }));
    };
    child.stderr.on('data', (bytes: Buffer) => {
      words = (words + bytes.toString()).slice(-wordsKept);
    });
    // A program need not read what it gets.
    child.stdin.on('error', () => undefined);
    child.once('error', (cause) => settle(`cannot be run: ${cause.message}`, cause));
    child.once('exit', (code, signalName) => {
      if (why !== undefined) return settle(why);
      const end = oneLine(createRedactor(environment)(words).slice(-wordsShown));
      const said = end === '' ? '' : `: ${end}`;
      settle(code === 0 ? undefined : `ended ${code === null ? `by ${signalName}` : `with exit code ${code}`}${said}`);
    });
    child.stdin.end(input);
    if (signal.aborted) onAbort();
  });
}
