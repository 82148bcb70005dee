import { isatty } from 'node:tty';
import { exitCodes, HoldfastError } from '../model/errors.ts';
import type { CommandEntry } from './command.ts';
import { run } from './run.ts';

/** Ctrl-C, a service manager or container that stops, a terminal that is closed. */
const interruptions: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Runs the command line of this process: wires `run` to its streams, its signals and its exit code. */
export async function runProcess(commands?: readonly CommandEntry[]): Promise<void> {
  const interruption = new AbortController();
  let readerGone = false;

  const hangups = createHangups();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGHUP' && hangups.take()) return;
    // The first asks the command to end soundly; whoever asks again does not want to wait.
    if (interruption.signal.aborted) process.exit(exitCodes.interrupted);
    interruption.abort(new HoldfastError('interrupted', `interrupted by ${signal}`));
  };
  for (const signal of interruptions) process.on(signal, onSignal);

  // `holdfast ls | head`: when nobody reads any more there is nothing left to do, and nobody to tell. A full disk is told of. Either way,
  // what is under way ends as it does at SIGINT, so that locks are released.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    readerGone = error.code === 'EPIPE';
    interruption.abort(readerGone ? new HoldfastError('interrupted', 'the output is not read any more') : outputLost(error));
  });
  // When stderr is closed there is no place left to complain.
  process.stderr.on('error', () => undefined);

  const exitCode = await run(process.argv.slice(2), {
    // Only where it may be needed: asking for it opens it.
    ...(isatty(0) && isatty(2) ? { stdin: process.stdin } : {}),
    stdout: process.stdout,
    stderr: {
      write: (text: string) => readerGone || process.stderr.write(text),
      isTTY: process.stderr.isTTY,
      get columns() {
        return process.stderr.columns;
      },
    },
    environment: process.env,
    cwd: process.cwd(),
    signal: interruption.signal,
    onCommand: (entry) => {
      if (hangups.settle(entry) === 'interrupt') onSignal('SIGHUP');
    },
    onReload: hangups.onReload,
    ...(commands === undefined ? {} : { commands }),
  });
  process.exitCode = exitCode;
  for (const signal of interruptions) process.removeListener(signal, onSignal);
}

const outputLost = (cause: NodeJS.ErrnoException): HoldfastError =>
  new HoldfastError('output-lost', `standard output cannot be written (${cause.code}): results are lost`, { cause });

/** What SIGHUP means: that is known when the command is, and one that came before waits for it. */
function createHangups() {
  const listeners = new Set<() => void>();
  let reloads: boolean | undefined;
  let waiting = false;
  return {
    /** Whether it is one that does not interrupt, or not yet. */
    take(): boolean {
      if (reloads === false) return false;
      waiting = listeners.size === 0;
      for (const listener of listeners) listener();
      return true;
    },
    /** The command is known: says what one that has waited for that does now. */
    settle(entry: CommandEntry): 'interrupt' | undefined {
      reloads = entry.reloads === true;
      return waiting && !reloads ? 'interrupt' : undefined;
    },
    onReload(listener: () => void): () => void {
      listeners.add(listener);
      if (waiting) listener();
      waiting = false;
      return () => listeners.delete(listener);
    },
  };
}
