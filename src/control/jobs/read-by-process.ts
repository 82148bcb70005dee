import { spawn } from 'node:child_process';
import { addAbortSignal, type Readable } from 'node:stream';
import { type ErrorDocument, errorFromDocument, HoldfastError } from '../../model/errors.ts';
import { boundedLines } from './bounded-lines.ts';
import type { Program } from './run-job.ts';

/** UTF-16 units of a line of complaint. */
const longestComplaint = 64 * 1024;

/**
 * Runs a reading command of this program and gives what it writes to stdout. Who stops reading ends it, and so does the abort, after which nothing
 * is waited for: a command that hangs in the kernel does not end.
 * @throws what the command says went wrong, as an error of the catalogue.
 */
export async function* readByProcess(program: Program, words: readonly string[], signal: AbortSignal): AsyncIterable<Buffer> {
  const [executable, ...leading] = program.command;
  const child = spawn(executable as string, [...leading, ...words], {
    cwd: program.directory,
    env: { ...program.environment, HOLDFAST_READS: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
  // Looked at when its output has been read.
  ended.catch(() => undefined);
  const complaint = lastError(addAbortSignal(signal, child.stderr));
  complaint.catch(() => undefined);
  try {
    yield* addAbortSignal(signal, child.stdout);
    if ((await ended) !== 0) throw await complaint;
  } finally {
    child.kill('SIGTERM');
    child.unref();
  }
}

/** What a command that wrote JSON says went wrong. */
async function lastError(stderr: Readable): Promise<HoldfastError> {
  let found = new HoldfastError('command-failed', 'the command failed and said nothing of why');
  for await (const line of boundedLines(stderr, longestComplaint)) {
    try {
      const { event, error } = JSON.parse(line) as { event: string; error: ErrorDocument };
      if (event === 'error') found = errorFromDocument(error);
    } catch {
      // Not for programs.
    }
  }
  return found;
}
