import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { readByProcess } from '../jobs/read-by-process.ts';
import type { Program } from '../jobs/run-job.ts';
import type { ListSnapshots } from './read-evidence.ts';

/** Lists by `holdfast snapshots`. @param folder for a file of ids that is there while it runs. */
export function listByProcess(program: Program, folder: string): ListSnapshots {
  return async function* (repository, known) {
    const file = join(folder, `known-${randomBytes(6).toString('hex')}`);
    await writeFile(file, known.join('\n'), { mode: 0o600 });
    try {
      const words = ['snapshots', '--json', '--all', '--repository', repository, '--except', file];
      const { signal } = new AbortController();
      for await (const line of createInterface({ input: Readable.from(readByProcess(program, words, signal), { objectMode: false }) }))
        if (line !== '') yield line;
    } finally {
      await rm(file, { force: true });
    }
  };
}
