import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { type ErrorDocument, errorFromDocument, HoldfastError } from '../../model/errors.ts';
import type { Program } from './run-job.ts';

/**
 * Runs a reading command of this program and gives what it writes to stdout. Who stops reading ends it.
 * @throws what the command says went wrong, as an error of the catalogue.
 */
export async function* readByProcess(program: Program, words: readonly string[], signal: AbortSignal): AsyncIterable<Buffer> {
  const [executable, ...leading] = program.command;
  const child = spawn(executable as string, [...leading, ...words], {
    cwd: program.directory,
    env: program.environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
  // Looked at when its output has been read.
  ended.catch(() => undefined);
  const complaint = lastError(child.stderr);
  try {
    yield* child.stdout;
    if ((await ended) !== 0) throw await complaint;
  } finally {
    child.kill('SIGTERM');
  }
}

/** What a command that wrote JSON says went wrong. */
async function lastError(stderr: Readable): Promise<HoldfastError> {
  let found = new HoldfastError('command-failed', 'the command failed and said nothing of why');
  for await (const line of createInterface({ input: stderr })) {
    try {
      const { event, error } = JSON.parse(line) as { event: string; error: ErrorDocument };
      if (event === 'error') found = errorFromDocument(error);
    } catch {
      // Not for programs.
    }
  }
  return found;
}
