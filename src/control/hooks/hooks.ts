/** Commands of the user's own around a backup: in a container, or on this host. */
import { spawn } from 'node:child_process';
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';
import type { Inventory, PlatformContainer } from '../../platform/platform.ts';
import type { Hook } from '../configuration/configuration.ts';
import { markProgram, shell } from './marked.ts';

export type HookContext = {
  /** Undefined where there is no engine. */
  containers: Containers | undefined;
  inventory: Inventory | undefined;
  project: string;
  signal: AbortSignal;
};

/** So much of what a command says is shown when it fails: its end. */
const wordsShown = 500;

/** Runs all, one after the other, whatever fails. @returns what failed, as `command-failed`, or what the engine threw. */
export async function runHooks(hooks: readonly Hook[], context: HookContext): Promise<HoldfastError[]> {
  const failures: HoldfastError[] = [];
  for (const hook of hooks) {
    try {
      await runHook(hook, context);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      failures.push(error);
    }
  }
  return failures;
}

/** @throws `command-failed` when it cannot be run, fails, or takes too long; `interrupted`. */
export async function runHook(hook: Hook, context: HookContext): Promise<void> {
  const { exitCode, words } = hook.in === undefined ? await runHere(hook, context.signal) : await runInContainer(hook, hook.in, context);
  if (exitCode === 0) return;
  throw new HoldfastError('command-failed', `the hook ${nameOf(hook)} ended with exit code ${exitCode}${wordsOf(words)}`);
}

const nameOf = ({ command, in: place }: Hook): string => {
  const [program = '', option, script] = command;
  const said = program === '/bin/sh' && option === '-c' ? script : program;
  return `${JSON.stringify(said)}${place === undefined ? '' : ` in ${place}`}`;
};

const wordsOf = (words: string): string => (words.trim() === '' ? '' : `: ${words.trim().slice(-wordsShown)}`);

async function runInContainer(hook: Hook, place: string, { containers, inventory, project, signal }: HookContext) {
  if (containers === undefined || inventory === undefined) {
    throw new HoldfastError('command-failed', `the hook ${nameOf(hook)} cannot be run: there is no Docker Engine here`);
  }
  const container = findContainer(inventory, project, place);
  if (container === undefined)
    throw new HoldfastError('command-failed', `the hook ${nameOf(hook)} cannot be run: no such service or container runs`);
  const { user, timeoutMs, command } = hook;
  const as = user === undefined ? {} : { user };
  const program =
    command[0] === shell || (await hasShell(containers, container.id)) ? markProgram(containers, container.id, command, user) : undefined;
  try {
    const { exitCode, stdout, stderr } = await containers.exec(container.id, program?.command ?? command, { timeoutMs, signal, ...as });
    return { exitCode, words: stderr || stdout };
  } catch (error) {
    if (!(error instanceof HoldfastError) || (error.code !== 'command-failed' && !signal.aborted)) throw error;
    const ended = await program?.end();
    if (signal.aborted) throw error;
    const what = `the hook ${nameOf(hook)} took longer than ${timeoutMs / 1000} s`;
    throw new HoldfastError('command-failed', ended ? what : `${what}, and may go on: it could not be ended`);
  }
}

const shortMs = 20_000;

const hasShell = (containers: Containers, id: string): Promise<boolean> =>
  containers.exec(id, [shell, '-c', ':'], { timeoutMs: shortMs }).then(
    ({ exitCode }) => exitCode === 0,
    () => false,
  );

/** The project's service of that name, else a container of that name. */
function findContainer({ containers }: Inventory, project: string, place: string): PlatformContainer | undefined {
  const running = containers.filter(({ state }) => state === 'running');
  return (
    running.find((container) => container.project === project && container.service === place) ?? running.find(({ name }) => name === place)
  );
}

/** Ends the whole group of processes when the time is over: a shell's children would go on without it. */
function runHere(hook: Hook, signal: AbortSignal): Promise<{ exitCode: number; words: string }> {
  const { command, timeoutMs } = hook;
  return new Promise((resolve, reject) => {
    const [program = '', ...args] = command;
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    let words = '';
    let failure: HoldfastError | undefined;
    const kill = (error: HoldfastError) => {
      failure ??= error;
      try {
        process.kill(-(child.pid as number), 'SIGKILL');
      } catch {
        // It has ended.
      }
    };
    const timer = setTimeout(
      () => kill(new HoldfastError('command-failed', `the hook ${nameOf(hook)} took longer than ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
    const onAbort = () => kill(new HoldfastError('interrupted', 'interrupted'));
    signal.addEventListener('abort', onAbort);
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      // What it has started in the background may keep it open.
      child.stderr.destroy();
      finish();
    };
    child.stderr.on('data', (bytes: Buffer) => {
      words = (words + bytes.toString()).slice(-wordsShown);
    });
    child.once('error', (cause) =>
      settle(() => reject(new HoldfastError('command-failed', `the hook ${nameOf(hook)} cannot be run: ${cause.message}`, { cause }))),
    );
    child.once('exit', (code, signalName) =>
      settle(() => {
        if (failure !== undefined) return reject(failure);
        resolve({ exitCode: code ?? -1, words: signalName === null ? words : `ended by ${signalName}` });
      }),
    );
  });
}
