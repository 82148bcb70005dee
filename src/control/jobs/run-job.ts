import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { exitCodes } from '../../model/errors.ts';
import { boundedLines } from './bounded-lines.ts';
import { identityOf, type ProcessIdentity } from './process-identity.ts';

/** How a job's child processes are started. */
export type Program = {
  /** Executable and leading arguments of this program's command line. */
  command: readonly string[];
  /** Working folder: that of `holdfast.yaml`. */
  directory: string;
  environment: NodeJS.ProcessEnv;
};

export type Watch = {
  onStart(process: ProcessIdentity | undefined): void;
  /** A line of JSON as the command wrote it; of a command that wrote something else, that in a `message`. */
  onLine(line: string): void;
};

/** How long a command has to end soundly after it was asked to, before it is killed: restarts of containers take their time. */
const graceMs = 180_000;
/**
 * Longer ones are cut: a log must not grow without bounds. UTF-16 units. What a check finds must fit, and comes with up to 1,000 paths and all
 * snapshots that it affects.
 */
const longestLine = 4 * 1024 * 1024;
const longestMessage = 16 * 1024;

/**
 * Carries out command lines one after the other, until one fails. An abort asks the one at work to end (SIGTERM), and kills it when it
 * does not.
 * @returns the exit code of the last one; 128 and the number of the signal when one was killed.
 */
export async function runCommands(
  program: Program,
  lines: readonly (readonly string[])[],
  watch: Watch,
  signal: AbortSignal,
): Promise<number> {
  let exitCode: number = exitCodes.done;
  for (const words of lines) {
    if (signal.aborted) return exitCodes.interrupted;
    const code = await runCommand(program, words, watch, signal);
    // Incomplete is no reason to leave out the rest.
    if (code !== exitCodes.done) exitCode = code;
    if (code !== exitCodes.done && code !== exitCodes.incomplete) return code;
  }
  return exitCode;
}

async function runCommand(program: Program, words: readonly string[], watch: Watch, signal: AbortSignal): Promise<number> {
  const [executable, ...leading] = program.command;
  const child = spawn(executable as string, [...leading, ...words], {
    cwd: program.directory,
    // What it says of its work is recorded here: it need not do so itself.
    env: { ...program.environment, HOLDFAST_JOB: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: Ctrl-C at a terminal reaches the daemon alone, and a command that is asked twice to end does so at once.
    detached: true,
  });
  const ended = endOf(child);
  let killer: NodeJS.Timeout | undefined;
  const stop = () => {
    child.kill('SIGTERM');
    killer = setTimeout(() => killGroup(child), graceMs);
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  try {
    watch.onStart(child.pid === undefined ? undefined : identityOf(child.pid));
    const [code] = await Promise.all([ended, readLines(child.stdout, watch), readLines(child.stderr, watch)]);
    return code;
  } catch (error) {
    // Nobody listens any more.
    killGroup(child);
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    clearTimeout(killer);
  }
}

/** With what it has started (`ssh`, `rclone`), which would hold its output open. */
function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}

/** Numbers of the signals that end processes (signal(7)). */
const signalNumbers: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 };

/** What is still on its way when a process has ended; whatever it leaves behind with its output open is not waited for longer. */
const lastWordsMs = 2_000;

function endOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let late: NodeJS.Timeout | undefined;
    child.once('error', reject);
    child.once('exit', () => {
      late = setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, lastWordsMs);
    });
    child.once('close', (code, signal) => {
      clearTimeout(late);
      resolve(code ?? 128 + (signalNumbers[signal ?? ''] ?? 0));
    });
  });
}

async function readLines(stream: Readable, { onLine }: Watch): Promise<void> {
  try {
    for await (const line of boundedLines(stream, longestLine)) {
      onLine(isDocument(line) ? line : JSON.stringify({ event: 'message', level: 'warning', message: line.slice(0, longestMessage) }));
    }
  } catch (error) {
    // Output that was given up is no failure of the command; one of who listens is not hidden.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  }
}

/** Braces alone make no JSON, and who reads a log relies on that it is. */
function isDocument(line: string): boolean {
  if (!line.startsWith('{')) return false;
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
