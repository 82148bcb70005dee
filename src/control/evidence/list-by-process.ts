import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { boundedLines } from '../jobs/bounded-lines.ts';
import { readByProcess } from '../jobs/read-by-process.ts';
import type { Program } from '../jobs/run-job.ts';
import type { ListSnapshots } from './read-evidence.ts';

/** The ids of 200,000 snapshots. What is cut is no evidence. */
const longestLine = 16 * 1024 * 1024;

/** Lists by `holdfast snapshots`. @param folder for a file of ids that is there while it runs. */
export function listByProcess(program: Program, folder: string): ListSnapshots {
  return async function* (repository, known, signal = new AbortController().signal) {
    const file = join(folder, `known-${randomBytes(6).toString('hex')}`);
    await writeFile(file, known.join('\n'), { mode: 0o600 });
    try {
      const words = ['snapshots', '--json', '--all', '--repository', repository, '--except', file];
      yield* boundedLines(readByProcess(program, words, signal), longestLine);
    } finally {
      await rm(file, { force: true });
    }
  };
}
