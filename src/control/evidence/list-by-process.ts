import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';
import { formatDuration } from '../../model/quantities.ts';
import { boundedLines } from '../jobs/bounded-lines.ts';
import { readByProcess } from '../jobs/read-by-process.ts';
import type { Program } from '../jobs/run-job.ts';
import type { ListSnapshots } from './read-evidence.ts';

/** The ids of 200,000 snapshots. What is cut is no evidence. */
const longestLine = 16 * 1024 * 1024;

/** No repository that answers takes so long; one that hangs must not keep others from being looked into. */
const longestMs = 30 * 60_000;

/** Lists by `holdfast snapshots`. @param folder for a file of ids that is there while it runs. @param mostMs how long it may take. */
export function listByProcess(program: Program, folder: string, mostMs: number = longestMs): ListSnapshots {
  return async function* (repository, known, signal = new AbortController().signal) {
    const file = join(folder, `known-${randomBytes(6).toString('hex')}`);
    await writeFile(file, known.join('\n'), { mode: 0o600 });
    const late = AbortSignal.timeout(mostMs);
    try {
      const words = ['snapshots', '--json', '--all', '--repository', repository, '--except', file];
      yield* boundedLines(readByProcess(program, words, AbortSignal.any([signal, late])), longestLine);
    } catch (cause) {
      if (!late.aborted || signal.aborted) throw cause;
      throw new HoldfastError('storage', `its snapshots could not be listed within ${formatDuration(mostMs)}`, { cause });
    } finally {
      await rm(file, { force: true });
    }
  };
}
