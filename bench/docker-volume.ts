/** A Docker Engine of a benchmark's own, and a volume of files in it. */
import { randomFillSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { startDockerEngine, type TestEngine } from '../test/docker-engine.ts';

export type DockerBench = {
  /** Of the figures' full size. */
  scale: number;
  repeat: number;
  /** An existing folder for the repository. */
  scratch: string;
  markdown: boolean;
  record: (line: object) => void;
  say: (line: string) => void;
};

/** Measures with an Engine, which ends with it. @returns the table, or why there is none. */
export async function withEngine(bench: DockerBench, measureAll: (engine: TestEngine) => string | Promise<string>): Promise<string> {
  const endings: (() => unknown)[] = [];
  // The Engine of the tests, without a test.
  const context = { after: (end: () => unknown) => endings.push(end), skip: (why: string) => bench.say(why) } as unknown as TestContext;
  try {
    const engine = await startDockerEngine(context);
    return engine === undefined ? 'no Docker Engine can be started here\n' : await measureAll(engine);
  } finally {
    for (const end of endings.reverse()) await end();
  }
}

/** Each file is as long as that: 100,000 are 10 GiB. */
export const fileBytes = 107_374;
const filesPerFolder = 500;

/** Writes files by their numbers, anew where they are there. Half of each can be compressed. */
export function writeFiles(directory: string, from: number, count: number): void {
  const bytes = Buffer.allocUnsafe(fileBytes);
  for (let file = from; file < from + count; file++) {
    const folder = join(directory, `d${Math.floor(file / filesPerFolder)}`);
    mkdirSync(folder, { recursive: true });
    randomFillSync(bytes, 0, fileBytes / 2);
    writeFileSync(join(folder, `f${file}`), bytes);
  }
}
